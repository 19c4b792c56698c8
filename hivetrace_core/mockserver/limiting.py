"""A rate limit as servers enforce it: over a sliding window."""

from __future__ import annotations

from collections import deque

from .script import RateLimit


class SlidingWindow:
    """Counts what was admitted in the last `window` seconds.

    Args:
        limit: The rates; a window admits its share of a minute's, and at least one request.
    """

    def __init__(self, limit: RateLimit) -> None:
        self._window = limit.window
        self._requests = None if limit.rpm is None else max(1, int(limit.rpm * limit.window / 60))
        self._tokens = None if limit.tpm is None else max(1, int(limit.tpm * limit.window / 60))
        self._admitted: deque[tuple[float, int]] = deque()  # when each leaves the window, and what it cost
        self._spent = 0

    def admit(self, now: float, tokens: int) -> float | None:
        """Admit a request, or say how long it has to wait.

        Args:
            now: Seconds of a monotonic clock.
            tokens: What it costs; more than a whole window holds is admitted into an empty one.

        Returns:
            None where it was admitted, else seconds until it would be; what is not admitted does not count.
        """
        admitted = self._admitted
        while admitted and admitted[0][0] <= now:
            self._spent -= admitted.popleft()[1]
        if self._requests is not None and len(admitted) >= self._requests:
            return admitted[len(admitted) - self._requests][0] - now
        if self._tokens is not None and admitted and self._spent + tokens > self._tokens:
            return self._until_room(tokens) - now
        admitted.append((now + self._window, tokens))
        self._spent += tokens
        return None

    def _until_room(self, tokens: int) -> float:
        assert self._tokens is not None  # noqa: S101  # the one caller has checked
        spent = self._spent
        for moment, cost in self._admitted:
            spent -= cost
            if spent + tokens <= self._tokens:
                return moment
        return self._admitted[-1][0]
