"""Time limits for many attempts at once, with one timer for all of them.

`asyncio.timeout` makes and cancels a timer for every attempt, which is a third of what an attempt that succeeds costs.
Here it costs an entry in a dictionary; the one timer runs out at the earliest limit and looks who is late.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Any, Self


class Timeouts:
    """The limits of one batch. For one event loop: the one that runs when the first block begins."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: dict[Timeout, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = math.inf
        self._resting = False

    def limit(self, seconds: float | None) -> Timeout:
        """A context manager that cancels its block after so many seconds, as `asyncio.timeout` does; None for never."""
        return Timeout(self, seconds)

    def add(self, limit: Timeout, seconds: float) -> None:
        """A block begins."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        limit.when = self._loop.time() + seconds
        self._running[limit] = None
        if limit.when < self._next:
            self._arm(self._loop, limit.when)

    def remove(self, limit: Timeout) -> None:
        """A block has ended in time."""
        del self._running[limit]
        if not self._running and not self._resting and self._loop is not None:
            # No timer may stay behind; but the next block often begins in this very turn of the loop.
            self._resting = True
            self._loop.call_soon(self._rest)

    def _rest(self) -> None:
        self._resting = False
        if not self._running and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._next = math.inf

    def _arm(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = when
        self._timer = loop.call_at(when, self._expire, loop) if when < math.inf else None

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = max(self._next, loop.time())  # a timer may be early by the resolution of its clock
        for limit in [limit for limit in self._running if limit.when <= now]:
            del self._running[limit]
            limit.expire()
        self._arm(loop, min((limit.when for limit in self._running), default=math.inf))


class Timeout:
    """One block's limit. Where it expires the block ends in `TimeoutError`, unless somebody else cancelled it too."""

    __slots__ = ("_before", "_seconds", "_task", "_timeouts", "expired", "when")

    def __init__(self, timeouts: Timeouts, seconds: float | None) -> None:
        self._timeouts = timeouts
        self._seconds = seconds
        self._task: asyncio.Task[Any] | None = None
        self._before = 0
        self.when = math.inf
        self.expired = False

    def expire(self) -> None:
        """The time is over."""
        self.expired = True
        if self._task is not None:
            self._task.cancel()

    def __enter__(self) -> Self:
        if self._seconds is not None and (task := asyncio.current_task()) is not None:
            self._task = task
            self._before = task.cancelling()
            self._timeouts.add(self, self._seconds)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, _: TracebackType | None) -> None:
        task = self._task
        if task is None:
            return
        self._task = None
        if not self.expired:
            self._timeouts.remove(self)
        elif task.uncancel() <= self._before and isinstance(exc, asyncio.CancelledError):
            raise TimeoutError from exc
