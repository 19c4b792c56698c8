"""The `gigachat` SDK's asynchronous client; it gets its token in the first round, which is not counted."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ._turns import KEY, Asked, Outcomes, all_at_once, serve_async, settings

told = settings()
client: Any = import_module("gigachat").GigaChat(
    base_url=told["base_url"], auth_url=told["auth_url"], credentials=KEY, scope="GIGACHAT_API_PERS"
)


async def ask(prompt: str) -> str:
    answer = await client.achat({"model": told["id"], "messages": [{"role": "user", "content": prompt}]})
    return str(answer.choices[0].message.content)


async def take_turn(asked: Asked) -> Outcomes:
    return await all_at_once(ask, asked, told["width"])


if __name__ == "__main__":
    serve_async(take_turn, "gigachat", "httpx")
