"""The thread that owns a model: it takes requests from event loops and answers many at a time."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from concurrent.futures import Future
from typing import Final

from hivetrace_core import HiveTraceError, ModelError

from .context import Context, ContextSettings
from .outbox import Outbox
from .requests import Answer, Event, Request
from .scheduler import Scheduler
from .statistics import Statistics
from .vocabulary import Vocabulary

LINGER_S: Final = 0.005
"""How long a step waits at most for the requests that follow those which have just ended."""

_LINGER_SHARE: Final = 0.05
"""And how long as a share of the last step."""

_log = logging.getLogger("hivetrace_llamacpp")


class Engine:
    """One loaded model, shared by all that use the same file with the same settings. Thread-safe.

    Args:
        settings: What to load, once it is started.
    """

    def __init__(self, settings: ContextSettings) -> None:
        self.settings = settings
        self._inbox: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._lock = threading.RLock()  # a model that is collected stops its engine in the middle of anything
        self._closing = False
        self._error: ModelError | None = None
        self._context: Context | None = None
        self._loaded: Future[Vocabulary] = Future()
        self._scheduler: Scheduler | None = None
        name = f"llamacpp-{settings.file.path.name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to load, in the engine's thread; once. Where there can be no thread, `opened` says so."""
        try:
            self._thread.start()
        except RuntimeError as exc:  # the process may have no more of them
            self._refuse(_broken(exc))

    @property
    def alive(self) -> bool:
        """Whether it takes requests."""
        return not self._closing

    @property
    def statistics(self) -> Statistics:
        """What it has done so far."""
        return self._scheduler.statistics if self._scheduler is not None else Statistics()

    async def opened(self) -> Vocabulary:
        """Wait until the model is loaded; returns its tokenizer.

        Raises:
            ModelError: it cannot be loaded.
        """
        if not self._loaded.done():
            await asyncio.wait([asyncio.wrap_future(_follower(self._loaded))])
        return self._loaded.result()

    def submit(self, request: Request) -> None:
        """Hand over a request; its events come to its loop.

        Raises:
            ModelError: the engine is closed, or has failed for good.
        """
        with self._lock:
            if self._closing:
                raise self._error or closed_error()
            self._inbox.put(request)

    def stop(self) -> None:
        """End everything that is under way and free the model; does not wait."""
        with self._lock:
            self._closing = True
            self._inbox.put(None)
            context = self._context
            if context is not None:
                context.abort()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end of the thread; says whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    # In the thread

    def _run(self) -> None:
        outbox = Outbox()
        try:
            context = Context(self.settings)
        except BaseException as exc:  # noqa: BLE001  # whatever it is, those who wait have to hear of it
            self._refuse(exc if isinstance(exc, HiveTraceError) else _broken(exc))
            return
        try:
            with self._lock:
                self._context = context
            scheduler = self._scheduler = Scheduler(context, outbox.post)
            for note in context.layout.notes:
                _log.warning("%s: %s", self.settings.file.path.name, note)
            self._loaded.set_result(context.vocabulary)
            try:
                self._serve(scheduler, outbox)
            except BaseException as exc:  # noqa: BLE001  # a fault of the engine ends what is under way, with its reason
                self._error = exc if isinstance(exc, ModelError) else _broken(exc)
            with self._lock:
                self._closing = True
            self._take_all(scheduler)
            scheduler.fail_all(self._error or closed_error())
            outbox.flush()
        finally:
            with self._lock:
                self._context = None
            context.close()

    def _serve(self, scheduler: Scheduler, outbox: Outbox) -> None:
        ended = 0
        while not self._closing:
            if not scheduler.busy:
                self._take(scheduler, None)
            elif ended and scheduler.hungry:
                # Whoever got an answer is about to send the next prompt; a step without it would be a step wasted.
                self._await_followers(scheduler, ended)
            self._take_all(scheduler)
            ended = scheduler.step()
            outbox.flush()

    def _await_followers(self, scheduler: Scheduler, count: int) -> None:
        done = scheduler.statistics
        until = time.monotonic() + min(LINGER_S, _LINGER_SHARE * done.decode_s / max(done.steps, 1))
        while count and (left := until - time.monotonic()) > 0 and self._take(scheduler, left):
            count -= 1

    def _take(self, scheduler: Scheduler, timeout: float | None) -> bool:
        try:
            request = self._inbox.get(timeout=timeout)
        except queue.Empty:
            return False
        if request is not None:
            scheduler.add(request)
        return request is not None

    def _take_all(self, scheduler: Scheduler) -> None:
        while True:
            try:
                request = self._inbox.get_nowait()
            except queue.Empty:
                return
            if request is not None:
                scheduler.add(request)

    def _refuse(self, error: HiveTraceError) -> None:
        """The model could not be loaded: nobody has a request here, because those need its tokenizer."""
        with self._lock:
            self._closing = True
        self._loaded.set_exception(error)


def closed_error() -> ModelError:
    """What a request gets whose model is closed meanwhile."""
    return ModelError("The model was closed while it answered", kind="connection", retryable=False, code="closed")


def _broken(exc: BaseException) -> ModelError:
    _log.error("The engine has failed", exc_info=exc)
    return ModelError(f"The engine has failed ({type(exc).__name__}: {exc})", kind="server", retryable=False)


def _follower(future: Future[Vocabulary]) -> Future[None]:
    """A future that ends with the other one; cancelling it leaves the other one alone."""
    follower: Future[None] = Future()

    def end(_: Future[Vocabulary]) -> None:
        if follower.set_running_or_notify_cancel():
            follower.set_result(None)

    future.add_done_callback(end)
    return follower


async def answer(engine: Engine, request: Request, events: asyncio.Queue[Event]) -> Answer:
    """Send a request that does not stream and wait for its answer.

    Raises:
        ModelError: it has failed.
    """
    engine.submit(request)
    try:
        event = await events.get()
    except asyncio.CancelledError:
        request.cancelled = True
        raise
    if isinstance(event, ModelError):
        raise event
    assert isinstance(event, Answer)  # noqa: S101  # pieces come to those who stream only
    return event
