"""One client per event loop.

HTTP pools belong to the loop that opened their connections. A model that is used from several loops (threads,
notebooks, one `asyncio.run` after another) therefore keeps one client for each, and closes it when that loop ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Generic, TypeVar

C = TypeVar("C")

_log = logging.getLogger("hivetrace_core.engine")


class _Entry(Generic[C]):
    __slots__ = ("client", "lifetime", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, client: C, lifetime: AsyncGenerator[None, None]) -> None:
        self.loop = loop
        self.client = client
        self.lifetime = lifetime


class LoopClients(Generic[C]):
    """Clients by event loop, made at first use and closed with their loop.

    Args:
        make: Makes a client; called inside the loop that will use it.
        close: Closes one, in the same loop.
    """

    def __init__(self, make: Callable[[], C], close: Callable[[C], Awaitable[None]]) -> None:
        self._make = make
        self._close = close
        self._lock = threading.Lock()
        self._entries: dict[int, _Entry[C]] = {}

    async def get(self) -> C:
        """The running loop's client."""
        loop = asyncio.get_running_loop()
        entry = self._entries.get(id(loop))
        if entry is None or entry.loop is not loop:
            entry = await self._open(loop)
        return entry.client

    async def _open(self, loop: asyncio.AbstractEventLoop) -> _Entry[C]:
        client = self._make()
        lifetime = self._lifetime(loop, client)
        # No suspension between the check and the entry: starting the generator runs straight to its yield. The loop
        # notes every generator started in it, and `asyncio.run` closes them before it closes the loop.
        await lifetime.__anext__()
        entry = _Entry(loop, client, lifetime)
        with self._lock:
            for key in [key for key, old in self._entries.items() if old.loop.is_closed()]:
                del self._entries[key]
            self._entries[id(loop)] = entry
        return entry

    async def _lifetime(self, loop: asyncio.AbstractEventLoop, client: C) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            with self._lock:
                entry = self._entries.get(id(loop))
                if entry is not None and entry.client is client:
                    del self._entries[id(loop)]
            try:
                await self._close(client)
            except Exception:  # noqa: BLE001  # it is of no use any more, whatever it says
                _log.debug("A client could not be closed", exc_info=True)

    async def aclose(self) -> None:
        """Close the clients of all loops that still run; the next use makes new ones."""
        here = asyncio.get_running_loop()
        with self._lock:
            entries = list(self._entries.values())
            self._entries.clear()
        for entry in entries:
            if entry.loop is here:
                await entry.lifetime.aclose()
            elif entry.loop.is_running():
                with contextlib.suppress(RuntimeError):  # it may stop at this very moment
                    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_aclose(entry.lifetime), entry.loop))


async def _aclose(lifetime: AsyncGenerator[Any, None]) -> None:
    await lifetime.aclose()
