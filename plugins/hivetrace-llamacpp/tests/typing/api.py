"""The constructor as its users write it. Never executed: mypy reads it, and an error here is a broken promise."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from hivetrace_llamacpp import LlamaCppModel

from hivetrace_core import Model, ModelResponse


def as_documented() -> list[Model]:
    return [
        LlamaCppModel(model_path="model.gguf", n_ctx=8192, batch_size=5),
        LlamaCppModel(model_path="model.gguf", n_gpu_layers=-1, n_ctx=16384, temperature=0.7, max_tokens=2048),
        LlamaCppModel("mine", model_path=Path("model.gguf"), n_gpu_layers=0, deterministic=True, parse_special=True),
        LlamaCppModel(model_path="model.gguf", kv_cells=32_768, chat_format="chatml", stop=["END"], grammar=None),
        LlamaCppModel(model_path="model.gguf", response_format={"type": "json_object", "schema": {"type": "object"}}),
    ]


def wrong_ones_are_seen_before_they_run() -> None:
    LlamaCppModel(model_path="model.gguf", n_ctxx=8192)  # type: ignore[call-arg]
    LlamaCppModel(model_path="model.gguf", n_ctx="large")  # type: ignore[arg-type]
    LlamaCppModel(model_path=5)  # type: ignore[arg-type]


async def answers_are_typed(model: LlamaCppModel) -> None:
    assert_type(model.invoke("Hello"), ModelResponse)
    assert_type(await model.ainvoke([{"role": "user", "content": "Hello"}]), ModelResponse)
    async for response in model.stream_abatch(["Hello"], batch_size=5):
        assert_type(response, ModelResponse)
