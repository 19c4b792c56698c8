"""Blocking calls in daemon threads.

`asyncio.to_thread` has a handful of threads on a small machine, and the interpreter waits for them when it exits: a
model that hangs would keep the process alive. These threads are as many as there are calls at once, and nobody waits
for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import queue
import threading
from collections.abc import Callable
from typing import Any, Final

_IDLE_S: Final = 10.0


class DaemonThreads:
    """A pool that grows with the calls in progress; an idle thread ends after a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle = 0

    def submit(self, job: Callable[[], None]) -> None:
        """Run a job that handles its own exceptions."""
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
                self._jobs.put(job)
                return
        threading.Thread(target=self._serve, args=(job,), name="hivetrace-call", daemon=True).start()

    def _serve(self, job: Callable[[], None]) -> None:
        while True:
            job()
            del job
            with self._lock:
                self._idle += 1
            try:
                job = self._jobs.get(timeout=_IDLE_S)
            except queue.Empty:
                with self._lock:
                    if self._idle > 0:
                        self._idle -= 1
                        return
                # Between the timeout and the lock a job was meant for this thread.
                job = self._jobs.get()


_pool: tuple[int, DaemonThreads] | None = None
_pool_lock = threading.Lock()


def _threads() -> DaemonThreads:
    global _pool  # noqa: PLW0603  # one per process
    with _pool_lock:
        # Threads do not survive a fork.
        if _pool is None or _pool[0] != os.getpid():
            _pool = (os.getpid(), DaemonThreads())
        return _pool[1]


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Call a blocking function in a thread of its own, with the caller's context variables.

    Whatever it raises, `SystemExit` and `KeyboardInterrupt` included, is raised here. When the waiting task is
    cancelled the thread is left to itself.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def job() -> None:
        value, error = None, None
        try:
            value = context.run(function, *args)
        except BaseException as exc:  # noqa: BLE001  # raised again in the waiting task
            error = exc
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
            loop.call_soon_threadsafe(_resolve, future, (value, error))

    _threads().submit(job)
    value, error = await future
    if error is not None:
        try:
            raise error
        finally:
            del error  # break the cycle between this frame and the traceback
    return value


def _resolve(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)
