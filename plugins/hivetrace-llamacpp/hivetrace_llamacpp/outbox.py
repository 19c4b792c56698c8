"""From the engine's thread to event loops: what a step has brought, a few events in each turn of a loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Final
from weakref import WeakKeyDictionary

from .requests import Event, Request

AT_ONCE: Final = 4
"""Events for one turn of an event loop. The end of an answer brings its next prompt, about a millisecond of work; where
many end in one step, a loop that took them all at once would answer nobody else meanwhile."""


class Outbox:
    """Collects events and hands them to the loops that wait for them, for each loop in their order."""

    def __init__(self) -> None:
        self._lanes: WeakKeyDictionary[asyncio.AbstractEventLoop, deque[tuple[Request, Event]]] = WeakKeyDictionary()
        self._fresh: set[asyncio.AbstractEventLoop] = set()

    def post(self, request: Request, event: Event) -> None:
        """Add one."""
        self._lanes.setdefault(request.loop, deque()).append((request, event))
        self._fresh.add(request.loop)

    def flush(self) -> None:
        """Hand over what there is; returns at once."""
        for loop in self._fresh:
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(_deliver, loop, self._lanes[loop])
        self._fresh.clear()
        for loop in [loop for loop in self._lanes if loop.is_closed()]:
            del self._lanes[loop]  # what was not delivered would keep the loop


def _deliver(loop: asyncio.AbstractEventLoop, lane: deque[tuple[Request, Event]]) -> None:
    """Deliver a few events in the loop's own thread, and the rest in its next turns."""
    for _ in range(AT_ONCE):
        with contextlib.suppress(IndexError):
            request, event = lane.popleft()
            if not request.cancelled:
                request.deliver(event)
    if lane:
        loop.call_soon(_deliver, loop, lane)
