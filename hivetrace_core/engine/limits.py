"""Limits of one model instance: requests in flight, rates per minute, and pauses that a provider asked for.

They hold over all calls, event loops and threads that use the instance.

Requests are spaced evenly, `60 / rpm` seconds apart, rather than sent in bursts: providers that state a limit per
minute often enforce it over shorter windows. Tokens are counted in a sliding window of a minute. What is sent is
stamped here but counted by the provider when it arrives, so both keep `MARGIN` of distance from the limit.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from .slots import Slots

MARGIN: Final = 0.01
"""Share of a limit that is left unused: 0.6 s of a minute's window, more than a request's way to the server varies."""

CATCH_UP_S: Final = 0.25
"""Requests that were due this long ago may still follow closely, so that late timers do not cost throughput."""

GRAIN_S: Final = 0.1
"""The window of tokens is kept in pieces of this length, so that its size does not follow the rate."""

_MINUTE: Final = 60.0
_POLL_S: Final = 0.05  # refunds can make room for tokens earlier than foreseen
_ASK_S: Final = 1.0


class _Bucket:
    """Tokens of requests that were admitted close together; they leave the window with the last of them."""

    __slots__ = ("at", "began", "tokens")

    def __init__(self, began: float) -> None:
        self.began = began
        self.at = began
        self.tokens = 0


class Lease:
    """One admitted request: what it holds until it is given back."""

    __slots__ = ("bucket", "tokens")

    def __init__(self, bucket: _Bucket | None, tokens: int) -> None:
        self.bucket = bucket
        self.tokens = tokens


_FREE: Final = Lease(None, 0)


class Limits:
    """Admission of requests.

    Args:
        max_concurrency: Requests in flight; None for no cap.
        rpm: Requests per minute; None for no limit.
        tpm: Tokens per minute, prompt and answer together; None for no limit.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        max_concurrency: int | None = None,
        rpm: float | None = None,
        tpm: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tpm = tpm
        self._slots = Slots(max_concurrency) if max_concurrency is not None else None
        self._spacing = _MINUTE / rpm * (1 + MARGIN) if rpm is not None else 0.0
        self._clock = clock
        self._rated = rpm is not None or tpm is not None
        self._turnstile = Slots(1)
        self._lock = threading.RLock()  # reentrant for the same reason as in `Slots`
        self._due = 0.0
        self._pause_until = 0.0
        self._window: deque[_Bucket] = deque()
        self._tokens = 0

    def try_enter(self, tokens: int = 0) -> Lease | None:
        """Admit a request at once, or None where it has to wait (`enter`)."""
        if self._slots is not None and not self._slots.try_acquire():
            return None
        lease: Lease | None = None
        if not self._rated:
            lease = _FREE if self._pause_until <= self._clock() else None
        elif self._turnstile.free:
            lease, _ = self._admit(tokens)
        if lease is None and self._slots is not None:
            self._slots.release()
        return lease

    async def enter(self, tokens: int = 0, *, unless: Callable[[], object] | None = None) -> Lease | None:
        """Wait until a request may be sent, in turn.

        Args:
            tokens: Estimate of what it will use; only counted where there is a limit on tokens.
            unless: Asked about every second; when it says so, nobody waits any longer.

        Returns:
            None where `unless` has ended the waiting.
        """
        if self._slots is not None:
            await self._slots.acquire()
        try:
            # A pause that is over needs no turn; with rates, one at a time looks at the clock and the others queue.
            if not self._rated and self._pause_until <= self._clock():
                return _FREE
            await self._turnstile.acquire()
            try:
                while unless is None or not unless():
                    lease, wait = self._admit(tokens)
                    if lease is not None:
                        return lease
                    await asyncio.sleep(wait if unless is None else min(wait, _ASK_S))
            finally:
                self._turnstile.release()
        except BaseException:
            if self._slots is not None:
                self._slots.release()
            raise
        if self._slots is not None:
            self._slots.release()
        return None

    def leave(self, lease: Lease, *, tokens: int | None = None) -> None:
        """A request has ended.

        Args:
            lease: What `enter` returned.
            tokens: What it really used, where the provider said so: the difference to the estimate is refunded (or
                charged). None leaves the estimate in force.
        """
        bucket = lease.bucket
        if tokens is not None and bucket is not None:
            difference = max(tokens, 0) - lease.tokens
            with self._lock:
                bucket.tokens += difference
                lease.tokens += difference
                if self._window and bucket.at >= self._window[0].at:
                    self._tokens += difference
        if self._slots is not None:
            self._slots.release()

    def pause(self, seconds: float) -> None:
        """Let nobody send for this long; the longest pause asked for holds."""
        with self._lock:
            self._pause_until = max(self._pause_until, self._clock() + seconds)

    @property
    def paused_for(self) -> float:
        """Seconds until requests may be sent again; 0 where there is no pause."""
        return max(0.0, self._pause_until - self._clock())

    def _admit(self, tokens: int) -> tuple[Lease | None, float]:
        with self._lock:
            now = self._clock()
            if (wait := self._pause_until - now) > 0:
                return None, wait
            if (wait := self._due - now) > 0:
                return None, wait
            if self.tpm is not None:
                self._forget(now)
                # A request larger than the whole limit goes when it has the minute for itself.
                if self._tokens > 0 and self._tokens + tokens > self.tpm:
                    wait = self._window[0].at + _MINUTE * (1 + MARGIN) - now
                    return None, min(max(wait, 0.001), _POLL_S)
            if self._spacing:
                self._due = max(self._due, now - CATCH_UP_S) + self._spacing
            if self.tpm is None:
                return _FREE, 0.0
            if not self._window or now - self._window[-1].began >= GRAIN_S:
                self._window.append(_Bucket(now))
            bucket = self._window[-1]
            bucket.at = now
            bucket.tokens += tokens
            self._tokens += tokens
            return Lease(bucket, tokens), 0.0

    def _forget(self, now: float) -> None:
        horizon = now - _MINUTE * (1 + MARGIN)
        while self._window and self._window[0].at <= horizon:
            self._tokens -= self._window.popleft().tokens
