"""The `ollama` package's `AsyncClient`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ._turns import Asked, Outcomes, all_at_once, serve_async, settings

told = settings()
client: Any = import_module("ollama").AsyncClient(host=told["base_url"])


async def ask(prompt: str) -> str:
    answer = await client.chat(model=told["id"], messages=[{"role": "user", "content": prompt}])
    return str(answer.message.content)


async def take_turn(asked: Asked) -> Outcomes:
    return await all_at_once(ask, asked, told["width"])


if __name__ == "__main__":
    serve_async(take_turn, "ollama", "httpx")
