"""The constructor as its users write it. Never executed: mypy reads it, and an error here is a broken promise."""

from __future__ import annotations

from typing import assert_type

from hivetrace_gigachat import GigaChatModel

from hivetrace_core import Model, ModelResponse, SecretStr


def as_documented() -> list[Model]:
    return [
        GigaChatModel(model="gigachat", credentials="...", verify_ssl_certs=False),
        GigaChatModel("GigaChat-2-Max", credentials=SecretStr("..."), scope="GIGACHAT_API_CORP", batch_size=10),
        GigaChatModel(model="gigachat", user="me", password="...", base_url="https://giga.example/v1"),
        GigaChatModel(model="gigachat", access_token="...", ca_bundle="root.pem", top_p=0, max_tokens=256),
    ]


def wrong_ones_are_seen_before_they_run() -> None:
    GigaChatModel(model="gigachat", stop=["."])  # type: ignore[call-arg]
    GigaChatModel(model="gigachat", max_tokens="many")  # type: ignore[arg-type]


async def answers_are_typed(model: GigaChatModel) -> None:
    assert_type(model.invoke("Привет"), ModelResponse)
    assert_type(await model.ainvoke([{"role": "user", "content": "Привет"}]), ModelResponse)
    async for response in model.stream_abatch(["Привет"], batch_size=5):
        assert_type(response, ModelResponse)
