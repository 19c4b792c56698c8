"""What the engine costs per prompt, against a bare ordered window of asyncio tasks that makes the same calls.

The models answer at once, so that nothing but the machinery is measured: CPU time per prompt, 64 in flight, in order.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any

from hivetrace_core import Model, ModelOptions, ModelResponse, ProviderModel, Reply
from hivetrace_core.engine.events import Observers
from hivetrace_core.simulated.model import SimulatedModel

from ._measure import Figure, Rounds, Settings, report

Call = Callable[[Any], Coroutine[Any, Any, Any]]

WIDTH = 64
BOUND = 8.0
EVERYTHING: dict[str, Any] = {
    "max_attempts": 5, "timeout": 60, "deadline": 600, "max_concurrency": WIDTH, "rpm": 1e12, "tpm": 1e15,
}  # fmt: skip


class AtOnceOptions(ModelOptions):
    model: str = "at-once"


class AtOnce(ProviderModel[AtOnceOptions]):
    """Answers at once, in the final form."""

    async def complete(self, client: Any, messages: Any) -> dict[str, Any]:
        metadata = {
            "model_name": "at-once",
            "finish_reason": "stop",
            "native_finish_reason": "stop",
            "outcome": "answered",
            "usage": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4},
        }
        return {"content": "yes", "response_metadata": metadata}


class AtOnceRaw(ProviderModel[AtOnceOptions]):
    """Answers at once with a raw payload, as a provider does."""

    async def complete(self, client: Any, messages: Any) -> Reply:
        usage = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
        return Reply({"model": "at-once", "finish": "stop", "text": "yes", "usage": usage})

    def classify(self, reply: Reply) -> ModelResponse:
        payload = reply.payload
        return {
            "content": payload["text"],
            "response_metadata": {
                "model_name": payload["model"],
                "finish_reason": "stop",
                "native_finish_reason": payload["finish"],
                "outcome": "answered",
                "usage": payload["usage"],
            },
        }


class Custom(Model):
    """The least that a custom model can be."""

    async def ainvoke(self, prompt: Any) -> dict[str, Any]:
        return {"content": "yes"}


async def bare(call: Call, prompts: Iterable[Any], width: int) -> AsyncIterator[Any]:
    window: deque[asyncio.Task[Any]] = deque()
    for prompt in prompts:
        if len(window) == width:
            yield await window.popleft()
        window.append(asyncio.create_task(call(prompt)))
    while window:
        yield await window.popleft()


async def classified(model: AtOnceRaw | SimulatedModel, prompt: str) -> ModelResponse:
    return model.classify(await model.complete(None, [{"role": "user", "content": prompt}]))


def cost(stream: Callable[[Iterable[str]], AsyncIterator[Mapping[str, Any]]], count: int) -> float:
    """Microseconds of CPU per prompt."""

    async def consume() -> float:
        seen = 0
        began = time.process_time()
        async for response in stream(f"prompt {number}" for number in range(count)):
            seen += bool(response["content"])
        assert seen == count
        return (time.process_time() - began) / count * 1e6

    gc.collect()
    return asyncio.run(consume())


def measure(settings: Settings) -> list[Figure]:
    count, rounds = (5_000, 3) if settings.quick else (20_000, 9)
    at_once, raw, simulated = AtOnce(), AtOnceRaw(), SimulatedModel()
    observed = AtOnce(**EVERYTHING)
    observed.observers = Observers(started=(id,), finished=(id,))
    engines: dict[str, tuple[Model, str, float | None]] = {
        "provider: attempts, timeout, deadline": (at_once, "complete", BOUND),
        "provider, and max_concurrency": (AtOnce(max_concurrency=WIDTH), "complete", BOUND),
        "provider, and max_concurrency, rpm": (AtOnce(max_concurrency=WIDTH, rpm=1e12), "complete", BOUND),
        "provider, and max_concurrency, rpm, tpm": (AtOnce(**EVERYTHING), "complete", BOUND),
        "provider, and all that, two observers": (observed, "complete", None),
        "provider with raw replies (both sides classify)": (AtOnceRaw(max_concurrency=WIDTH), "classified", BOUND),
        "custom model with ainvoke": (Custom(), "ainvoke", BOUND),
        "simulated (both sides classify)": (SimulatedModel(), "simulated", BOUND),
    }
    calls: dict[str, Call] = {
        "complete": partial(at_once.complete, None),
        "classified": partial(classified, raw),
        "ainvoke": Custom().ainvoke,
        "simulated": partial(classified, simulated),
    }
    subjects = {name: partial(cost, partial(bare, call, width=WIDTH), count) for name, call in calls.items()}
    for name, (model, _, _) in engines.items():
        subjects[name] = partial(cost, partial(model.stream_abatch, batch_size=WIDTH), count)
    taken = Rounds(subjects, rounds=rounds)
    figures = [Figure(f"bare window, {name}", taken.median(name), " us") for name in calls]
    for name, (_, call, bound) in engines.items():
        figures.append(Figure(f"{name} [{taken.median(name):.1f} us]", taken.ratio(name, call), " x bare", bound))
    return figures


if __name__ == "__main__":
    report(__doc__.splitlines()[0], measure)
