"""The constructor as its users write it. Never executed: mypy reads it, and an error here is a broken promise."""

from __future__ import annotations

from typing import assert_type

from hivetrace_yandex import YandexGPTModel

from hivetrace_core import Model, ModelResponse, SecretStr


async def fresh_token() -> str:
    return "t1.example"


def as_documented() -> list[Model]:
    return [
        YandexGPTModel(model="yandexgpt-lite", folder_id="...", api_key="..."),
        YandexGPTModel("yandexgpt/rc", folder_id="b1g", api_key=SecretStr("k"), temperature=0, max_tokens=500, rpm=600),
        YandexGPTModel("gpt://b1g/yandexgpt/latest", iam_token_provider=fresh_token, mode="async", poll_interval=2),
        YandexGPTModel("ds://bt1", iam_token_provider=lambda: "t1.example", data_logging=False),
    ]


def wrong_ones_are_seen_before_they_run() -> None:
    YandexGPTModel(model="yandexgpt-lite", folder="b1g")  # type: ignore[call-arg]
    YandexGPTModel(model="yandexgpt-lite", top_p=0.5)  # type: ignore[call-arg]
    YandexGPTModel(model="yandexgpt-lite", mode="later")  # type: ignore[arg-type]


async def answers_are_typed(model: YandexGPTModel) -> None:
    assert_type(model.invoke("Hello"), ModelResponse)
    assert_type(await model.ainvoke([{"role": "user", "content": "Hello"}]), ModelResponse)
    async for response in model.stream_abatch(["Hello"], batch_size=5):
        assert_type(response, ModelResponse)
