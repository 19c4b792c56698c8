"""The breaker: stop sending when the next request cannot succeed either.

Some failures belong to one prompt (too long, malformed, one that always makes the server fail): they are recorded and
the others go on. Some belong to the account or the endpoint: a dead key, spent quota, a wrong address. Sending the rest
of ten thousand prompts against those wastes time and may get the account locked.
"""

from __future__ import annotations

import threading
from typing import Final

from ..errors import ErrorKind, ModelError

TRIP_AFTER: Final[dict[ErrorKind, int]] = {
    "authentication": 1,
    "quota": 1,
    "permission": 3,
    "not_found": 3,
    "connection": 10,
    "timeout": 20,
    "server": 20,
    "rate_limit": 20,
    "response_format": 20,
}
"""Failed prompts in a row, with no answer in between, after which nothing more is sent, by the kind of the last one."""

TRIP_AT_START: Final[dict[ErrorKind, int]] = {"permission": 1, "not_found": 1, "connection": 5, "response_format": 5}
"""The same while no request of this instance was ever answered."""

CURABLE_AT_LEAST: Final = 5
"""The same for a failure that another attempt might have cured, such as a token that has run out."""


LASTING: Final[frozenset[ErrorKind]] = frozenset({"authentication", "quota", "permission", "not_found"})
"""Reasons to stop that an answer to a request from before them says nothing about."""


class Breaker:
    """Counts failures in a row over all calls of one model instance. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._answered = False
        self._lasting = False
        self.trips = 0
        """How often it has tripped."""
        self.tripped: ModelError | None = None
        """The failure that stopped everything, or None."""

    def answered(self, trips: int | None = None) -> None:
        """A request was answered (a block is an answer): all is well.

        Not so where it was under way when the breaker tripped for a reason that lasts.

        Args:
            trips: What `trips` was when it was sent; None for a request that was sent just now.
        """
        if self._failures or not self._answered or self.tripped is not None:
            with self._lock:
                if self._lasting and trips not in (None, self.trips):
                    return
                self._failures = 0
                self._answered = True
                self.tripped = None

    def failed(self, error: ModelError) -> bool:
        """A prompt has failed for good; says whether that trips the breaker (or it was tripped)."""
        with self._lock:
            if self.tripped is not None:
                return True
            threshold = self._threshold(error)
            if threshold is None:
                # The provider did answer: the fault is the prompt's.
                self._failures = 0
                return False
            self._failures += 1
            if self._failures >= threshold:
                self._trip(error, lasting=error.kind in LASTING and not error.retryable)
            return self.tripped is not None

    def trip(self, error: ModelError) -> None:
        """Stop everything because of this error."""
        with self._lock:
            if self.tripped is None:
                self._trip(error, lasting=True)

    def rearm(self) -> None:
        """A new call may try again; its first failure of the same sort trips the breaker at once."""
        with self._lock:
            if self.tripped is not None:
                self._failures = (self._threshold(self.tripped) or 1) - 1
                self.tripped = None

    def _trip(self, error: ModelError, *, lasting: bool) -> None:
        self.tripped = error
        self.trips += 1
        self._lasting = lasting

    def _threshold(self, error: ModelError) -> int | None:
        threshold = TRIP_AFTER.get(error.kind)
        if threshold is not None and not self._answered:
            threshold = TRIP_AT_START.get(error.kind, threshold)
        return max(threshold, CURABLE_AT_LEAST) if threshold is not None and error.retryable else threshold

    def not_sent(self) -> ModelError | None:
        """The error for a prompt that is not sent because the breaker has tripped; None while it has not."""
        reason = self.tripped
        if reason is None:
            return None
        return ModelError(
            f"Not sent: sending was stopped after {reason.kind.replace('_', ' ')} ({reason.message})",
            kind="not_sent",
            provider=reason.provider,
            model=reason.model,
            status=reason.status,
            code=reason.code,
        )
