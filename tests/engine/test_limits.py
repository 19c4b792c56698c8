"""Admission: requests in flight, tokens, pauses."""

from __future__ import annotations

import asyncio
import math
import threading
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivetrace_core.engine.limits import MARGIN, Limits

from .virtual_time import now, run

MINUTE = 60 * (1 + MARGIN)


def limits(*, max_concurrency: int | None = None, rpm: float | None = None, tpm: float | None = None) -> Limits:
    loop = asyncio.get_running_loop()
    return Limits(max_concurrency=max_concurrency, rpm=rpm, tpm=tpm, clock=loop.time)


async def seconds_to_enter(gate: Limits, tokens: int = 0) -> float:
    begin = now()
    await gate.enter(tokens)
    return round(now() - begin, 3)


def test_without_limits_everybody_enters_at_once() -> None:
    async def main() -> None:
        gate = limits()
        for _ in range(1000):
            assert gate.try_enter(10_000) is not None
        assert await seconds_to_enter(gate) == 0

    run(main())


def test_no_more_than_the_cap_are_inside_and_each_who_leaves_makes_room() -> None:
    async def main() -> None:
        gate = limits(max_concurrency=2)
        first, second = gate.try_enter(), gate.try_enter()
        assert first is not None
        assert second is not None
        assert gate.try_enter() is None
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(1)
        assert not waiting.done()
        gate.leave(first)
        await asyncio.wait_for(waiting, 1)
        assert gate.try_enter() is None

    run(main())


def test_a_refusal_at_the_door_keeps_no_place() -> None:
    async def main() -> None:
        gate = limits(max_concurrency=1, rpm=60)
        lease = gate.try_enter()
        assert lease is not None
        gate.leave(lease)
        assert gate.try_enter() is None  # too early by the clock
        await asyncio.sleep(2)
        assert gate.try_enter() is not None

    run(main())


def test_nobody_overtakes_those_who_wait_for_their_turn() -> None:
    async def main() -> None:
        gate = limits(rpm=60)
        await gate.enter()
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        asyncio.get_running_loop().advance(5)  # type: ignore[attr-defined]  # due, but not awake yet
        assert gate.try_enter() is None
        await waiting

    run(main())


def test_requests_are_spaced_evenly() -> None:
    async def main() -> list[float]:
        gate = limits(rpm=60)
        times = []
        for _ in range(30):
            await gate.enter()
            times.append(now())
        return [round(later - earlier, 6) for earlier, later in pairwise(times[1:])]

    assert set(run(main())) == {1.01}


@pytest.mark.parametrize("kind", ["rate", "pause", "place"])
def test_who_is_cancelled_while_waiting_leaves_nothing_behind(kind: str) -> None:
    async def main() -> None:
        gate = limits(max_concurrency=1, rpm=60 if kind == "rate" else None)
        lease = gate.try_enter()
        assert lease is not None
        if kind != "place":
            gate.leave(lease)
        if kind == "pause":
            gate.pause(30)
        waiting = [asyncio.create_task(gate.enter()) for _ in range(3)]
        await asyncio.sleep(0.1)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        if kind == "place":
            gate.leave(lease)
        await asyncio.sleep(60)
        assert await seconds_to_enter(gate) == 0
        assert gate.try_enter() is None  # the one place is taken

    run(main())


# Pauses


@pytest.mark.parametrize("rpm", [None, 6000])
def test_a_pause_holds_everybody_for_as_long_as_the_longest_one_asked_for(rpm: float | None) -> None:
    async def main() -> None:
        gate = limits(rpm=rpm)
        gate.pause(10)
        gate.pause(3)
        assert gate.try_enter() is None
        assert gate.paused_for == 10
        begin = now()
        waiting = [asyncio.create_task(gate.enter()) for _ in range(3)]
        await asyncio.sleep(9.9)
        gate.pause(5)  # asked for while they wait for the end of the first one
        await asyncio.wait(waiting)
        assert now() - begin == pytest.approx(14.9)
        assert gate.paused_for == 0

    run(main())


def test_a_pause_also_holds_those_who_only_waited_for_their_turn() -> None:
    async def main() -> None:
        gate = limits(rpm=60)
        await gate.enter()
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(0.5)
        begin = now()
        gate.pause(20)
        await waiting
        assert now() - begin == pytest.approx(20)

    run(main())


def test_after_a_pause_without_rates_all_go_on_together() -> None:
    async def main() -> None:
        gate = limits(max_concurrency=50)
        gate.pause(10)
        begin = now()
        await asyncio.gather(*(gate.enter() for _ in range(50)))
        assert now() - begin == 10

    run(main())


def test_a_pause_that_is_no_number_is_no_pause() -> None:
    async def main() -> None:
        gate = limits()
        gate.pause(math.nan)
        assert gate.try_enter() is not None

    run(main())


def test_a_pause_is_heard_in_every_thread() -> None:
    gate = Limits()
    entered = threading.Event()

    async def enter() -> None:
        await gate.enter()
        entered.set()

    gate.pause(0.2)
    thread = threading.Thread(target=asyncio.run, args=(enter(),))
    thread.start()
    assert not entered.wait(0.05)
    thread.join(30)
    assert entered.is_set()
    assert gate.paused_for == 0


# Tokens


def test_tokens_are_set_aside_before_a_request_and_free_a_minute_later() -> None:
    async def main() -> None:
        gate = limits(tpm=1000)
        assert gate.try_enter(400) is not None
        assert gate.try_enter(600) is not None
        assert gate.try_enter(1) is None
        assert MINUTE - 0.01 <= await seconds_to_enter(gate, 1000) <= MINUTE + 0.2

    run(main())


def test_what_was_not_used_comes_back_and_what_was_used_beyond_it_is_charged() -> None:
    async def main() -> None:
        gate = limits(tpm=1000)
        lease = gate.try_enter(900)
        assert lease is not None
        assert gate.try_enter(200) is None
        gate.leave(lease, tokens=100)
        other = gate.try_enter(200)
        assert other is not None
        gate.leave(other, tokens=850)
        assert gate.try_enter(51) is None
        assert gate.try_enter(50) is not None

    run(main())


def test_a_refund_lets_those_who_wait_for_tokens_go_soon() -> None:
    async def main() -> None:
        gate = limits(tpm=1000)
        lease = gate.try_enter(1000)
        assert lease is not None
        asyncio.get_running_loop().call_later(5, lambda: gate.leave(lease, tokens=0))
        assert 5 <= await seconds_to_enter(gate, 500) <= 5.1

    run(main())


def test_without_the_providers_word_the_estimate_stays_in_force() -> None:
    async def main() -> None:
        gate = limits(tpm=1000)
        lease = gate.try_enter(1000)
        assert lease is not None
        gate.leave(lease)
        assert gate.try_enter(1) is None

    run(main())


def test_what_ended_long_after_its_minute_changes_nothing() -> None:
    async def main() -> None:
        gate = limits(tpm=1000)
        old = gate.try_enter(1000)
        assert old is not None
        await asyncio.sleep(MINUTE + 1)
        assert gate.try_enter(600) is not None
        gate.leave(old, tokens=0)  # must not be refunded twice
        assert gate.try_enter(401) is None
        await asyncio.sleep(MINUTE + 1)
        assert gate.try_enter(1000) is not None

    run(main())


def test_a_negative_count_of_tokens_makes_no_room() -> None:
    async def main() -> None:
        gate = limits(tpm=1000)
        lease = gate.try_enter(1000)
        assert lease is not None
        gate.leave(lease, tokens=-5000)
        assert gate.try_enter(1000) is not None
        assert gate.try_enter(1) is None

    run(main())


def test_a_request_larger_than_the_limit_goes_when_it_has_the_minute_for_itself() -> None:
    async def main() -> None:
        gate = limits(tpm=1000)
        small = gate.try_enter(10)
        assert small is not None
        await asyncio.sleep(10)
        assert MINUTE - 10.01 <= await seconds_to_enter(gate, 5000) <= MINUTE - 9.8
        assert gate.try_enter(1) is None  # and nobody with it
        assert MINUTE - 0.01 <= await seconds_to_enter(gate, 1) <= MINUTE + 0.2

    run(main())


def test_requests_that_were_turned_away_do_not_hold_a_large_one_back() -> None:
    async def main() -> None:
        gate = limits(tpm=1000)
        lease = gate.try_enter(10)
        assert lease is not None
        gate.leave(lease, tokens=0)
        assert await seconds_to_enter(gate, 5000) == 0

    run(main())


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.01, 0.05, 0.3, 7.0, 45.0]),  # seconds since the one before
            st.integers(0, 60),  # estimate
            st.none() | st.integers(0, 120),  # what it used
            st.integers(0, 5),  # how many others come before it has ended
        ),
        max_size=40,
    )
)
def test_a_request_is_admitted_exactly_when_the_tokens_of_the_last_minute_leave_room_for_it(
    requests: list[tuple[float, int, int | None, int]],
) -> None:
    seconds = 0.0
    gate = Limits(tpm=100, clock=lambda: seconds)
    admitted: list[list[float]] = []  # when, and what it counts for by now
    ending: list[tuple[int, Any, int | None, list[float]]] = []

    def counted() -> float:
        return sum(tokens for when, tokens in admitted if when > seconds - MINUTE)

    for number, (pause, estimate, used, others) in enumerate(requests):
        seconds += pause
        for entry in [entry for entry in ending if entry[0] <= number]:
            ending.remove(entry)
            gate.leave(entry[1], tokens=entry[2])
            if entry[2] is not None:
                entry[3][1] = entry[2]
        lease = gate.try_enter(estimate)
        if lease is None:
            assert counted() + estimate > 100
            continue
        assert counted() + estimate <= 100 or counted() == 0
        admitted.append([seconds, estimate])
        ending.append((number + others, lease, used, admitted[-1]))


def test_a_large_request_is_not_overtaken_for_ever_by_small_ones() -> None:
    async def main() -> None:
        gate = limits(tpm=1000)

        async def small() -> None:
            while True:
                await gate.enter(100)
                await asyncio.sleep(0)

        crowd = [asyncio.create_task(small()) for _ in range(20)]
        await asyncio.sleep(1)
        assert await seconds_to_enter(gate, 1000) < 4 * MINUTE
        for task in crowd:
            task.cancel()
        await asyncio.wait(crowd)

    run(main())
