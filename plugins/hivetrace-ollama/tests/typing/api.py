"""The constructor as its users write it. Never executed: mypy reads it, and an error here is a broken promise."""

from __future__ import annotations

from typing import assert_type

from hivetrace_ollama import OllamaModel

from hivetrace_core import Model, ModelResponse, SecretStr


def as_documented() -> list[Model]:
    return [
        OllamaModel("qwen3:0.6b"),
        OllamaModel(model="qwen3:0.6b", base_url="http://localhost:11434"),
        OllamaModel("qwen3:0.6b", temperature=0, max_tokens=256, num_ctx=8192, think=False, keep_alive="10m"),
        OllamaModel("gpt-oss:20b", think="high", keep_alive=-1, options={"num_gpu": 20}, format={"type": "object"}),
        OllamaModel("gpt-oss:120b", base_url="https://ollama.com", api_key=SecretStr("k"), stop="END", mirostat=2),
    ]


def wrong_ones_are_seen_before_they_run() -> None:
    OllamaModel("qwen3:0.6b", temprature=0.7)  # type: ignore[call-arg]
    OllamaModel("qwen3:0.6b", num_ctx="large")  # type: ignore[arg-type]
    OllamaModel("qwen3:0.6b", think="hihg")  # type: ignore[arg-type]


async def answers_are_typed(model: OllamaModel) -> None:
    assert_type(model.invoke("Hello"), ModelResponse)
    assert_type(await model.ainvoke([{"role": "user", "content": "Hello"}]), ModelResponse)
    async for response in model.stream_abatch(["Hello"], batch_size=5):
        assert_type(response, ModelResponse)
