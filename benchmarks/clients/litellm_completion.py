"""LiteLLM's `acompletion`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ._turns import KEY, MODEL, Asked, Outcomes, all_at_once, serve_async, settings

litellm: Any = import_module("litellm")
told = settings()


async def ask(prompt: str) -> str:
    answer = await litellm.acompletion(
        model=f"openai/{MODEL}",
        api_base=told["base_url"],
        api_key=KEY,
        messages=[{"role": "user", "content": prompt}],
    )
    return str(answer.choices[0].message.content)


async def take_turn(asked: Asked) -> Outcomes:
    return await all_at_once(ask, asked, told["width"])


if __name__ == "__main__":
    serve_async(take_turn, "litellm", "openai")
