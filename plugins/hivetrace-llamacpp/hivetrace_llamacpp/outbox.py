"""From the engine's thread to event loops: one call for all that a step has brought."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict

from .requests import Event, Request


class Outbox:
    """Collects events and hands them to the loops that wait for them."""

    def __init__(self) -> None:
        self._events: defaultdict[asyncio.AbstractEventLoop, list[tuple[Request, Event]]] = defaultdict(list)

    def post(self, request: Request, event: Event) -> None:
        """Add one."""
        self._events[request.loop].append((request, event))

    def flush(self) -> None:
        """Hand over what there is."""
        for loop, events in self._events.items():
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(_deliver, events)
        self._events.clear()


def _deliver(events: list[tuple[Request, Event]]) -> None:
    for request, event in events:
        if not request.cancelled:
            request.deliver(event)
