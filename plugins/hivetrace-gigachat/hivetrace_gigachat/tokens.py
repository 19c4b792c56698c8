"""The access token of one model instance, shared by all its event loops and threads. No I/O of its own.

Whoever finds no token that is good enough fetches one, and everybody else waits for that one request, in whatever loop
or thread. If the one who fetches is cancelled, the next in line takes over.
"""

from __future__ import annotations

import asyncio
import copy
import os
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

from hivetrace_core import ModelError

LIFETIME_S: Final = 1800.0
"""How long a token lives by the vendor's documentation; believed over a later expiry and over one in the past."""

SHORTEST_USE_S: Final = 1.0
"""A token is used at least so long, whatever it says of its expiry: the service limits requests for tokens (10/s)."""

FAILURE_PAUSE_S: Final = 1.0
"""Seconds between a failed request for a token and the next one."""

_Flight: TypeAlias = "Future[ModelError | None]"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token and its times, by the monotonic clock of this process: the wall clock may be wrong or be set.

    Attributes:
        value: What goes into the header.
        refresh_at: From when on a new one is fetched.
        dies_at: Until when the service takes it, as far as is known.
        fresh: Whether the last fetch brought it; False where that one failed and the token goes on.
    """

    value: str
    refresh_at: float
    dies_at: float
    fresh: bool = True

    @classmethod
    def lasting(cls, value: str, lifetime: float | None, *, buffer: float) -> AccessToken:
        """A token that was handed out now.

        Args:
            value: The token.
            lifetime: Seconds until its expiry as the token endpoint tells it; None where it does not.
            buffer: Seconds before its expiry at which it is renewed; of a short-lived one half its life at the most.
        """
        # An expiry in the past means that a clock is wrong, not that the token is dead; one that is far off would keep
        # a dead token. In both cases a 401 is the final word.
        life = LIFETIME_S if lifetime is None or lifetime <= 0 else min(lifetime, LIFETIME_S)
        used = max(life - buffer, life / 2, SHORTEST_USE_S)
        now = time.monotonic()
        return cls(value, now + used, now + max(life, used))


class Held(NamedTuple):
    """A token for one request.

    Attributes:
        value: The token.
        new: Whether it was fetched for this request, and so no other has shown that the service takes it.
    """

    value: str
    new: bool


Fetch: TypeAlias = Callable[[], Awaitable[AccessToken]]


class TokenStore:
    """Holds the token, and lets one request at a time fetch the next one. Thread-safe.

    Args:
        patience: Seconds after which a fetch counts as lost: its event loop stands still.
    """

    def __init__(self, *, patience: float) -> None:
        self._patience = patience
        self._token: AccessToken | None = None
        self._failure: ModelError | None = None
        self._not_before = 0.0
        self._start()

    def _start(self) -> None:
        # Reentrant: the garbage collector may close an abandoned fetch while this very thread holds the lock.
        self._lock = threading.RLock()
        self._flight: _Flight | None = None
        self._pid = os.getpid()  # last: another thread that finds it takes the new lock

    def _check_process(self) -> None:
        """In a forked child, the parent's threads, which would fetch or hold the lock, do not exist; its token does."""
        if self._pid != os.getpid():
            self._start()

    async def get(self, fetch: Fetch) -> Held:
        """A token that can be used now.

        Args:
            fetch: One request for a token, in the running loop.

        Raises:
            ModelError: the token endpoint's; everybody who waited for the same request gets it.
        """
        self._check_process()
        waited = False
        while True:
            token = self._token
            if token is not None and time.monotonic() < token.refresh_at:
                return Held(token.value, new=waited and token.fresh)
            flight, mine = self._join()
            if flight is not None and mine:
                return await self._fetch(flight, fetch)
            waited = True
            if flight is not None:
                await self._wait_for(flight)

    def discard(self, value: str) -> None:
        """The service refuses this token: forget it, unless another one has taken its place."""
        self._check_process()
        with self._lock:
            if self._token is not None and self._token.value == value:
                self._token = None

    def _join(self) -> tuple[_Flight | None, bool]:
        """The fetch that is under way, and whether it is the caller's to make; None where a token has come."""
        self._check_process()
        mine: _Flight = Future()
        mine.set_running_or_notify_cancel()  # a waiter that is cancelled must not cancel it for the others
        with self._lock:
            token, flight = self._token, self._flight
            if token is not None and time.monotonic() < token.refresh_at:
                return None, False
            if flight is not None:
                return flight, False
            self._flight = mine
            return mine, True

    async def _fetch(self, flight: _Flight, fetch: Fetch) -> Held:
        token: AccessToken | None = None
        error: ModelError | None = None
        try:
            await self._sit_out_failure()
            token = await fetch()
        except ModelError as exc:
            error = exc
        finally:
            old = self._land(flight, token, error)
        if token is not None:
            return Held(token.value, new=True)
        if old is not None:
            return Held(old.value, new=False)
        raise error or ModelError("No access token", kind="unexpected")

    def _land(self, flight: _Flight, token: AccessToken | None, error: ModelError | None) -> AccessToken | None:
        """The fetch is over, also by cancellation (neither token nor error). Returns the old token where it goes on."""
        self._check_process()
        kept: AccessToken | None = None
        error = copy.copy(error)  # the one who fetched writes into his own: advice, and the number of attempts
        with self._lock:
            now = time.monotonic()
            if token is not None:
                self._token = token
            elif error is not None:
                self._failure = error
                self._not_before = now + max(FAILURE_PAUSE_S, error.retry_after or 0.0)
                if error.retryable and self._token is not None and now < self._token.dies_at:
                    # An outage that is shorter than the buffer harms nobody.
                    kept = replace(self._token, refresh_at=self._not_before, fresh=False)
                    self._token, error = kept, None
            if self._flight is flight:
                self._flight = None
        if not flight.done():
            flight.set_result(error)
        return kept

    async def _wait_for(self, flight: _Flight) -> None:
        try:
            async with asyncio.timeout(self._patience):
                error = await asyncio.wrap_future(flight)
        except TimeoutError:
            with self._lock:
                if self._flight is flight:
                    self._flight = None
            return
        if error is not None:
            raise copy.copy(error)  # the engine writes into it, for each prompt

    async def _sit_out_failure(self) -> None:
        wait = self._not_before - time.monotonic()
        if wait > FAILURE_PAUSE_S and self._failure is not None:
            error = copy.copy(self._failure)
            error.retry_after = wait
            raise error
        if wait > 0:
            await asyncio.sleep(wait)
