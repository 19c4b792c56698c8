"""Rates over many minutes of virtual time: what a provider that counts in a sliding window would see."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivetrace_core.engine.limits import Limits

from .virtual_time import now, run

Arrival = tuple[float, int]


async def keep_sending(
    gate: Limits, *, clients: int, until: float, latency: Callable[[], float], estimate: int, used: Callable[[], int]
) -> list[Arrival]:
    """Several clients that always have something to send: when each request was admitted, and what it used."""
    sent: list[Arrival] = []

    async def client() -> None:
        while now() < until:
            lease = await gate.enter(estimate)
            tokens = used()
            sent.append((now(), tokens))
            await asyncio.sleep(latency())
            gate.leave(lease, tokens=tokens)

    await asyncio.gather(*(client() for _ in range(clients)))
    return sent


def most_in_a_minute(arrivals: list[Arrival], *, tokens: bool) -> int:
    """The most that a sliding window of 60 s ever held."""
    ordered = sorted(arrivals)
    weights = [used if tokens else 1 for _, used in ordered]
    most = total = first = 0
    for last, (at, _) in enumerate(ordered):
        total += weights[last]
        while ordered[first][0] <= at - 60:
            total -= weights[first]
            first += 1
        most = max(most, total)
    return most


def used_share(arrivals: list[Arrival], limit: float, *, since: float, until: float, tokens: bool) -> float:
    """How much of the limit was used between two moments."""
    ordered = sorted(arrivals)
    begin, end = bisect_left(ordered, (since, 0)), bisect_left(ordered, (until, 0))
    total = sum(used if tokens else 1 for _, used in ordered[begin:end])
    return total / (limit * (until - since) / 60)


def on_their_way(sent: list[Arrival], chance: random.Random) -> list[Arrival]:
    """When they arrive at the provider: up to 0.3 s later, and differently each."""
    return [(at + chance.uniform(0, 0.3), used) for at, used in sent]


@pytest.mark.parametrize("rpm", [6, 60, 600, 6000])
def test_a_limit_on_requests_is_used_to_97_percent_and_never_exceeded_where_the_provider_counts(rpm: int) -> None:
    chance = random.Random(rpm)

    async def main() -> None:
        gate = Limits(rpm=rpm, clock=asyncio.get_running_loop().time)
        begin, until = now(), now() + (150 if rpm == 6000 else 600)
        sent = await keep_sending(
            gate,
            clients=200,
            until=until,
            latency=lambda: min(chance.lognormvariate(-0.5, 1), 30),
            estimate=0,
            used=lambda: 0,
        )

        assert most_in_a_minute(on_their_way(sent, chance), tokens=False) <= rpm
        assert used_share(sent, rpm, since=begin + 60, until=until, tokens=False) >= 0.97

    # Timers of a busy program are late.
    run(main(), lateness=lambda: chance.expovariate(1 / 0.002))


@pytest.mark.parametrize("estimate", [250, 600])
def test_a_limit_on_tokens_is_used_to_95_percent_and_never_exceeded_where_the_provider_counts(estimate: int) -> None:
    chance = random.Random(estimate)

    async def main() -> None:
        gate = Limits(tpm=60_000, max_concurrency=64, clock=asyncio.get_running_loop().time)
        begin, until = now(), now() + 300
        sent = await keep_sending(
            gate,
            clients=100,
            until=until,
            latency=lambda: min(chance.lognormvariate(-0.5, 1), 30),
            estimate=estimate,
            used=lambda: chance.randint(50, 250),
        )

        assert most_in_a_minute(on_their_way(sent, chance), tokens=True) <= 60_000
        assert used_share(sent, 60_000, since=begin + 60, until=until, tokens=True) >= 0.95

    run(main(), lateness=lambda: chance.expovariate(1 / 0.002))


def test_estimates_that_are_too_low_are_paid_back_afterwards() -> None:
    async def main() -> None:
        gate = Limits(tpm=60_000, max_concurrency=8, clock=asyncio.get_running_loop().time)
        begin, until = now(), now() + 600
        sent = await keep_sending(gate, clients=20, until=until, latency=lambda: 2.0, estimate=100, used=lambda: 400)

        # Only those in flight can be wrong at once.
        assert most_in_a_minute(sent, tokens=True) <= 60_000 + 8 * 300
        assert 0.95 <= used_share(sent, 60_000, since=begin + 60, until=until, tokens=True) <= 1.02

    run(main())


def test_both_limits_hold_together() -> None:
    chance = random.Random(3)

    async def main() -> None:
        gate = Limits(rpm=300, tpm=30_000, clock=asyncio.get_running_loop().time)
        sent = await keep_sending(
            gate,
            clients=50,
            until=now() + 300,
            latency=lambda: chance.uniform(0.1, 3),
            estimate=200,
            used=lambda: chance.choice([10, 200]),
        )

        assert most_in_a_minute(sent, tokens=False) <= 300
        assert most_in_a_minute(sent, tokens=True) <= 30_000

    run(main())


def test_after_idling_there_is_no_burst() -> None:
    async def main() -> list[float]:
        gate = Limits(rpm=600, clock=asyncio.get_running_loop().time)
        await gate.enter()
        await asyncio.sleep(300)
        times = []
        for _ in range(10):
            await gate.enter()
            times.append(now())
        return [later - earlier for earlier, later in pairwise(times)]

    gaps = run(main())

    # What was due in the last quarter of a second may follow closely; then the spacing holds again.
    assert sum(gaps) >= 9 * 0.101 - 0.25
    assert gaps[3:] == pytest.approx([0.101] * 6)


@settings(deadline=None, max_examples=50)
@given(
    rpm=st.sampled_from([1, 2, 7, 30, 120]),
    chance=st.randoms(use_true_random=False),
    events=st.lists(
        st.tuples(st.floats(0, 300), st.sampled_from(["pause", "cancel", "block", "burst"]), st.floats(0.1, 90)),
        max_size=8,
    ),
)
def test_no_sliding_minute_ever_holds_more_requests_than_allowed(  # noqa: C901
    rpm: int, chance: random.Random, events: list[tuple[float, str, float]]
) -> None:
    async def main() -> None:  # noqa: C901
        loop = asyncio.get_running_loop()
        gate = Limits(rpm=rpm, clock=loop.time)
        sent: list[Arrival] = []
        clients: list[asyncio.Task[None]] = []

        async def client(requests: int) -> None:
            for _ in range(requests):
                lease = await gate.enter()
                sent.append((now(), 0))
                gate.leave(lease)
                await asyncio.sleep(chance.choice([0, 0, 0.1, 5, 70]))

        def start(count: int) -> None:
            for _ in range(count):
                task = asyncio.create_task(client(chance.randint(1, 20)))
                clients.append(task)
                task.add_done_callback(clients.remove)

        def happen(what: str, size: float) -> None:
            if what == "pause":
                gate.pause(size)
            elif what == "block":
                loop.advance(size)  # type: ignore[attr-defined]  # some code keeps the loop busy
            elif what == "burst":
                start(int(size))
            elif clients:
                chance.choice(clients).cancel()

        start(3)
        for at, what, size in events:
            loop.call_later(at, happen, what, size)
        await asyncio.sleep(600)
        leftover = list(clients)
        for task in leftover:
            task.cancel()
        if leftover:
            await asyncio.wait(leftover)

        assert sent
        assert most_in_a_minute(sent, tokens=False) <= rpm

    run(main())
