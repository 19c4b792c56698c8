"""What keeping the order costs when latencies vary: wall time against greedy list scheduling of the same latencies.

The simulated target's latencies are lognormal (sigma 1) and known beforehand. List scheduling gives each prompt, in
order, to whichever of 64 workers is free first: the best that can be hoped for without knowing the latencies.
"""

from __future__ import annotations

import asyncio
import heapq
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Any

from hivetrace_core.simulated.model import SimulatedModel

from ._measure import Figure, Settings, report

WIDTH = 64
BOUND = 1.05


def greedy(latencies: Iterable[float]) -> float:
    """Seconds until all are done."""
    free = [0.0] * WIDTH
    for latency in latencies:
        heapq.heapreplace(free, free[0] + latency)
    return max(free)


async def wall(responses: AsyncIterator[Any], count: int) -> float:
    began, seen = time.perf_counter(), 0
    async for _ in responses:
        seen += 1
    assert seen == count
    return time.perf_counter() - began


async def narrow(latencies: Iterable[float]) -> AsyncIterator[float]:
    """An ordered window of one task per place, without room behind a slow head."""
    window: deque[asyncio.Task[float]] = deque()
    for latency in latencies:
        if len(window) == WIDTH:
            yield await window.popleft()
        window.append(asyncio.create_task(asyncio.sleep(latency, latency)))
    while window:
        yield await window.popleft()


def measure(settings: Settings) -> list[Figure]:
    count, seeds = (500, 2) if settings.quick else (2_000, 5)
    prompts = [f"prompt {number}" for number in range(count)]
    figures, ordered, unordered, narrows = [], [], [], []
    for seed in range(1, seeds + 1):
        # 0.1 s, so that the sleeps and not the timers' delays are what is measured.
        model = SimulatedModel(seed=seed, latency=0.1, latency_sigma=1.0)
        latencies = [model.latency_of(prompt) for prompt in prompts]
        ideal = greedy(latencies)
        in_order = asyncio.run(wall(model.stream_abatch(prompts, WIDTH), count)) / ideal
        as_done = asyncio.run(wall(model.stream_abatch(prompts, WIDTH, ordered=False), count)) / ideal
        figures.append(Figure(f"seed {seed}, in order [ideal {ideal:.2f} s]", in_order, " x ideal", BOUND))
        ordered.append(in_order)
        unordered.append(as_done)
        if seed == 1:
            narrows.append(asyncio.run(wall(narrow(latencies), count)) / ideal)
    figures.append(Figure("median of the seeds, in order", statistics.median(ordered), " x ideal", BOUND))
    figures.append(Figure("median of the seeds, as they complete", statistics.median(unordered), " x ideal"))
    figures.append(Figure("an ordered window of exactly 64, seed 1", narrows[0], " x ideal"))
    return figures


if __name__ == "__main__":
    report(__doc__.splitlines()[0], measure)
