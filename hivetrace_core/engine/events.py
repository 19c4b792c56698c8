"""What observers are told, and how they are called."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..responses import ErrorInfo

_log = logging.getLogger("hivetrace_core.observers")


@dataclass(frozen=True, slots=True)
class RequestStarted:
    """A request is about to be sent.

    Attributes:
        index: Position of the prompt in its batch; None for a single call.
        attempt: 1 for the first request of a prompt.
    """

    provider: str
    model: str
    index: int | None
    attempt: int


@dataclass(frozen=True, slots=True)
class RequestFinished:
    """A request got its answer or failed.

    Attributes:
        latency_s: Seconds of this attempt.
        outcome: The outcome of the answer; None where the attempt failed.
        error: Why it failed; None where it did not.
    """

    provider: str
    model: str
    index: int | None
    attempt: int
    latency_s: float
    outcome: str | None
    error: ErrorInfo | None


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """A failed request will be sent again.

    Attributes:
        attempt: The attempt that failed.
        delay_s: Seconds until the next one.
    """

    provider: str
    model: str
    index: int | None
    attempt: int
    delay_s: float
    error: ErrorInfo


Callback: TypeAlias = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Observers:
    """Who is told what: bare callables of one event, resolved once."""

    started: tuple[Callback, ...] = ()
    finished: tuple[Callback, ...] = ()
    retry: tuple[Callback, ...] = ()


def notify(callbacks: Iterable[Callback], event: object) -> None:
    """Call every observer; one that raises is logged and changes nothing."""
    for callback in callbacks:
        try:
            callback(event)
        except Exception:  # noqa: BLE001  # observers are guests
            _log.exception("An observer failed on %s", type(event).__name__)
