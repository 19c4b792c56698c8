"""The constructors as their users write them. Never executed: mypy reads it, and an error here is a broken promise."""

from __future__ import annotations

from typing import assert_type

from hivetrace_openai import OpenAIModel, OpenRouterModel, SberCloudModel

from hivetrace_core import Model, ModelResponse, SecretStr


def as_documented() -> list[Model]:
    return [
        OpenAIModel(model="gpt-4.1"),
        OpenAIModel("gpt-4.1", temperature=0.7, max_tokens=1000, rpm=600),
        OpenAIModel(model="local", base_url="http://localhost:8000/v1", extra_body={"top_k": 1}),
        OpenAIModel(model="gpt-4.1", azure_endpoint="https://x.example", api_version="2024-10-21", api_key="k"),
        OpenRouterModel(model="openai/gpt-4.1", api_key="k", provider={"order": ["Azure"]}),
        SberCloudModel(model="GigaChat/GigaChat-2-Max", api_key=SecretStr("k"), top_k=5),
    ]


def wrong_ones_are_seen_before_they_run() -> None:
    OpenAIModel(model="gpt-4.1", temprature=0.7)  # type: ignore[call-arg]
    OpenAIModel(model="gpt-4.1", max_tokens="many")  # type: ignore[arg-type]
    SberCloudModel(model="x", provider={})  # type: ignore[call-arg]


async def answers_are_typed(model: OpenAIModel) -> None:
    assert_type(model.invoke("Hello"), ModelResponse)
    assert_type(await model.ainvoke([{"role": "user", "content": "Hello"}]), ModelResponse)
    async for response in model.stream_abatch(["Hello"], batch_size=5):
        assert_type(response, ModelResponse)
