"""Blocking calls to coroutines, from anywhere: scripts, threads, notebooks with a running loop, forked children.

One daemon thread hosts one event loop for the process, so that connections live on between blocking calls.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import Future, wait
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

_READ_AHEAD: Final = 32
_EXIT_PATIENCE_S: Final = 3.0


_blocked: contextvars.ContextVar[tuple[asyncio.AbstractEventLoop, ...]] = contextvars.ContextVar(
    "hivetrace_blocked_loops", default=()
)


def blocked_loops() -> tuple[asyncio.AbstractEventLoop, ...]:
    """Loops that stand still until the running code returns: blocking calls that led here were made inside them."""
    return _blocked.get()


def _blocked_here() -> tuple[asyncio.AbstractEventLoop, ...]:
    """The same as a coroutine sees it that the current thread waits for."""
    try:
        return (*_blocked.get(), asyncio.get_running_loop())
    except RuntimeError:
        return _blocked.get()


class _Call(Generic[T]):
    """A coroutine in the hosted loop. Its future is done only when the task has really ended, cancelled or not."""

    def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._task: asyncio.Task[T] | None = None
        self.future: Future[T] = Future()

    def start(self) -> None:
        """Begin, with the caller's context variables."""
        context = contextvars.copy_context()
        context.run(_blocked.set, _blocked_here())
        try:
            self._loop.call_soon_threadsafe(self._begin, context=context)
        except RuntimeError:  # the loop is closed: the process is ending
            self._give_up()
            raise

    def _begin(self) -> None:
        if not self.future.done():
            self._task = self._loop.create_task(self._coroutine)
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.future.set_exception(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())

    def _give_up(self) -> None:
        self._coroutine.close()
        self.future.set_exception(asyncio.CancelledError())

    def wait(self) -> T:
        """The result. Ctrl-C in the waiting thread cancels the task and lets it unwind first."""
        try:
            return self.future.result()
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Cancel the task and wait until it has ended."""
        if not self.future.done():
            self._loop.call_soon_threadsafe(self._cancel)
            wait([self.future])

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        elif not self.future.done():
            self._give_up()


class Portal:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._nested: Portal | None = None
        self._lock = threading.Lock()
        self._closing = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="hivetrace-loop", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the process is ending
            self._loop.close()
            raise
        atexit.register(self.close)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._closing:
            # A task that raises KeyboardInterrupt or SystemExit stops the loop; its caller gets the exception from the
            # task, the other callers' tasks must go on.
            with contextlib.suppress(KeyboardInterrupt, SystemExit):
                self._loop.run_forever()
        self._loop.close()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The hosted loop."""
        return self._loop

    @property
    def lost(self) -> bool:
        """Whether this is a forked child, which has the object but not the thread."""
        return self.pid != os.getpid()

    def here(self) -> Portal:
        """A portal that the current thread may wait for: this one, or a further one while this one stands still."""
        if self._closing:
            raise RuntimeError("The process is ending: use a coroutine with asyncio.run")
        if self._loop not in _blocked_here():
            return self
        with self._lock:
            if self._nested is None:
                self._nested = Portal()
        return self._nested.here()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> _Call[T]:
        """A coroutine for the hosted loop, not begun yet: `start` it where Ctrl-C already leads to its `cancel`."""
        return _Call(self._loop, coroutine)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> _Call[T]:
        """Start a coroutine in the hosted loop.

        Raises:
            RuntimeError: the process is ending, and the loop is closed.
        """
        call = self.call(coroutine)
        call.start()
        return call

    def close(self) -> None:
        """Cancel what runs, close the clients that live in the loop, then the loop; at the end of the process."""
        if self.lost or self._closing:
            return
        with contextlib.suppress(Exception):  # the process ends anyway
            self.start(self._shutdown()).future.result(_EXIT_PATIENCE_S)
        self._closing = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(1.0)  # a loop that some code blocks stays behind, in its daemon thread

    async def _shutdown(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
        await self._loop.shutdown_asyncgens()


_portal: Portal | None = None
_portal_lock = threading.Lock()


def portal() -> Portal:
    """The portal for the current thread and process; made at first use.

    Raises:
        RuntimeError: the process is ending (`atexit` handlers run): the portal is closed, and no thread can be started.
    """
    global _portal  # noqa: PLW0603  # one per process
    with _portal_lock:
        if _portal is None or _portal.lost:
            _portal = Portal()
        gate = _portal
    return gate.here()


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the hosted loop and wait for its result."""
    try:
        gate = portal()
    except RuntimeError:
        return asyncio.run(coroutine)
    call = gate.call(coroutine)
    try:
        call.start()
        return call.future.result()
    except BaseException:
        call.cancel()
        raise


def run_fed(items: Iterable[Any], consume: Callable[[AsyncIterator[Any]], Coroutine[Any, Any, T]]) -> T:
    """Run `consume(stream)` in the hosted loop while this thread reads `items` for it.

    The iterable is read here because it may belong to this thread (a file, a database cursor, a generator that blocks).
    It is read ahead of the consumer by a few items at most.
    """
    gate = portal()
    feed = _Feed(gate.loop)
    call = gate.call(consume(feed))
    call.future.add_done_callback(lambda _: feed.stop())
    try:
        call.start()
        feed.read(items)
        return call.future.result()
    except BaseException:
        call.cancel()
        raise


class _Feed(AsyncIterator[Any]):
    """Items on their way from the thread that reads them to the loop that takes them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._credit = threading.Semaphore(_READ_AHEAD)
        self._stopped = False
        self._items: deque[Any] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self._arrival = asyncio.Event()

    def read(self, items: Iterable[Any]) -> None:
        """Read until the end, an error, or `stop`; in the caller's thread."""
        error: Exception | None = None
        try:
            for item in items:
                self._credit.acquire()
                if self._stopped:
                    break
                self._items.append(item)
                self._loop.call_soon_threadsafe(self._arrival.set)
        except Exception as exc:  # noqa: BLE001  # raised again in the consumer
            error = exc
        self._loop.call_soon_threadsafe(self._end, error)

    def stop(self) -> None:
        """The consumer has ended: stop reading."""
        self._stopped = True
        self._credit.release()

    def _end(self, error: BaseException | None) -> None:
        self._ended = True
        self._error = error
        self._arrival.set()

    async def __anext__(self) -> Any:
        while not self._items:
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._arrival.clear()
            await self._arrival.wait()
        self._credit.release()
        return self._items.popleft()
