"""IAM tokens of a callable: kept while they live, asked for once however many wait, renewed when they are refused."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import copy
import inspect
import os
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Final

from hivetrace_core import ErrorKind, ModelError

from .options import TokenProvider

LONGEST_PATIENCE_S: Final = 60.0
"""Seconds after which an awaited call of the provider counts as lost, at most."""

PATIENCE_MARGIN_S: Final = 5.0
"""Seconds by which the patience exceeds the attempt of the one who asks, which ends the call by itself."""

_MOST_CAUSES: Final = 20


class Token:
    """One IAM token.

    Attributes:
        value: The token.
        until: Monotonic time after which another one is asked for.
        renewed: Whether it was asked for because the one before was refused.
        accepted: Whether the service has taken it.
    """

    __slots__ = ("accepted", "renewed", "until", "value")

    def __init__(self, value: str, until: float, *, renewed: bool) -> None:
        self.value = value
        self.until = until
        self.renewed = renewed
        self.accepted = False


class _Flight:
    """A call of the provider that others wait for.

    Attributes:
        future: Its token.
        began: Monotonic time.
        in_thread: Whether it is made in a thread of its own, and needs no event loop.
    """

    __slots__ = ("began", "future", "in_thread")

    def __init__(self) -> None:
        self.future: concurrent.futures.Future[Token] = concurrent.futures.Future()
        self.future.set_running_or_notify_cancel()  # from now on nobody who waits can cancel it
        self.began = time.monotonic()
        self.in_thread = False


class IamTokens:
    """The tokens of one model instance. One call of the provider serves all loops and threads that wait for it.

    Args:
        provider: Returns a token, or an awaitable of one. A plain function runs in a thread, for it may block; it goes
            on there when nobody waits any more, and its token is kept.
        lifetime: Seconds for which a token is used.
        patience: Seconds after which an awaited call counts as lost: its event loop stands still.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        provider: TokenProvider,
        *,
        lifetime: float,
        patience: float = LONGEST_PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._provider = provider
        self._lifetime = lifetime
        self._patience = patience
        self._clock = clock
        self._is_async = inspect.iscoroutinefunction(provider)
        self._start()

    def _start(self) -> None:
        # Reentrant: the garbage collector may close an abandoned leader while this very thread holds the lock.
        self._lock = threading.RLock()
        self._token: Token | None = None
        self._flight: _Flight | None = None
        self._awaitable: Awaitable[str] | None = None
        self._refused = False
        self._pid = os.getpid()

    def _own_lock(self) -> AbstractContextManager[bool]:
        if self._pid != os.getpid():
            self._start()  # a forked child: whoever was asking did so in the parent
        return self._lock

    async def get(self) -> Token:
        """The token to send.

        Raises:
            ModelError: the provider gave none: kind `connection` or `timeout` where the network is to blame, else
                `authentication`.
        """
        while True:
            mine = _Flight()  # not under the lock: whatever allocates may run the garbage collector
            with self._own_lock():
                token, flight = self._token, self._flight
                if token is not None and self._clock() < token.until:
                    return token
                awaitable = None
                if flight is None:
                    self._flight = mine
                    awaitable, self._awaitable = self._awaitable, None
                    mine.in_thread = awaitable is None and not self._is_async
            if flight is None:
                flight = mine
                if not flight.in_thread:
                    return await self._ask_for_all(flight, awaitable)
                self._call_in_thread(flight)
            try:
                return await self._wait_for(flight)
            except _GoneError:
                continue
            except ModelError as error:
                # The engine writes into an error whose it is: each prompt needs one of its own.
                raise copy.copy(error) from None

    def refused(self, token: Token) -> bool:
        """The service has answered this token with a 401. Says whether another one may be taken.

        It may not where the token is itself fresh from a renewal: then the account is to blame and not its age.
        """
        with self._own_lock():
            if token.renewed and not token.accepted:
                return False
            if self._token is token:
                self._token = None
                self._refused = True
            return True

    async def _wait_for(self, flight: _Flight) -> Token:
        if flight.in_thread:
            return await asyncio.wrap_future(flight.future)
        # From when it began, not from now: an attempt may have less time than that, and the next one goes on waiting.
        left = flight.began + self._patience - time.monotonic()
        try:
            async with asyncio.timeout(left):
                return await asyncio.wrap_future(flight.future)
        except TimeoutError:
            with self._own_lock():
                if self._flight is flight:
                    self._flight = None
            raise _GoneError from None

    async def _ask_for_all(self, flight: _Flight, awaitable: Awaitable[str] | None) -> Token:
        try:
            # Without an awaitable the provider is a coroutine function.
            token = self._made(await (self._provider() if awaitable is None else awaitable))  # type: ignore[misc]
        except Exception as exc:  # noqa: BLE001  # the user's code may raise anything
            error = _failed(exc)
            self._land(flight, error=error)
            raise error from None
        except BaseException:
            self._land(flight, error=_GoneError())
            raise
        self._land(flight, token)
        return token

    def _call_in_thread(self, flight: _Flight) -> None:
        context = contextvars.copy_context()
        try:
            threading.Thread(
                target=context.run, args=(self._call, flight), name="hivetrace-yandex-token", daemon=True
            ).start()
        except BaseException:
            self._land(flight, error=_GoneError())
            raise

    def _call(self, flight: _Flight) -> None:
        """Call the provider, for whoever waits then. An awaitable is left to one who has an event loop."""
        try:
            found = self._provider()
            if inspect.isawaitable(found):
                self._land(flight, error=_GoneError(), awaitable=found)
                return
            token = self._made(found)
        except BaseException as exc:  # noqa: BLE001  # the user's code may raise anything, and somebody waits
            self._land(flight, error=_failed(exc))
            return
        self._land(flight, token)

    def _made(self, found: object) -> Token:
        if not isinstance(found, str) or not found.strip() or not found.strip().isprintable():
            raise ModelError("iam_token_provider returned no token; it must return text", kind="authentication")
        return Token(found.strip(), self._clock() + self._lifetime, renewed=False)

    def _land(
        self,
        flight: _Flight,
        token: Token | None = None,
        *,
        error: Exception | None = None,
        awaitable: Awaitable[str] | None = None,
    ) -> None:
        """The call is over. Of one that counted as lost nothing is kept: another one has taken its place."""
        with self._own_lock():
            if self._flight is flight:
                self._flight = None
                self._awaitable = awaitable
                if token is not None:
                    token.renewed = self._refused
                    self._token, self._refused = token, False
        if token is not None:
            flight.future.set_result(token)
        else:
            flight.future.set_exception(error or _GoneError())


class _GoneError(Exception):
    """Whoever was asking for the token was cancelled; somebody else has to ask."""


def _failed(exc: BaseException) -> ModelError:
    """The type of an exception only: the text of such an exception may show what was sent for the token."""
    if isinstance(exc, ModelError):
        return exc
    what = f"iam_token_provider failed with {type(exc).__name__}"
    kind = _network_kind(exc)
    if kind is None:
        return ModelError(f"{what}; call it by itself to see why", kind="authentication")
    return ModelError(f"{what}; the place where it gets tokens could not be reached", kind=kind)


def _network_kind(exc: BaseException) -> ErrorKind | None:
    """Whether the network is behind an exception: HTTP libraries wrap what the system said."""
    cause: BaseException | None = exc
    for _ in range(_MOST_CAUSES):
        if cause is None:
            return None
        if isinstance(cause, TimeoutError):
            return "timeout"
        if isinstance(cause, OSError) and cause.filename is None:  # with a name it is about a file
            return "connection"
        cause = cause.__cause__ or cause.__context__
    return None
