"""A fair semaphore that works across event loops and threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque


class _Waiter:
    __slots__ = ("future", "granted", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()
        self.granted = False

    def tell(self) -> bool:
        """Wake the waiter in its own loop; False where that loop is gone."""
        try:
            self.loop.call_soon_threadsafe(self._resolve)
        except RuntimeError:
            return False
        return True

    def _resolve(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class Slots:
    """A fixed number of places, given out first come, first served.

    `asyncio.Semaphore` belongs to one loop; this one is shared by all the loops and threads that use a model.

    Args:
        places: How many may be taken at once.
    """

    def __init__(self, places: int) -> None:
        self._free = places  # 0 as long as somebody waits: a place that comes back goes to the queue
        # Reentrant: the garbage collector may close a waiting coroutine while this very thread holds the lock.
        self._lock = threading.RLock()
        self._queue: deque[_Waiter] = deque()

    @property
    def free(self) -> bool:
        """Whether a place is free; another thread may take it the next moment."""
        return self._free > 0

    def try_acquire(self) -> bool:
        """Take a place if one is free and nobody is waiting for it."""
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return True
            return False

    async def acquire(self) -> None:
        """Take a place, waiting for it in turn."""
        if self.try_acquire():
            return
        waiter = _Waiter(asyncio.get_running_loop())
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return
            self._queue.append(waiter)
        try:
            await waiter.future
        except BaseException:
            with self._lock:
                granted = waiter.granted
                with contextlib.suppress(ValueError):  # a release may have passed it over already
                    self._queue.remove(waiter)
            if granted:
                self.release()
            raise

    def release(self) -> None:
        """Give a place back, from any thread."""
        with self._lock:
            while self._queue:
                waiter = self._queue.popleft()
                # A loop that was closed with people still waiting in it cannot take the place.
                waiter.granted = waiter.tell()
                if waiter.granted:
                    return
            self._free += 1
