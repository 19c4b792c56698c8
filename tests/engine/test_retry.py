"""Whether, and when, a failed request is sent again."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivetrace_core.engine.retry import BACKOFF_BASE_S, BACKOFF_MAX_S, RetryPolicy
from hivetrace_core.errors import ERROR_KINDS, RETRYABLE_KINDS, ModelError


def error(kind: str = "server", retry_after: float | None = None, retryable: bool | None = None) -> ModelError:
    return ModelError("no", kind=kind, retry_after=retry_after, retryable=retryable)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", sorted(ERROR_KINDS))
def test_only_kinds_that_another_attempt_may_cure_are_tried_again(kind: str) -> None:
    delay = RetryPolicy().delay(error(kind), attempts=1, elapsed=0)

    assert (delay is not None) == (kind in RETRYABLE_KINDS)


def test_a_single_error_may_say_otherwise() -> None:
    policy = RetryPolicy()

    assert policy.delay(error("server", retryable=False), attempts=1, elapsed=0) is None
    assert policy.delay(error("bad_request", retryable=True), attempts=1, elapsed=0) is not None


@pytest.mark.parametrize("allowed", [1, 2, 5])
def test_the_attempts_are_counted(allowed: int) -> None:
    policy = RetryPolicy(max_attempts=allowed)

    made = [policy.delay(error(), attempts=attempts, elapsed=0) is not None for attempts in range(1, 8)]

    assert made == [attempts < allowed for attempts in range(1, 8)]


@pytest.mark.parametrize("attempts", [1, 2, 3, 7, 8, 99])
def test_the_wait_is_a_random_share_of_a_doubling_bound(attempts: int) -> None:
    policy = RetryPolicy(max_attempts=100)
    bound = min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2 ** (attempts - 1))

    delays = [policy.delay(error(), attempts=attempts, elapsed=0) or 0.0 for _ in range(400)]

    assert all(0 <= delay <= bound for delay in delays)
    # Full jitter: all of the range is used.
    assert min(delays) < 0.1 * bound
    assert max(delays) > 0.9 * bound


@settings(deadline=None, max_examples=50)
@given(st.floats(0.001, 10_000))
def test_a_providers_own_wait_is_honoured_with_a_little_jitter_on_top(wait: float) -> None:
    delay = RetryPolicy().delay(error("rate_limit", wait), attempts=1, elapsed=0)

    assert delay is not None
    assert wait <= delay <= wait + min(1.0, 0.1 * wait)


def test_those_who_were_told_the_same_wait_do_not_come_back_together() -> None:
    policy = RetryPolicy()

    assert len({policy.delay(error("rate_limit", 30), attempts=1, elapsed=0) for _ in range(50)}) > 40


def test_a_wait_of_nothing_is_no_wait_to_honour() -> None:
    delay = RetryPolicy().delay(error("rate_limit", 0), attempts=1, elapsed=0)

    assert delay is not None
    assert 0 <= delay <= BACKOFF_BASE_S


@settings(deadline=None)
@given(
    retry_after=st.none() | st.floats(0.1, 1000),
    elapsed=st.floats(0, 120),
    attempts=st.integers(1, 10),
)
def test_no_attempt_starts_after_the_deadline(retry_after: float | None, elapsed: float, attempts: int) -> None:
    policy = RetryPolicy(max_attempts=100, deadline=60)

    delay = policy.delay(error("server", retry_after), attempts=attempts, elapsed=elapsed)

    assert delay is None or elapsed + delay < 60
    if elapsed >= 60 or (retry_after or 0) >= 60:
        assert delay is None


def test_a_deadline_leaves_room_for_what_fits_in() -> None:
    policy = RetryPolicy(deadline=60)

    assert policy.delay(error("server", 20), attempts=1, elapsed=30) is not None
    assert policy.delay(error("server", 30), attempts=1, elapsed=30) is None


def test_an_attempt_at_the_very_deadline_is_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: low)
    policy = RetryPolicy(deadline=60)

    assert policy.delay(error("server", 30), attempts=1, elapsed=30) is None
    assert policy.delay(error("server", 30), attempts=1, elapsed=29) == 30


def test_without_a_deadline_any_wait_is_waited_for() -> None:
    assert (RetryPolicy().delay(error("rate_limit", 86_400), attempts=1, elapsed=1e6) or 0) >= 86_400


def test_a_first_success_pays_nothing_for_the_machinery_of_retries() -> None:
    code = """
import asyncio, sys
from hivetrace_core import Model
class Echo(Model):
    async def ainvoke(self, prompt): return {"content": prompt}
assert asyncio.run(Echo().abatch(["a", "b"]))[1]["content"] == "b"
assert "tenacity" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
