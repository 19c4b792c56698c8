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
from typing import Any, Final, Generic, TypeVar

from .portal import blocked_loops

C = TypeVar("C")

_PATIENCE_S: Final = 5.0
"""How long closing waits for one client, and for other loops: one may stop, or be busy, at this very moment."""

_log = logging.getLogger("hivetrace_core.engine")


class _Entry(Generic[C]):
    __slots__ = ("client", "lifetime", "loop")

    lifetime: AsyncGenerator[None, None]

    def __init__(self, loop: asyncio.AbstractEventLoop, client: C) -> None:
        self.loop = loop
        self.client = client


_closing: Final[set[_Entry[Any]]] = set()
"""Held until they are closed: a loop that ends closes the generators that are left, but none that nobody holds."""


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
        entry = _Entry(loop, self._make())
        entry.lifetime = self._lifetime(entry)
        # No suspension between the check and the entry: starting the generator runs straight to its yield. The loop
        # notes every generator started in it, and `asyncio.run` closes them before it closes the loop.
        await entry.lifetime.__anext__()
        with self._lock:
            for key in [key for key, old in self._entries.items() if old.loop.is_closed()]:
                del self._entries[key]
            self._entries[id(loop)] = entry
        return entry

    async def _lifetime(self, entry: _Entry[C]) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            with self._lock:
                if self._entries.get(id(entry.loop)) is entry:
                    del self._entries[id(entry.loop)]
            try:
                await self._shut(entry.client)
            except asyncio.CancelledError:
                # A loop that ends cancels its tasks first, this one among them. Half a close is none.
                await self._shut(entry.client)
                raise
            finally:
                _closing.discard(entry)

    async def _shut(self, client: C) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._close(client)
        except Exception:  # noqa: BLE001  # it is of no use any more, whatever it says
            _log.debug("A client could not be closed", exc_info=True)

    async def aclose(self) -> None:
        """Close the clients of all loops that still run; the next use makes new ones."""
        here = asyncio.get_running_loop()
        with self._lock:
            # A loop that has stopped hears of it when the generator is collected, should it ever run again.
            entries = [entry for entry in self._entries.values() if entry.loop.is_running()]
            self._entries.clear()
        _closing.update(entries)
        elsewhere = [closing for entry in entries if entry.loop is not here and (closing := _close_in_its_loop(entry))]
        for entry in entries:
            if entry.loop is here:
                await _aclose(entry.lifetime)
        if elsewhere:
            await asyncio.wait(elsewhere, timeout=_PATIENCE_S)


def _close_in_its_loop(entry: _Entry[Any]) -> asyncio.Future[None] | None:
    """Start closing a client of another loop; None where there is nothing to wait for."""
    closing = _aclose(entry.lifetime)
    try:
        future = asyncio.run_coroutine_threadsafe(closing, entry.loop)
    except RuntimeError:  # it was closed at this very moment, and has closed its clients
        closing.close()
        _closing.discard(entry)
        return None
    # A loop that stands still until we return closes its client when it goes on.
    return asyncio.wrap_future(future) if entry.loop not in blocked_loops() else None


async def _aclose(lifetime: AsyncGenerator[Any, None]) -> None:
    with contextlib.suppress(RuntimeError):  # its loop is ending and closes it already
        await lifetime.aclose()
