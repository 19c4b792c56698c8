"""The window under random delays, repeats, faults and consumers: nothing lost, nothing doubled, no bound passed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hivetrace_core.engine.dispatch import Again, Job, dispatch
from hivetrace_core.engine.weight import weigh, weigh_result

from .virtual_time import run


@dataclass
class Item:
    """What happens to one item: the seconds of each of its turns, and what comes between them."""

    turns: list[float]
    pauses: list[float]
    source_delay: float

    def __repr__(self) -> str:
        return f"Item({self.turns}, {self.pauses}, {self.source_delay})"


@dataclass
class Plan:
    """One use of the window."""

    items: list[Item]
    width: int
    max_open: int
    ordered: bool
    asynchronous: bool
    consumer: list[float]
    source_fails: bool = False
    stop_after: int | None = None


NO_SUSPENSION = -1.0
seconds = st.sampled_from([NO_SUSPENSION, 0.0, 0.0, 0.5, 1.0, 1.0, 2.5, 10.0])


@st.composite
def an_item(draw: st.DrawFn) -> Item:
    turns = draw(st.lists(seconds, min_size=1, max_size=3))
    pauses = draw(st.lists(seconds.map(abs), min_size=len(turns) - 1, max_size=len(turns) - 1))
    return Item(turns, pauses, draw(seconds))


plans = st.builds(
    Plan,
    items=st.lists(an_item(), max_size=20),
    width=st.integers(1, 5),
    max_open=st.integers(1, 8),
    ordered=st.booleans(),
    asynchronous=st.booleans(),
    consumer=st.lists(seconds, min_size=1, max_size=5),
    source_fails=st.booleans(),
    stop_after=st.none() | st.integers(0, 20),
)


async def spend(delay: float) -> None:
    """Some seconds; less than none does not even suspend."""
    if delay >= 0:
        await asyncio.sleep(delay)


class SourceError(Exception):
    """What a source may raise in the end."""


@dataclass
class Witness:
    """Watches one use of the window from outside."""

    plan: Plan
    pulled: int = 0
    running: int = 0
    pulling: bool = False
    turns: Counter[int] = field(default_factory=Counter)
    delivered: list[int] = field(default_factory=list)
    ended: bool = False

    def source(self) -> Iterator[int]:
        for number in range(len(self.plan.items)):
            self.opened()
            yield number
        if self.plan.source_fails:
            raise SourceError

    async def asource(self) -> AsyncIterator[int]:
        for number, item in enumerate(self.plan.items):
            assert not self.pulling
            self.pulling = True
            await spend(item.source_delay)
            self.pulling = False
            self.opened()
            yield number
        if self.plan.source_fails:
            raise SourceError

    def opened(self) -> None:
        self.pulled += 1
        assert self.pulled - len(self.delivered) <= self.plan.max_open

    async def step(self, job: Job) -> Any:
        assert not self.ended
        item = self.plan.items[job.item]
        turn = self.turns[job.item]
        self.turns[job.item] += 1
        self.running += 1
        assert self.running <= self.plan.width
        try:
            await spend(item.turns[turn])
        finally:
            self.running -= 1
        return Again(item.pauses[turn]) if turn < len(item.pauses) else ("result", job.item)

    async def consume(self) -> None:
        plan = self.plan
        source = self.asource() if plan.asynchronous else self.source()
        jobs = dispatch(source, self.step, width=plan.width, ordered=plan.ordered, max_open=plan.max_open)
        async with aclosing(jobs):
            if plan.stop_after == 0:
                return
            async for job in jobs:
                assert job.result == ("result", job.item)
                assert job.index == job.item
                self.delivered.append(job.index)
                if len(self.delivered) == plan.stop_after:
                    return
                await spend(plan.consumer[len(self.delivered) % len(plan.consumer)])


@settings(deadline=None, max_examples=300)
@given(plans)
@example(Plan([Item([0.0, 0.0], [0.0], 0.0)] * 3, 1, 1, True, True, [0.0]))
def test_everything_is_delivered_once_in_order_and_within_the_bounds(plan: Plan) -> None:
    witness = Witness(plan)

    async def main() -> bool:
        failed = False
        try:
            await witness.consume()
        except SourceError:
            failed = True
        witness.ended = True
        assert witness.running == 0
        await asyncio.sleep(100)  # what was left behind would show now
        return failed

    failed = run(main())

    count = len(plan.items)
    stopped = plan.stop_after is not None and plan.stop_after <= count and (count > 0 or plan.stop_after == 0)
    expected = list(range(min(count, plan.stop_after) if stopped and plan.stop_after is not None else count))
    assert failed == (plan.source_fails and not stopped)
    if plan.ordered or not stopped:
        assert (witness.delivered if plan.ordered else sorted(witness.delivered)) == expected
    assert len(set(witness.delivered)) == len(witness.delivered) == len(expected)
    for number in witness.delivered:
        assert witness.turns[number] == len(plan.items[number].turns)
    for number, turns in witness.turns.items():
        assert turns <= len(plan.items[number].turns)


@settings(deadline=None, max_examples=60)
@given(
    items=st.lists(st.tuples(seconds, st.booleans()), min_size=1, max_size=12),
    fault=st.integers(0, 11),
    width=st.integers(1, 4),
    ordered=st.booleans(),
    asynchronous=st.booleans(),
)
def test_a_fault_anywhere_ends_the_window_and_everything_in_it(
    items: list[tuple[float, bool]], fault: int, width: int, ordered: bool, asynchronous: bool
) -> None:
    async def main() -> None:
        running = 0
        over = False

        async def source() -> AsyncIterator[int]:
            for number, (delay, _) in enumerate(items):
                await spend(delay)
                yield number

        async def step(job: Job) -> int:
            nonlocal running
            assert not over
            delay, slow_to_unwind = items[job.item]
            running += 1
            try:
                await spend(delay)
                if job.item == fault:
                    raise ZeroDivisionError
            except asyncio.CancelledError:
                if slow_to_unwind:
                    await asyncio.sleep(1)
                raise
            finally:
                running -= 1
            return job.item

        delivered = []
        caught = None
        try:
            async for job in dispatch(
                source() if asynchronous else range(len(items)), step, width=width, ordered=ordered
            ):
                delivered.append(job.result)  # noqa: PERF401  # what came before the fault counts
        except ZeroDivisionError as exc:
            caught = exc
        over = True
        assert running == 0
        assert (caught is None) == (fault >= len(items))
        assert len(set(delivered)) == len(delivered)
        assert fault not in delivered
        await asyncio.sleep(100)

    run(main())


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 3000)), max_size=25),
    max_bytes=st.integers(1, 8000),
    width=st.integers(1, 4),
    ordered=st.booleans(),
)
def test_nothing_is_let_in_while_the_open_bytes_are_at_the_bound(
    sizes: list[tuple[int, int]], max_bytes: int, width: int, ordered: bool
) -> None:
    async def main() -> None:
        weights: dict[int, int] = {}

        def source() -> Iterator[str]:
            for number, (prompt, _) in enumerate(sizes):
                assert sum(weights.values()) < max_bytes or not weights
                item = "p" * prompt
                weights[number] = weigh(item)
                yield item

        async def step(job: Job) -> dict[str, str]:
            await asyncio.sleep(job.index % 3)
            result = {"content": "r" * sizes[job.index][1]}
            weights[job.index] += weigh_result(result, None)
            return result

        async for job in dispatch(source(), step, width=width, ordered=ordered, max_bytes=max_bytes):
            del weights[job.index]
            await asyncio.sleep(job.index % 2)

    run(main())
