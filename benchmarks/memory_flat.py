"""How much a million prompts from a generator grow memory, against ten thousand.

Each measurement is a fresh process that reports its own peak; the answers are dropped as they are yielded.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from hivetrace_core import Model, ModelOptions, ProviderModel

from ._measure import Figure, Settings, report
from .clients._turns import peak_mb

BOUND_MB = 20.0
FEW, MANY = 10_000, 1_000_000


class Options(ModelOptions):
    model: str = "at-once"


class Provider(ProviderModel[Options]):
    """Answers at once."""

    async def complete(self, client: Any, messages: Any) -> dict[str, Any]:
        metadata = {"model_name": "at-once", "finish_reason": "stop", "outcome": "answered"}
        return {"content": f"echo of {messages[0]['content']}", "response_metadata": metadata}


class Custom(Model):
    """The least that a custom model can be."""

    async def ainvoke(self, prompt: Any) -> dict[str, Any]:
        return {"content": f"echo of {prompt}"}


def model_of(kind: str) -> Model:
    if kind == "custom":
        return Custom()
    return Provider(max_concurrency=64, rpm=1e12, tpm=1e15) if kind == "limited" else Provider(max_concurrency=64)


async def consume(model: Model, count: int) -> None:
    seen = 0
    async for response in model.stream_abatch(prompts(count), batch_size=64):
        assert response["content"].endswith(f"number {seen}")
        seen += 1
    assert seen == count


def prompts(count: int) -> Iterator[str]:
    return (
        f"a prompt of an ordinary length, which is about a hundred characters, and its number {n}" for n in range(count)
    )


def child_peak(kind: str, count: int) -> float:
    command = [sys.executable, "-m", "benchmarks.memory_flat", "--child", kind, str(count)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(settings: Settings) -> list[Figure]:
    many = MANY // 20 if settings.quick else MANY
    figures = []
    kinds = {"provider": "provider", "custom": "custom model", "limited": "provider with rpm and tpm"}
    for kind, name in kinds.items():
        few = child_peak(kind, FEW)
        growth = child_peak(kind, many) - few
        bound = BOUND_MB
        figures.append(Figure(f"{name}, {many:,} prompts over {FEW:,} [{few:.0f} MB]", growth, " MB more", bound))
    return figures


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        asyncio.run(consume(model_of(sys.argv[2]), int(sys.argv[3])))
        print(peak_mb())
    else:
        report(__doc__.splitlines()[0], measure)
