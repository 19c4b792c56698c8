"""The official SDK's `AsyncOpenAI` with its default client."""

from __future__ import annotations

from typing import Any

import openai

from ._turns import KEY, MODEL, Asked, Outcomes, all_at_once, serve_async, settings

told = settings()
client: Any = openai.AsyncOpenAI(base_url=told["base_url"], api_key=KEY)


async def ask(prompt: str) -> str:
    answer = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": prompt}])
    return str(answer.choices[0].message.content)


async def take_turn(asked: Asked) -> Outcomes:
    return await all_at_once(ask, asked, told["width"])


if __name__ == "__main__":
    serve_async(take_turn, "openai")
