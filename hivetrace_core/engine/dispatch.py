"""A bounded sliding window over a stream of items.

A fixed number of worker tasks pull items, run one step on each and leave the result for the consumer. A step may ask
for another turn later (`Again`): the item then waits on a timer and its worker goes on with the next one, so that
waiting costs no capacity.

Three bounds hold at every moment: `width` steps run; at most `max_open` items are open (running, waiting for another
turn, or finished and not yet taken by the consumer); and no item is let in while the estimated bytes of the open ones
reach `max_bytes` (a lone item always is). In order, a slow head therefore stalls nobody until the bound is reached, and
a slow consumer pushes back on the source.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Final, cast

from .weight import weigh, weigh_result

if TYPE_CHECKING:
    from ..responses import Reply

MAX_OPEN_BYTES: Final = 256 * 1024 * 1024
"""Default bound on the estimated bytes of open items and their results."""

CLOSE_PATIENCE_S: Final = 5.0
"""How long closing waits for steps that do not end when they are cancelled."""

_log = logging.getLogger("hivetrace_core.engine")

_STEPS_PER_BREATH: Final = 16
"""A worker whose steps never suspend gives way to the event loop after this many."""


def max_open_for(width: int) -> int:
    """Open items allowed for a window of this width.

    With lognormal latencies an ordered window of 1 x width takes 5 times the wall time of an unordered one; 16 x takes
    none. 32 x leaves room for waiting retries.
    """
    return max(1024, 32 * width)


class Again:
    """What a step returns to be run again on the same item.

    Args:
        delay: Seconds from now.
    """

    __slots__ = ("delay",)

    def __init__(self, delay: float) -> None:
        self.delay = delay


class Job:
    """One open item.

    Attributes:
        index: Position in the input, from 0 (or the number that the source gave).
        item: What the source yielded.
        attempts: Requests sent for it so far.
        trips: How often the breaker had tripped when the last of them was sent.
        first_sent: Monotonic time of the first of them.
        result: What the last step returned.
        reply: The raw reply of the last attempt, where the provider has one.
    """

    __slots__ = (
        "attempts",
        "cancels",
        "done",
        "first_sent",
        "index",
        "item",
        "last_error",
        "reply",
        "result",
        "size",
        "trips",
    )

    def __init__(self, index: int, item: Any, size: int = 0) -> None:
        self.index = index
        self.item = item
        self.size = size
        self.attempts = 0
        self.trips = 0
        self.cancels = 0  # cancellations that its task had lived through before
        self.first_sent: float | None = None
        self.last_error: Any = None
        self.result: Any = None
        self.reply: Reply | None = None
        self.done = False


Step = Callable[[Job], Awaitable[Any]]


async def dispatch(
    source: Iterable[Any] | AsyncIterable[Any],
    step: Step,
    *,
    width: int,
    ordered: bool = True,
    numbered: bool = False,
    max_open: int | None = None,
    max_bytes: int = MAX_OPEN_BYTES,
) -> AsyncGenerator[Job, None]:
    """Run `step` on every item and yield the finished jobs, in input order or as they finish.

    An exception of the source is raised after the jobs of all items before it were yielded. An exception of a step is a
    fault of the caller's code: everything is cancelled at once and it propagates. Closing the iterator cancels what is
    running and waits until it is gone.

    Args:
        source: Items; pulled lazily, one at a time, in the running loop.
        step: Returns the result, or `Again`.
        width: Steps running at once.
        ordered: Yield in input order.
        numbered: The source yields `(index, item)` pairs.
        max_open: Bound on open items; by default `max_open_for(width)`.
        max_bytes: Bound on the estimated bytes of open items.
    """
    if width < 1:
        raise ValueError(f"width must be at least 1, not {width}")
    window = _Window(source, step, width, ordered, numbered, max_open or max_open_for(width), max_bytes)
    try:
        window.spawn()
        while (job := window.take()) is not None or (job := await window.arrival()) is not None:
            yield job
    finally:
        await window.close()


class _Window:
    def __init__(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        step: Step,
        width: int,
        ordered: bool,
        numbered: bool,
        max_open: int,
        max_bytes: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._step = step
        self._width = width
        self._ordered = ordered
        self._numbered = numbered
        self._max_open = max_open
        self._max_bytes = max_bytes
        self._next: Any = None
        self._anext: Any = None
        if isinstance(source, AsyncIterable):
            self._anext = source.__aiter__().__anext__
        else:
            self._next = iter(source).__next__
        self._pulled = 0
        self._open = 0
        self._bytes = 0
        self._exhausted = False
        self._pulling = False
        self._source_error: BaseException | None = None
        self._fault: BaseException | None = None
        self._closed = False
        self._line: deque[Job] = deque()  # ordered: every open job in input order; unordered: the finished ones
        self._again: deque[Job] = deque()  # ready to run: timers that have run out, items that were waited for
        self._timers: dict[Job, asyncio.TimerHandle] = {}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._workers: set[asyncio.Task[None]] = set()

    # The consumer's side

    def take(self) -> Job | None:
        """The next finished job, if it is there already."""
        line = self._line
        if self._fault is not None or not line or (self._ordered and not line[0].done):
            return None
        job = line.popleft()
        self._open -= 1
        self._bytes -= job.size
        if self._idle and not (self._exhausted or self._pulling):
            self._wake()
        return job

    async def arrival(self) -> Job | None:
        """The next finished job; None when there will be no more."""
        while True:
            if self._fault is not None:
                raise self._fault
            if (job := self.take()) is not None:
                return job
            if self._exhausted and not self._open:
                if self._source_error is not None:
                    raise self._source_error
                return None
            self._waiter = self._loop.create_future()
            await self._waiter

    async def close(self) -> None:
        """Cancel what runs and wait for it to end."""
        self._halt()
        # A worker may need several loop turns to unwind; a cancellation of ours must not cut that short.
        cancelled: asyncio.CancelledError | None = None
        patience = self._loop.time() + CLOSE_PATIENCE_S
        while pending := [worker for worker in self._workers if not worker.done()]:
            left = patience - self._loop.time()
            if left <= 0:
                _log.warning("%d step(s) ignored their cancellation and were left behind", len(pending))
                break
            try:
                await asyncio.wait(pending, timeout=left)
            except asyncio.CancelledError as exc:
                cancelled = exc
        if cancelled is not None:
            raise cancelled

    # The workers' side

    def spawn(self) -> None:
        worker = self._loop.create_task(self._work())
        self._workers.add(worker)
        worker.add_done_callback(self._ended)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        if not worker.cancelled():
            if (fault := worker.exception()) is not None:
                self._fail(fault)
        elif not self._closed:
            # A cancellation that is not ours: its job would never be finished, and the consumer would wait for ever.
            self._fail(RuntimeError("A step was cancelled from outside the window"))

    async def _work(self) -> None:
        steps = 0
        while not self._closed:
            job = self._again.popleft() if self._again else self._pull()
            if job is None:
                await self._wait()
                if len(self._workers) > self._width + self._pulling:
                    return self._retire()
                continue
            if self._idle:
                if not self._exhausted and self._room():
                    self._wake()
            elif len(self._workers) < self._width and not self._exhausted:
                self.spawn()
            result = await self._step(job)
            if type(result) is not Again:
                self._finish(job, result)
            elif not self._closed:
                self._timers[job] = self._loop.call_later(result.delay, self._ready, job)
            steps += 1
            if steps % _STEPS_PER_BREATH == 0:
                await asyncio.sleep(0)

    def _room(self) -> bool:
        return self._open < self._max_open and self._bytes < self._max_bytes

    def _pull(self) -> Job | None:
        """The next item of a synchronous source; None where there is none to be had now."""
        if self._next is None or self._exhausted or not self._room():
            return None
        try:
            item = self._next()
        except StopIteration:
            self._end_of_source(None)
        except Exception as exc:  # noqa: BLE001  # raised again when all before it is delivered
            self._end_of_source(exc)
        else:
            return self._opened(item)
        return None

    async def _wait(self) -> None:
        """Wait for the next item of an asynchronous source, or until somebody calls."""
        if self._anext is None or self._pulling or self._exhausted or not self._room():
            await self._sleep()
            return
        self._pulling = True
        try:
            item = await self._anext()
        except StopAsyncIteration:
            self._end_of_source(None)
        except Exception as exc:  # noqa: BLE001  # raised again when all before it is delivered
            self._end_of_source(exc)
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled us: something inside the source was cancelled, and it let that escape.
            error = RuntimeError("The source of the items was cancelled from inside")
            error.__cause__ = exc
            self._end_of_source(error)
        else:
            self._again.append(self._opened(item))
        finally:
            self._pulling = False

    def _retire(self) -> None:
        # A worker was added for a repeat while this one waited for the source. It goes at once: as long as it counted,
        # another one could take itself for the one too many.
        self._workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        self._wake()

    def _opened(self, item: Any) -> Job:
        if self._numbered:
            index, item = item
        else:
            index = self._pulled
        self._pulled += 1
        job = Job(index, item, getsizeof(item) if type(item) is str else weigh(item))
        self._open += 1
        self._bytes += job.size
        if self._ordered:
            self._line.append(job)
        return job

    def _end_of_source(self, error: BaseException | None) -> None:
        self._exhausted = True
        self._source_error = error
        if not self._open:
            self._arrived()

    def _finish(self, job: Job, result: Any) -> None:
        job.result = result
        job.done = True
        grown = weigh_result(job.result, job.reply)
        job.size += grown
        self._bytes += grown
        line = self._line
        if not self._ordered:
            line.append(job)
        elif line[0] is not job:
            return
        self._arrived()

    def _arrived(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _ready(self, job: Job) -> None:
        del self._timers[job]
        self._again.append(job)
        if self._idle:
            self._wake()
        elif len(self._workers) < self._width + self._pulling:
            # Who waits for the source runs no step; the source may be waiting for this very repeat.
            self.spawn()

    async def _sleep(self) -> None:
        alarm = self._loop.create_future()
        self._idle.append(alarm)
        await alarm

    def _wake(self) -> None:
        while self._idle:
            alarm = self._idle.popleft()
            if not alarm.done():
                alarm.set_result(None)
                return

    def _fail(self, fault: BaseException) -> None:
        if self._closed:
            # The consumer has gone, or hears of an earlier one.
            _log.error("A step failed while everything was being stopped", exc_info=fault)
            return
        self._fault = fault
        self._halt()
        self._arrived()

    def _halt(self) -> None:
        """Let nothing begin any more and cancel what runs; once, because unwinding must not be cancelled again."""
        if self._closed:
            return
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for worker in self._workers:
            worker.cancel()
