"""A server that remembers what it was sent, and an environment without Ollama's variables."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web


class Recorder:
    """A loopback server that answers every request with `reply` and keeps what it was sent.

    Attributes:
        reply: The JSON to answer with, or bytes to send as a stream's body.
        sent: The requests' JSON.
        headers: The requests' headers, names in lower case.
        paths: The requests' paths.
    """

    def __init__(self) -> None:
        self.reply: Any = {"message": {"content": "Hi"}, "done": True, "done_reason": "stop"}
        self.sent: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.sent.append(json.loads(body) if body else None)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.paths.append(request.path)
        if isinstance(self.reply, bytes):
            return web.Response(body=self.reply, content_type="application/x-ndjson")
        return web.json_response(self.reply)


@pytest.fixture(autouse=True)
def _no_ollama(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OLLAMA_HOST", "OLLAMA_BASE_URL", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    found = Recorder()
    loop = asyncio.new_event_loop()
    listening = threading.Event()

    async def serve() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", found.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    runner = loop.run_until_complete(serve())

    def forever() -> None:
        loop.call_soon(listening.set)
        loop.run_forever()

    thread = threading.Thread(target=forever, daemon=True)
    thread.start()
    listening.wait()
    yield found
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(runner.cleanup())
    loop.close()
