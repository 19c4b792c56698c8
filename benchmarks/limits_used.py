"""How much of a limit per minute is used, while a target that enforces the same limit rejects nothing.

The simulated target counts what arrives in a sliding window of 60 s and answers 429 above the limit. All models run
side by side for two minutes. What is reported is the mean over the minutes that begin from the third second on: a
limit on tokens lets requests go in bursts, and a single minute may catch more or less of one. On its way to the target
each request is delayed by a random time of some milliseconds, as on a network.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from typing import Any

from hivetrace_core import Messages, Reply
from hivetrace_core.simulated.model import SimulatedModel

from ._measure import Figure, Settings, report

RUN_S = 122.5
STARTS = range(2, 62)
ANSWER = "word " * 100


class Target(SimulatedModel):
    """Simulated, with a way to it, and a log of what came back."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.began = time.monotonic()
        self.log: list[tuple[float, int, int]] = []  # when, status, tokens
        self._way = random.Random(1)

    async def complete(self, client: Any, messages: Messages) -> Reply:
        await asyncio.sleep(min(self._way.lognormvariate(-3.5, 0.8), 0.5))  # 30 ms in the median
        arrived = time.monotonic() - self.began
        reply = await super().complete(client, messages)
        tokens = reply.payload["usage"]["total_tokens"] if reply.status == 200 else 0
        self.log.append((arrived, reply.status, tokens))
        return reply

    def used(self) -> tuple[float, float]:
        """Requests and tokens per minute."""
        requests = tokens = 0
        for at, _, cost in self.log:
            minutes = sum(start <= at < start + 60 for start in STARTS)
            requests += minutes
            tokens += minutes * cost
        return requests / len(STARTS), tokens / len(STARTS)

    def rejected(self) -> int:
        return sum(status == 429 for _, status, _ in self.log)


def prompts(model: Target, run_s: float) -> Iterator[str]:
    number = 0
    while time.monotonic() < model.began + run_s:
        number += 1
        yield f"{number}: " + "what is asked " * (5 + number % 100)


async def drive(model: Target, run_s: float) -> None:
    async for _ in model.stream_abatch(prompts(model, run_s), 64):
        pass


async def drive_all(models: list[Target], run_s: float) -> None:
    tasks = [asyncio.create_task(drive(model, run_s)) for model in models]
    # What still waits for its turn at the end of the time is of no interest.
    await asyncio.wait(tasks, timeout=run_s + 1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def target(*, rpm: int | None = None, tpm: int | None = None, latency: float) -> Target:
    return Target(
        rpm=rpm,
        tpm=tpm,
        rate_limit={"rpm": rpm, "tpm": tpm},
        rules=[{"text": ANSWER}],
        latency=latency,
        latency_sigma=0.7,
        batch_size=64,
    )


def measure(settings: Settings) -> list[Figure]:
    rpm = {limit: target(rpm=limit, latency=0.4) for limit in (600, 3000)}
    # Without the limit the target would take some 9,000 requests of 420 tokens a minute.
    tpm = {limit: target(tpm=limit, latency=0.4) for limit in (200_000, 1_500_000)}
    both = target(rpm=1200, tpm=400_000, latency=0.4)
    models = [*rpm.values(), *tpm.values(), both]
    asyncio.run(drive_all(models, 5.0 if settings.quick else RUN_S))
    figures = []

    def add(name: str, share: float, least: float, model: Target) -> None:
        bounds = (None, None) if settings.quick else (least, 0)
        figures.append(Figure(f"{name} used", 100 * share, " %", bounds[0], at_least=True))
        figures.append(Figure(f"{name} rejected by the target", model.rejected(), "", bounds[1]))

    for limit, model in rpm.items():
        add(f"rpm {limit:,}: requests", model.used()[0] / limit, 97.0, model)
    for limit, model in tpm.items():
        add(f"tpm {limit:,}: tokens", model.used()[1] / limit, 95.0, model)
    requests, tokens = both.used()
    add("rpm 1,200 with tpm 400,000: the tighter one", max(requests / 1200, tokens / 400_000), 95.0, both)
    return figures


if __name__ == "__main__":
    report(__doc__.splitlines()[0], measure)
