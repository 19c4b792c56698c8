"""The `google-genai` SDK's asynchronous client, on whatever transport it finds in its environment."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ._turns import KEY, Asked, Outcomes, all_at_once, serve_async, settings

told = settings()
where = {"base_url": told["base_url"].removesuffix("/v1beta")}
client: Any = import_module("google.genai").Client(api_key=KEY, http_options=where)


async def ask(prompt: str) -> str:
    answer = await client.aio.models.generate_content(model=told["id"], contents=prompt)
    return str(answer.text)


async def take_turn(asked: Asked) -> Outcomes:
    return await all_at_once(ask, asked, told["width"])


if __name__ == "__main__":
    serve_async(take_turn, "google-genai", *told.get("transports", ()))
