"""A HiveTrace model's `stream_abatch`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, repeat

from hivetrace_core import create_model

from ._turns import KEY, MODEL, Asked, Outcomes, prompts, serve_async, settings

told = settings()
params = {told.get("key", "api_key"): KEY, **told.get("params", {})}
model = create_model(f"{told['provider']}/{told.get('id', MODEL)}", base_url=told["base_url"], **params)


async def take_turn(asked: Asked) -> Outcomes:
    outcomes: Counter[str] = Counter()
    source: Iterable[str] = prompts(asked)
    if "seconds" in asked:
        source = until(time.monotonic() + asked["seconds"])
    async for response in model.stream_abatch(source, batch_size=told["width"]):
        outcomes[response["response_metadata"]["outcome"]] += 1
    return outcomes


def until(end: float) -> Iterator[str]:
    for words in chain.from_iterable(repeat(prompts({"count": 10_000}))):
        if time.monotonic() >= end:
            return
        yield words


if __name__ == "__main__":
    serve_async(take_turn, "hivetrace-core")
