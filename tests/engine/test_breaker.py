"""When sending stops: broken accounts and endpoints as opposed to poison prompts."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from hivetrace_core.engine.breaker import TRIP_AFTER, TRIP_AT_START, Breaker
from hivetrace_core.errors import ERROR_KINDS, ModelError

POISON = ("context_length", "bad_request", "unexpected", "not_sent")


def error(kind: str) -> ModelError:
    return ModelError(
        f"the {kind} message",
        kind=kind,
        provider="acme",
        model="m-1",
        status=418,
        code="teapot",  # type: ignore[arg-type]
    )


def failures_until_it_trips(breaker: Breaker, kind: str, *, most: int = 100) -> int | None:
    for count in range(1, most + 1):
        if breaker.failed(error(kind)):
            assert breaker.tripped is not None
            return count
        assert breaker.tripped is None
    return None


def answered() -> Breaker:
    breaker = Breaker()
    breaker.answered()
    return breaker


@pytest.mark.parametrize(
    ("kind", "at_start", "later"),
    [
        ("authentication", 1, 1),
        ("quota", 1, 1),
        ("permission", 1, 3),
        ("not_found", 1, 3),
        ("connection", 5, 10),
        ("response_format", 5, 20),
        ("timeout", 20, 20),
        ("server", 20, 20),
        ("rate_limit", 20, 20),
        *((kind, None, None) for kind in POISON),
    ],
)
def test_how_many_failures_in_a_row_trip_it(kind: str, at_start: int | None, later: int | None) -> None:
    assert failures_until_it_trips(Breaker(), kind) == at_start
    assert failures_until_it_trips(answered(), kind) == later


def test_every_kind_of_error_has_its_place() -> None:
    assert set(TRIP_AFTER) | set(POISON) == ERROR_KINDS
    assert set(TRIP_AT_START) <= set(TRIP_AFTER)
    assert all(TRIP_AT_START[kind] <= TRIP_AFTER[kind] for kind in TRIP_AT_START)


def test_an_answer_in_between_starts_the_count_again_and_closes_a_tripped_one() -> None:
    breaker = answered()
    for _ in range(19):
        breaker.failed(error("server"))
    breaker.answered()
    assert failures_until_it_trips(breaker, "server") == 20

    breaker.answered()
    assert breaker.tripped is None
    assert failures_until_it_trips(breaker, "connection") == 10


def test_a_poison_prompt_shows_that_the_provider_does_answer() -> None:
    breaker = answered()
    for _ in range(5):
        for _ in range(9):
            breaker.failed(error("connection"))
        assert not breaker.failed(error("bad_request"))
    assert failures_until_it_trips(breaker, "connection") == 10


def test_a_poison_prompt_is_no_answer_yet() -> None:
    breaker = Breaker()
    breaker.failed(error("bad_request"))

    assert failures_until_it_trips(breaker, "permission") == 1


def test_failures_of_several_kinds_count_together_by_the_threshold_of_the_last() -> None:
    breaker = answered()
    for _ in range(9):
        assert not breaker.failed(error("server"))

    assert breaker.failed(error("connection"))
    assert breaker.tripped is not None
    assert breaker.tripped.kind == "connection"


def test_the_first_reason_stays() -> None:
    breaker = Breaker()
    breaker.failed(error("authentication"))
    assert breaker.failed(error("quota"))
    assert breaker.failed(error("bad_request"))
    breaker.trip(error("rate_limit"))

    assert breaker.tripped is not None
    assert breaker.tripped.kind == "authentication"


@pytest.mark.parametrize("kind", sorted(TRIP_AFTER))
def test_a_new_call_tries_again_and_one_more_failure_of_that_sort_is_enough(kind: str) -> None:
    breaker = answered()
    failures_until_it_trips(breaker, kind)
    breaker.rearm()

    assert breaker.tripped is None
    assert failures_until_it_trips(breaker, kind) == 1


def test_rearming_one_that_has_not_tripped_changes_nothing() -> None:
    breaker = answered()
    for _ in range(9):
        breaker.failed(error("connection"))
    breaker.rearm()

    assert failures_until_it_trips(breaker, "connection") == 1


def test_it_can_be_tripped_from_outside_by_an_error_of_any_kind() -> None:
    breaker = answered()
    breaker.trip(error("rate_limit"))
    assert breaker.tripped is not None

    breaker.rearm()
    assert failures_until_it_trips(breaker, "rate_limit") == 1

    other = answered()
    other.trip(error("rate_limit"))
    other.answered()
    assert other.tripped is None


def test_the_error_of_what_is_not_sent_says_why() -> None:
    breaker = Breaker()
    assert breaker.not_sent() is None
    breaker.failed(error("authentication"))
    reason = breaker.not_sent()

    assert reason is not None
    assert reason.message == "Not sent: sending was stopped after authentication (the authentication message)"
    assert (reason.kind, reason.retryable, reason.attempts) == ("not_sent", False, 0)
    assert (reason.provider, reason.model, reason.status, reason.code) == ("acme", "m-1", 418, "teapot")
    assert breaker.not_sent() is not reason

    breaker.answered()
    breaker.trip(error("rate_limit"))
    other = breaker.not_sent()
    assert other is not None
    assert "after rate limit (" in other.message


def test_it_counts_over_all_threads() -> None:
    breaker = answered()
    barrier = threading.Barrier(19)

    def fail() -> None:
        barrier.wait()
        breaker.failed(error("server"))

    threads = [threading.Thread(target=fail) for _ in range(19)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert breaker.tripped is None
    assert breaker.failed(error("server"))


def test_a_token_that_has_run_out_is_no_dead_key() -> None:
    breaker = answered()
    curable = ModelError("the token has run out", kind="authentication", retryable=True)

    assert [breaker.failed(curable) for _ in range(5)] == [False] * 4 + [True]
    breaker.rearm()
    assert breaker.failed(curable)
    assert answered().failed(ModelError("no such key", kind="authentication"))


@pytest.mark.parametrize(("kind", "stays"), [("quota", True), ("authentication", True), ("server", False)])
def test_an_answer_to_a_request_from_before_a_lasting_reason_does_not_close_it(kind: Any, stays: bool) -> None:
    breaker = answered()
    under_way = breaker.trips
    while not breaker.failed(error(kind)):
        pass

    breaker.answered(under_way)
    assert (breaker.tripped is not None) == stays
    if stays:
        last = breaker.tripped
        breaker.rearm()
        breaker.answered(under_way)
        assert last is not None
        assert breaker.failed(last)
    breaker.answered(breaker.trips)
    assert breaker.tripped is None
