"""The server of the little provider in `acme.py`."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from aiohttp import web

from .acme import Acme


@pytest.fixture
def acme() -> Iterator[Acme]:
    """A server in a loop and a thread of its own, as a real one is."""
    server = Acme()
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/chat", server.chat)
        app.router.add_post("/stream", server.streamed)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield server
    for model in server.models:
        model.close()
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()
