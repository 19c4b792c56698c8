"""The client's side of a turn: wait, send, say what it took. Standard library only."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

MODEL = "gpt-4.1"
KEY = "c2stYmVuY2htYXJrczowMTIzNDU2Nzg5"
"""Any text is a key to the mock server; GigaChat's has to be base64 of two words."""

Outcomes = Mapping[str, int]
Asked = Mapping[str, Any]
"""How a turn was asked for: `count`, and what else the parent said."""


def settings() -> dict[str, Any]:
    """What the parent said at the start."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found


def prompts(asked: Asked) -> Iterator[str]:
    """The prompts of a turn."""
    words = asked.get("words") or ["Hello, how are you today?"]
    return (f"{words[number % len(words)]} This is prompt {number}." for number in range(asked["count"]))


async def all_at_once(ask: Callable[[str], Awaitable[str]], asked: Asked, width: int) -> Outcomes:
    """Every prompt, so many in flight: one task per place, which is the least that it can cost.

    Args:
        ask: Sends one prompt and returns the text of its answer.
        asked: The turn.
        width: Requests in flight.
    """
    source = prompts(asked)
    outcomes: Counter[str] = Counter()

    async def work() -> None:
        for prompt in source:
            outcomes["answered" if await ask(prompt) == "This is a scripted answer." else "other"] += 1

    await asyncio.gather(*(work() for _ in range(width)))
    return outcomes


def serve(take_turn: Callable[[Asked], Outcomes], *distributions: str) -> None:
    """Take a turn for each line from the parent, until there are no more.

    Args:
        take_turn: Sends the prompts and returns how they ended.
        distributions: What is tried; the parent hears their versions.
    """
    # What is tried may print; the parent reads only what is meant for it.
    parent = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    parent.write(json.dumps({"ready": ", ".join(f"{name} {version(name)}" for name in distributions)}) + "\n")
    for line in sys.stdin:
        asked = json.loads(line)
        gc.collect()
        began, cpu = time.perf_counter(), time.process_time()
        outcomes = take_turn(asked)
        took = {"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
        parent.write(json.dumps({"outcomes": dict(outcomes), **took, "peak_mb": peak_mb()}) + "\n")


def serve_async(take_turn: Callable[[Asked], Awaitable[Outcomes]], *distributions: str) -> None:
    """`serve` for a coroutine; all turns in one event loop, so that connections stay open between them."""
    with asyncio.Runner() as runner:

        async def one(asked: Asked) -> Outcomes:
            return await take_turn(asked)

        serve(lambda asked: runner.run(one(asked)), *distributions)


def peak_mb() -> float:
    """The most memory that this process has ever had resident."""
    status = Path("/proc/self/status")
    if status.exists():  # without what its parent had when it was forked
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024
