"""Whether a failed request is sent again, and when.

The policies are tenacity's, asked only after an attempt has failed: a request that succeeds pays nothing for them.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from ..errors import ModelError

if TYPE_CHECKING:
    from tenacity import RetryCallState

BACKOFF_BASE_S: Final = 0.5
BACKOFF_MAX_S: Final = 60.0
"""Full jitter: before attempt n + 1 a random time between 0 and min(max, base * 2 ** (n - 1)) seconds.

Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
"""


class RetryPolicy:
    """Finite retries with full jitter; a provider's own "wait" is honoured.

    Args:
        max_attempts: Requests for one prompt, the first included.
        deadline: Seconds from the first request; no attempt starts after it. None for no bound.
    """

    def __init__(self, *, max_attempts: int = 5, deadline: float | None = None) -> None:
        self.max_attempts = max_attempts
        self.deadline = deadline
        self._stop: Any = None
        self._wait: Any = None

    def delay(self, error: ModelError, *, attempts: int, elapsed: float) -> float | None:
        """Seconds to wait before the next attempt; None where there will be none.

        Args:
            error: Why the last attempt failed.
            attempts: Requests sent so far.
            elapsed: Seconds since the first of them was sent.
        """
        if not error.retryable:
            return None
        if self._stop is None:
            self._load()
        state = _state(attempts)
        if self._stop(state):
            return None
        if error.retry_after:
            # Everybody was told the same: a little jitter keeps them from coming back in one burst.
            delay = error.retry_after + random.uniform(0, min(1.0, 0.1 * error.retry_after))
        else:
            delay = float(self._wait(state))
        if self.deadline is not None and elapsed + delay >= self.deadline:
            return None
        return delay

    def _load(self) -> None:
        import tenacity

        self._wait = tenacity.wait_random_exponential(multiplier=BACKOFF_BASE_S, max=BACKOFF_MAX_S)
        self._stop = tenacity.stop_after_attempt(self.max_attempts)


def _state(attempts: int) -> RetryCallState:
    import tenacity

    state = tenacity.RetryCallState(retry_object=tenacity.Retrying(), fn=None, args=(), kwargs={})
    state.attempt_number = attempts
    return state
