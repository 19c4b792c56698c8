"""Plain httpx against YandexGPT's REST interface: its vendor's SDK speaks gRPC."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ._turns import KEY, Asked, Outcomes, all_at_once, serve_async, settings

told = settings()
client: Any = import_module("httpx").AsyncClient(timeout=60)
headers = {"Authorization": f"Api-Key {KEY}", "x-folder-id": "folder-1"}


async def ask(prompt: str) -> str:
    body = {
        "modelUri": f"gpt://folder-1/{told['id']}",
        "completionOptions": {"stream": False},
        "messages": [{"role": "user", "text": prompt}],
    }
    answer = await client.post(f"{told['base_url']}/completion", json=body, headers=headers)
    return str(answer.json()["result"]["alternatives"][0]["message"]["text"])


async def take_turn(asked: Asked) -> Outcomes:
    return await all_at_once(ask, asked, told["width"])


if __name__ == "__main__":
    serve_async(take_turn, "httpx")
