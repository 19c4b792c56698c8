"""One model's requests: limits, attempts, retries, breaker and observers around one bare coroutine.

The same steps serve single calls (`call`), batches (`jobs`) and token streams (`stream`, in `streaming`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import traceback
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, Protocol, cast

from ..errors import ModelError
from ..redaction import Redactor
from ..responses import error_info, failed_response
from .breaker import Breaker
from .dispatch import Again, Job, dispatch
from .events import Observers, RequestFinished, RequestStarted, RetryScheduled, notify
from .limits import Lease, Limits
from .retry import RetryPolicy
from .timeouts import Timeouts

SINGLE: Final = -1
"""Index of a job that belongs to no batch."""

CANARY_PATIENCE_S: Final = 5.0
"""How long the others wait for the first request of a run when it gets no answer."""

REJECTED: Final = frozenset(
    {"rate_limit", "quota", "authentication", "permission", "not_found", "bad_request", "context_length", "not_sent"}
)
"""Kinds whose requests used no tokens: the provider turned them away."""

_log = logging.getLogger("hivetrace_core.engine")

Send = Callable[[Any, Job], Awaitable[dict[str, Any]]]


class Recorder(Protocol):
    """Who is told of every attempt of a batch, before it is made."""

    async def started(self, job: Job) -> None:
        """A request is about to be sent; it is sent when this returns. `job.attempts` counts it already."""

    def attempt_failed(self, job: Job, error: ModelError, retry_in: float | None) -> None:
        """An attempt has failed; the next one starts in `retry_in` seconds, or never."""


class Executor:
    """Makes the requests of one model instance.

    Args:
        send: One request: takes what `prepare` returned and the job, returns a complete response or raises.
        prepare: Checks a prompt before anything waits for it; raises `ModelError` for a malformed one.
        translate: Turns an exception of `send` into a `ModelError`.
        estimate: Tokens that a prepared prompt will use; only asked where there is a limit on tokens.
        used: Tokens that a response says it used, or None.
        redactor: Keeps secrets out of error messages and logs.
        timeout: Seconds for one attempt; None for no bound.
    """

    def __init__(
        self,
        send: Send,
        *,
        provider: str,
        model_name: str,
        limits: Limits,
        policy: RetryPolicy,
        timeout: float | None,
        prepare: Callable[[Any], Any] = lambda prompt: prompt,
        translate: Callable[[BaseException], ModelError],
        estimate: Callable[[Any], int] | None = None,
        used: Callable[[Mapping[str, Any]], int | None] | None = None,
        observers: Observers | None = None,
        redactor: Redactor | None = None,
        max_width: int | None = None,
    ) -> None:
        self.provider = provider
        self.model_name = model_name
        self.breaker = Breaker()
        self.limits = limits
        self.observers = observers or Observers()
        self._send = send
        self.prepare = prepare
        self._translate = translate
        self._estimate = estimate
        self._used = used
        self._policy = policy
        self.timeout = timeout
        self._redactor = redactor or Redactor()
        self._max_width = max_width

    async def call(self, prompt: Any) -> dict[str, Any]:
        """One prompt, with retries. A tripped breaker does not hold it back: its success closes the breaker.

        Raises:
            ModelError: the last attempt's.
        """
        job = Job(SINGLE, prompt)
        job.cancels = cancels()
        timeouts = Timeouts()
        while True:
            result = await self._step(job, timeouts)
            if type(result) is Again:
                await asyncio.sleep(result.delay)
            elif job.last_error is not None:
                raise job.last_error
            else:
                return result  # type: ignore[return-value]  # a step returns a response or Again

    def jobs(
        self,
        prompts: Iterable[Any] | AsyncIterable[Any],
        *,
        width: int,
        ordered: bool = True,
        recorder: Recorder | None = None,
        numbered: bool = False,
        canary: bool = False,
    ) -> AsyncGenerator[Job, None]:
        """Finished jobs, one per prompt; `job.result` is a response, failed ones included.

        Args:
            prompts: Pulled lazily.
            width: Requests in flight, within the instance's own cap.
            ordered: In input order, or as they finish.
            recorder: Told of every attempt.
            numbered: The source yields `(index, prompt)` pairs.
            canary: The first request goes alone until its attempt is over, so that a dead key costs one request.
        """
        self.breaker.rearm()
        step = partial(self._step, timeouts=Timeouts(), recorder=recorder, canary=_Canary() if canary else None)
        if self._max_width is not None:
            width = min(width, self._max_width)
        return dispatch(prompts, step, width=width, ordered=ordered, numbered=numbered)

    async def _step(
        self, job: Job, timeouts: Timeouts, recorder: Recorder | None = None, canary: _Canary | None = None
    ) -> dict[str, Any] | Again:
        """One attempt of one prompt: a response (failed ones included), or when to try again."""
        if canary is not None and not canary.over:
            await canary.turn()
        try:
            if self.breaker.tripped is not None and job.index != SINGLE:
                return self._unsent(job)
            try:
                prepared = self.prepare(job.item)
            except Exception as exc:  # noqa: BLE001  # a prompt may be anything; it fails alone
                return self._failed(job, self.understood(exc))
            return await self._attempt(job, prepared, timeouts, recorder)
        finally:
            if canary is not None:
                canary.end(sent=job.attempts > 0)

    async def _attempt(
        self, job: Job, prepared: Any, timeouts: Timeouts, recorder: Recorder | None
    ) -> dict[str, Any] | Again:
        tokens = self._estimate(prepared) if self._estimate is not None else 0
        lease = self.limits.try_enter(tokens)
        if lease is None:
            hopeless = self._tripped if job.index != SINGLE else None
            lease = await self.limits.enter(tokens, unless=hopeless)
            if lease is None:
                return self._unsent(job)
        used: int | None = 0
        try:
            # Much may have happened while it waited.
            if self.breaker.tripped is not None and job.index != SINGLE:
                return self._unsent(job)
            timeout = self.time_left(job)
            if timeout is not None and timeout <= 0 and job.last_error is not None:
                self.breaker.failed(job.last_error)
                return self._failed(job, job.last_error)
            job.attempts += 1
            if recorder is not None:
                await recorder.started(job)
            began = self.begin(job)
            used = None
            clock = timeouts.limit(timeout)
            try:
                with clock:
                    response = await self._send(prepared, job)
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as exc:  # noqa: BLE001  # the model's code may raise anything
                error = self.error(exc, job, expired=clock.expired, timeout=timeout)
            else:
                used = self.succeeded(job, response, began)
                return response
            if error.kind in REJECTED:
                used = 0
        finally:
            self.limits.leave(lease, tokens=used)
        delay = self.failed(job, error, began, recorder)
        return self._failed(job, error, time.monotonic() - began) if delay is None else Again(delay)

    # What a single attempt consists of; token streams use the same pieces.

    async def admit(self, prepared: Any) -> Lease:
        """Wait for the limits."""
        tokens = self._estimate(prepared) if self._estimate is not None else 0
        return self.limits.try_enter(tokens) or cast(Lease, await self.limits.enter(tokens))

    def time_left(self, job: Job) -> float | None:
        """Seconds that the next attempt may take; None for no bound."""
        left = self._policy.deadline
        if left is None:
            return self.timeout
        if job.first_sent is not None:
            left += job.first_sent - time.monotonic()
        return left if self.timeout is None else min(self.timeout, left)

    def begin(self, job: Job) -> float:
        """An attempt is sent now; `job.attempts` counts it already. Returns the time."""
        if self.observers.started:
            event = RequestStarted(self.provider, self.model_name, _index(job), job.attempts)
            notify(self.observers.started, event)
        job.reply = None
        job.trips = self.breaker.trips
        now = time.monotonic()
        if job.first_sent is None:
            job.first_sent = now
        return now

    def succeeded(self, job: Job, response: dict[str, Any], began: float) -> int | None:
        """An attempt was answered: complete the metadata. Returns the tokens used, where they are known."""
        latency = time.monotonic() - began
        job.last_error = None
        self.breaker.answered(job.trips)
        metadata = response["response_metadata"]
        metadata["attempts"] = job.attempts
        metadata["latency_s"] = round(latency, 6)
        if job.index != SINGLE:
            metadata["index"] = job.index
        if self.observers.finished:
            outcome = metadata.get("outcome")
            event = RequestFinished(self.provider, self.model_name, _index(job), job.attempts, latency, outcome, None)
            notify(self.observers.finished, event)
        return self._used(response) if self._used is not None else None

    def failed(self, job: Job, error: ModelError, began: float, recorder: Recorder | None = None) -> float | None:
        """An attempt has failed: what that means for the next one, of this prompt and of the others.

        Returns:
            Seconds until the next attempt; None where there is none.
        """
        self.complete(error, job.attempts)
        job.last_error = error
        now = time.monotonic()
        if self.observers.finished:
            finished = RequestFinished(
                self.provider, self.model_name, _index(job), job.attempts, now - began, None, error_info(error)
            )
            notify(self.observers.finished, finished)
        elapsed = now - (job.first_sent or now)
        delay = self._policy.delay(error, attempts=job.attempts, elapsed=elapsed)
        if error.retry_after and error.retryable:
            if self._policy.deadline is not None and error.retry_after >= self._policy.deadline:
                # Nobody can wait that long: the whole provider is out of reach.
                self.breaker.trip(error)
            else:
                self.limits.pause(error.retry_after)
        if self.breaker.tripped is not None and job.index != SINGLE:
            delay = None
        if recorder is not None:
            recorder.attempt_failed(job, error, delay)
        if delay is None:
            self.breaker.failed(error)
        elif self.observers.retry:
            event = RetryScheduled(self.provider, self.model_name, _index(job), job.attempts, delay, error_info(error))
            notify(self.observers.retry, event)
        return delay

    def error(self, exc: BaseException, job: Job, *, expired: bool, timeout: float | None) -> ModelError:
        """The `ModelError` that an exception of an attempt amounts to.

        Raises:
            asyncio.CancelledError: the attempt was cancelled, whatever the model's code made of that.
        """
        if cancels() > job.cancels:
            raise exc if isinstance(exc, asyncio.CancelledError) else asyncio.CancelledError() from exc
        if expired and isinstance(exc, (TimeoutError, asyncio.CancelledError)):
            return ModelError(f"No answer within {timeout:.3g} s", kind="timeout")
        if isinstance(exc, asyncio.CancelledError):
            # Nobody cancelled us: the model's own code let a cancellation of something else escape.
            return ModelError("The model's call was cancelled from inside", kind="unexpected")
        return self.understood(exc)

    def understood(self, exc: BaseException) -> ModelError:
        """The `ModelError` that an exception of the model's code means; one that nobody foresaw goes to the log."""
        if isinstance(exc, ModelError):
            return exc
        error = self._translate(exc)
        if error.kind == "unexpected":
            trace = "".join(traceback.format_exception(exc))
            _log.warning("%s failed on a prompt\n%s", self.model_name, self._redactor.text(trace).rstrip())
        return error

    def complete(self, error: ModelError, attempts: int) -> None:
        """Fill in what only the engine knows, and take out what nobody can use: secrets, waits that are no number."""
        error.attempts = attempts
        error.provider = error.provider or self.provider
        error.model = error.model or self.model_name
        if error.retry_after is not None and not 0 <= error.retry_after < math.inf:
            error.retry_after = None
        error.message = self._redactor.text(str(error.message))
        error.args = (error.message,)
        error.code = None if error.code is None else self._redactor.text(str(error.code))
        error.request_id = None if error.request_id is None else self._redactor.text(str(error.request_id))

    def _tripped(self) -> bool:
        return self.breaker.tripped is not None

    def _failed(self, job: Job, error: ModelError, latency: float | None = None) -> dict[str, Any]:
        self.complete(error, job.attempts)
        job.last_error = error
        rounded = None if latency is None else round(latency, 6)
        return cast(dict[str, Any], failed_response(error, index=_index(job), latency_s=rounded))

    def _unsent(self, job: Job) -> dict[str, Any]:
        """The breaker has tripped: a prompt that was never sent says so, one that was keeps its own last error."""
        error = job.last_error or self.breaker.not_sent()
        # Another call's success may close the breaker at this very moment.
        return self._failed(job, error or ModelError("Not sent: sending had been stopped", kind="not_sent"))


def cancels() -> int:
    """Cancellations of the running task that are not settled; code that swallows one leaves it counted."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _index(job: Job) -> int | None:
    return None if job.index == SINGLE else job.index


class _Canary:
    """Lets the first request go alone."""

    __slots__ = ("_ended", "_singing", "over")

    def __init__(self) -> None:
        self.over = False
        self._singing = False
        self._ended = asyncio.Event()

    async def turn(self) -> None:
        while self._singing and not self.over:
            try:
                async with asyncio.timeout(CANARY_PATIENCE_S):
                    await self._ended.wait()
            except TimeoutError:
                self.end(sent=True)
        self._singing = True

    def end(self, *, sent: bool) -> None:
        """The first step has ended. Where it came to no request (a malformed prompt), the next one takes its place."""
        if not self.over:
            self.over = sent
            self._singing = False
            self._ended.set()
            self._ended = asyncio.Event()
