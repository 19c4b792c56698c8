"""HiveTraceRed's `OpenAIModel.stream_abatch`, without its limit on requests per minute."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from typing import Any

from ._turns import KEY, MODEL, Asked, Outcomes, prompts, serve_async, settings

told = settings()
made: Any = import_module("hivetracered.models").OpenAIModel
model = made(model=MODEL, base_url=told["base_url"], api_key=KEY, max_concurrency=told["width"], rpm=10**9)


async def take_turn(asked: Asked) -> Outcomes:
    outcomes: Counter[str] = Counter()
    async for answer in model.stream_abatch(list(prompts(asked))):
        outcomes["answered" if answer["content"] == "This is a scripted answer." else "other"] += 1
    return outcomes


if __name__ == "__main__":
    serve_async(take_turn, "hivetracered", "langchain-openai", "openai")
