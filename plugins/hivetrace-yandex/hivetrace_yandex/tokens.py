"""IAM tokens of a callable: kept while they live, asked for once however many wait, renewed when they are refused."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import inspect
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from hivetrace_core import ErrorKind, ModelError

from .options import TokenProvider

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


class IamTokens:
    """The tokens of one model instance. One call of the provider serves all loops and threads that wait for it.

    Args:
        provider: Returns a token, or an awaitable of one. A plain function runs in a thread, for it may block.
        lifetime: Seconds for which a token is used.
        clock: Monotonic seconds.
    """

    def __init__(
        self, provider: TokenProvider, *, lifetime: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._provider = provider
        self._lifetime = lifetime
        self._clock = clock
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._flight: concurrent.futures.Future[Token] | None = None
        self._refused = False

    async def get(self) -> Token:
        """The token to send.

        Raises:
            ModelError: the provider gave none: kind `connection` or `timeout` where the network is to blame, else
                `authentication`.
        """
        if self._pid != os.getpid():
            self._start()  # a forked child: whoever was asking did so in the parent
        while True:
            with self._lock:
                token, flight = self._token, self._flight
                if token is not None and self._clock() < token.until:
                    return token
                leads = flight is None
                if flight is None:
                    flight = self._flight = concurrent.futures.Future()
                    flight.set_running_or_notify_cancel()  # from now on nobody who waits can cancel it
            if leads:
                return await self._ask_for_all(flight)
            try:
                return await asyncio.wrap_future(flight)
            except _GoneError:
                continue
            except ModelError as error:
                # The engine writes into an error whose it is: each prompt needs one of its own.
                raise copy.copy(error) from None

    def refused(self, token: Token) -> bool:
        """The service has answered this token with a 401. Says whether another one may be taken.

        It may not where the token is itself fresh from a renewal: then the account is to blame and not its age.
        """
        with self._lock:
            if token.renewed and not token.accepted:
                return False
            if self._token is token:
                self._token = None
                self._refused = True
            return True

    async def _ask_for_all(self, flight: concurrent.futures.Future[Token]) -> Token:
        try:
            value = await self._ask()
        except BaseException as exc:
            with self._lock:
                self._flight = None
            flight.set_exception(exc if isinstance(exc, ModelError) else _GoneError())
            raise
        with self._lock:
            token = Token(value, self._clock() + self._lifetime, renewed=self._refused)
            self._token, self._flight, self._refused = token, None, False
        flight.set_result(token)
        return token

    async def _ask(self) -> str:
        try:
            if inspect.iscoroutinefunction(self._provider):
                token = await self._provider()
            else:
                token = await asyncio.to_thread(self._provider)
                if inspect.isawaitable(token):
                    token = await token
        except ModelError:
            raise
        except Exception as exc:  # noqa: BLE001  # the user's code may raise anything
            raise _failed(exc) from None
        if not isinstance(token, str) or not token.strip() or not token.strip().isprintable():
            raise ModelError("iam_token_provider returned no token; it must return text", kind="authentication")
        return token.strip()


class _GoneError(Exception):
    """Whoever was asking for the token was cancelled; somebody else has to ask."""


def _failed(exc: Exception) -> ModelError:
    """Its type only: the text of such an exception may show what was sent for the token."""
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
