"""What several test files need: a clean environment, small servers, models that talk to a mock server."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from hivetrace_gigachat import GigaChatModel
from hivetrace_gigachat.dialect import AUTH_PATH

from hivetrace_core.mockserver import MockServer

Serve = Callable[..., str]
Make = Callable[..., GigaChatModel]
KEY = "Y2xpZW50LWlkOmNsaWVudC1zZWNyZXQtMTIz"  # client-id:client-secret-123


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("GIGACHAT_"):
            monkeypatch.delenv(name)


class _Server:
    """An aiohttp application in a thread of its own."""

    def __init__(self, handle: Callable[[web.Request], Any], context: ssl.SSLContext | None) -> None:
        self._handle, self._context = handle, context
        self._started, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0
        self._thread.start()
        assert self._started.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context).start()
        self.port = self._runner.addresses[0][1]
        self._started.set()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server for a coroutine `handle(request)`; returns scheme, host and port."""
    servers: list[_Server] = []

    def start(handle: Callable[[web.Request], Any], context: ssl.SSLContext | None = None) -> str:
        servers.append(_Server(handle, context))
        return f"{'https' if context else 'http'}://127.0.0.1:{servers[-1].port}"

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def model_of() -> Iterator[Make]:
    """Makes models that talk to a mock server, and closes them."""
    made: list[GigaChatModel] = []

    def make(server: MockServer, **options: Any) -> GigaChatModel:
        given = {
            "model": "gigachat",
            "base_url": server.url("gigachat"),
            "auth_url": server.root("gigachat") + AUTH_PATH,
            "batch_size": 16,
            "timeout": 20,
            **options,
        }
        if not {"access_token", "user"} & options.keys():
            given.setdefault("credentials", KEY)
        made.append(GigaChatModel(**given))
        return made[-1]

    yield make
    for model in made:
        model.close()
