"""aiohttp with nothing around it: the JSON body, the request, the body of the answer, its text.

The session has the settings of `hivetrace_core.http`: no limit of its own, no cookies, no total timeout.
"""

from __future__ import annotations

import json

import aiohttp

from ._turns import KEY, MODEL, Asked, Outcomes, all_at_once, serve_async, settings

told = settings()
url = f"{told['base_url']}/chat/completions"
headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Accept": "application/json"}
sessions: list[aiohttp.ClientSession] = []


async def take_turn(asked: Asked) -> Outcomes:
    if not sessions:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        )
        sessions.append(session)
    post = sessions[0].post

    async def ask(prompt: str) -> str:
        body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": prompt}]}).encode()
        async with post(url, data=body, headers=headers) as response:
            payload = json.loads(await response.read())
        return str(payload["choices"][0]["message"]["content"])

    return await all_at_once(ask, asked, told["width"])


if __name__ == "__main__":
    serve_async(take_turn, "aiohttp")
