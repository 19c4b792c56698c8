"""The sliding window, one promise at a time."""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from hivetrace_core.engine import dispatch as module
from hivetrace_core.engine.dispatch import Again, Job, dispatch, max_open_for
from hivetrace_core.engine.weight import weigh
from hivetrace_core.responses import Reply

from .virtual_time import now, run


async def echo(job: Job) -> Any:
    return job.item


async def collect(jobs: AsyncIterator[Job]) -> list[Job]:
    return [job async for job in jobs]


async def results(jobs: AsyncIterator[Job]) -> list[Any]:
    return [job.result async for job in jobs]


async def collect_into(delivered: list[Any], jobs: AsyncIterator[Job]) -> None:
    async for job in jobs:
        delivered.append(job.result)  # noqa: PERF401  # what came before an error counts


async def items_of(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


@pytest.mark.parametrize("ordered", [True, False])
def test_an_empty_source_ends_at_once(ordered: bool) -> None:
    assert run(results(dispatch([], echo, width=3, ordered=ordered))) == []
    assert run(results(dispatch(items_of(), echo, width=3, ordered=ordered))) == []


def test_a_slow_head_does_not_stop_the_others_and_is_still_delivered_first() -> None:
    async def main() -> tuple[list[int], float]:
        async def step(job: Job) -> int:
            await asyncio.sleep(100 if job.item == 0 else 1)
            return job.item

        begin = now()
        return await results(dispatch(range(101), step, width=2)), now() - begin

    assert run(main()) == (list(range(101)), 100)


def test_unordered_jobs_come_as_they_finish_and_keep_their_number() -> None:
    async def main() -> list[tuple[int, str]]:
        async def step(job: Job) -> str:
            await asyncio.sleep({"slow": 3, "middle": 2, "fast": 1}[job.item])
            return job.item

        jobs = await collect(dispatch(["slow", "fast", "middle"], step, width=3, ordered=False))
        return [(job.index, job.result) for job in jobs]

    assert run(main()) == [(1, "fast"), (2, "middle"), (0, "slow")]


def test_a_numbered_source_says_which_index_a_job_has() -> None:
    async def main() -> list[tuple[int, str]]:
        jobs = await collect(dispatch([(7, "a"), (3, "b")], echo, width=2, numbered=True))
        return [(job.index, job.item) for job in jobs]

    assert run(main()) == [(7, "a"), (3, "b")]


def test_a_width_under_one_is_refused() -> None:
    with pytest.raises(ValueError, match="width must be at least 1, not 0"):
        run(results(dispatch([1], echo, width=0)))


def test_the_window_is_wide_enough_for_stragglers() -> None:
    assert max_open_for(1) == 1024
    assert max_open_for(64) == 2048


def test_lognormal_latencies_take_no_longer_in_order_than_greedily_on_as_many_workers() -> None:
    chance = random.Random(7)
    latencies = [chance.lognormvariate(0, 1) for _ in range(2000)]
    ends = [0.0] * 64
    for latency in latencies:
        heapq.heapreplace(ends, ends[0] + latency)

    async def main() -> float:
        begin = now()
        await results(dispatch(latencies, lambda job: asyncio.sleep(job.item), width=64))
        return now() - begin

    assert run(main()) <= 1.05 * max(ends)


# The source


def test_a_source_is_read_only_as_far_as_the_window_reaches() -> None:
    async def main() -> list[int]:
        pulled = 0
        seen = []

        def source() -> Iterator[int]:
            nonlocal pulled
            while True:
                pulled += 1
                yield pulled

        async with aclosing(dispatch(source(), echo, width=2, max_open=5)) as jobs:
            async for job in jobs:
                await asyncio.sleep(1)  # a slow consumer: the others may read as far as they can
                seen.append(pulled - job.result)
                if job.result == 20:
                    break
        return seen

    # Beside the job in the consumer's hands, five are open.
    assert set(run(main())) == {5}


def test_an_async_source_is_never_asked_twice_at_once() -> None:
    class Source:
        def __init__(self) -> None:
            self.left = 40
            self.busy = False

        def __aiter__(self) -> Source:
            return self

        async def __anext__(self) -> int:
            assert not self.busy
            self.busy = True
            await asyncio.sleep(0.01)
            self.busy = False
            self.left -= 1
            if self.left < 0:
                raise StopAsyncIteration
            return self.left

    async def main() -> list[int]:
        async def step(job: Job) -> int:
            await asyncio.sleep(1)
            return job.item

        return await results(dispatch(Source(), step, width=8))

    assert run(main()) == list(range(39, -1, -1))


def test_after_a_slow_stretch_of_the_source_the_whole_width_is_used_again() -> None:
    async def main() -> int:
        running = peak = 0

        async def source() -> AsyncIterator[int]:
            for item in range(40):
                await asyncio.sleep(5 if item < 20 else 0.01)
                yield item

        async def step(job: Job) -> None:
            nonlocal running, peak
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(1)
            running -= 1

        await collect(dispatch(source(), step, width=6))
        return peak

    assert run(main()) == 6


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
def test_what_a_source_raises_comes_after_everything_before_it(asynchronous: bool, ordered: bool) -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        raise OSError("disk gone")

    async def asource() -> AsyncIterator[int]:
        for item in source():
            yield item

    async def main() -> list[int]:
        async def step(job: Job) -> int:
            await asyncio.sleep(1)
            return job.item

        delivered: list[int] = []
        jobs = dispatch(asource() if asynchronous else source(), step, width=8, ordered=ordered)
        with pytest.raises(OSError, match="disk gone"):
            await collect_into(delivered, jobs)
        return sorted(delivered)

    assert run(main()) == [0, 1, 2]


def test_a_cancellation_that_escapes_from_inside_an_async_source_is_its_error_and_not_a_wait_for_ever() -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        lost = asyncio.get_running_loop().create_future()
        lost.cancel()
        yield await lost

    async def main() -> list[int]:
        delivered: list[int] = []
        with pytest.raises(RuntimeError, match="source of the items was cancelled from inside"):
            await collect_into(delivered, dispatch(source(), echo, width=2))
        return delivered

    assert run(main()) == [1]


@pytest.mark.parametrize("width", [1, 2])
def test_a_source_that_waits_for_the_results_of_its_own_items_gets_them_although_they_are_tried_again(
    width: int,
) -> None:
    async def main() -> list[str]:
        answers: asyncio.Queue[str] = asyncio.Queue()
        tried: set[int] = set()
        peak = running = 0

        async def source() -> AsyncIterator[str]:
            prompt = "0"
            for _ in range(4):
                yield prompt
                prompt = await answers.get() + "."

        async def step(job: Job) -> Any:
            nonlocal peak, running
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(0.1)
            running -= 1
            if job.index not in tried:
                tried.add(job.index)
                return Again(1.0)
            return job.item

        seen = []
        async for job in dispatch(source(), step, width=width):
            seen.append(job.result)
            answers.put_nowait(job.result)
        assert peak <= width
        return seen

    assert run(main()) == ["0", "0.", "0..", "0..."]


def test_repeats_use_the_whole_width_while_the_source_keeps_a_worker_waiting() -> None:
    async def main() -> float:
        begin = now()
        tried: set[int] = set()

        async def source() -> AsyncIterator[int]:
            for item in range(3):
                yield item
            await asyncio.sleep(1000)
            for item in range(3, 9):
                yield item

        peak = running = 0

        async def step(job: Job) -> Any:
            nonlocal peak, running
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(10)
            running -= 1
            if job.index not in tried:
                tried.add(job.index)
                return Again(1.0)
            return now() - begin

        done = await results(dispatch(source(), step, width=3))
        assert peak == 3
        return max(done[:3])

    assert run(main()) == 10 + 1 + 10


# Repeats


def test_a_step_that_wants_another_turn_waits_without_using_the_width() -> None:
    async def main() -> dict[str, float]:
        begin = now()
        tries: dict[str, int] = {}
        ends: dict[str, float] = {}

        async def step(job: Job) -> Any:
            tries[job.item] = tries.get(job.item, 0) + 1
            await asyncio.sleep(1)
            if job.item == "again" and tries["again"] < 3:
                return Again(10)
            ends[job.item] = now() - begin
            return job.item

        assert await results(dispatch(["again", "a", "b", "c"], step, width=1)) == ["again", "a", "b", "c"]
        return ends

    assert run(main()) == {"a": 2, "b": 3, "c": 4, "again": 23}


def test_who_waits_for_another_turn_counts_as_open() -> None:
    async def main() -> int:
        pulled = 0

        def source() -> Iterator[int]:
            nonlocal pulled
            for item in range(100):
                pulled += 1
                yield item

        async def step(job: Job) -> Any:
            return Again(60)

        async with aclosing(dispatch(source(), step, width=4, max_open=7)) as jobs:
            waiting = asyncio.ensure_future(anext(jobs))
            await asyncio.sleep(300)
            waiting.cancel()
            await asyncio.wait([waiting])
        return pulled

    assert run(main()) == 7


# Bytes


def test_open_items_stay_under_the_bound_on_bytes_and_a_giant_is_still_let_in() -> None:
    async def main() -> list[int]:
        pulled = 0

        def source() -> Iterator[str]:
            nonlocal pulled
            for size in (10, 10, 5000, 10, 10):
                pulled += 1
                yield "x" * size

        seen = []
        async with aclosing(dispatch(source(), echo, width=1, max_bytes=1000)) as jobs:
            async for _ in jobs:
                await asyncio.sleep(1)
                seen.append(pulled)
        return seen

    # Two small ones weigh over 1000 with their results. Nothing is let in beside the giant, and two when it has gone.
    assert run(main()) == [3, 3, 5, 5, 5]


def test_items_that_weigh_exactly_the_bound_are_enough() -> None:
    async def main(max_bytes: int) -> int:
        running = peak = 0

        async def step(job: Job) -> None:
            nonlocal running, peak
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(1)
            running -= 1

        await collect(dispatch("abcdef", step, width=4, max_bytes=max_bytes))
        return peak

    assert run(main(2 * weigh("a"))) == 2
    assert run(main(2 * weigh("a") + 1)) == 3


def test_results_and_raw_replies_count_as_open_bytes_too() -> None:
    async def pulls(step: Any) -> int:
        pulled = 0

        def source() -> Iterator[str]:
            nonlocal pulled
            for _ in range(100):
                pulled += 1
                yield "p"

        async with aclosing(dispatch(source(), step, width=1, max_bytes=50_000)) as jobs:
            await anext(jobs)
            await asyncio.sleep(1)
        return pulled

    async def with_result(job: Job) -> Any:
        return {"content": "x" * 10_000}

    async def with_reply(job: Job) -> Any:
        job.reply = Reply({"text": "x" * 10_000})
        return {"content": ""}

    assert run(pulls(with_result)) == 6
    assert run(pulls(with_reply)) == 6
    assert run(pulls(echo)) > 50


def test_an_item_that_contains_itself_is_an_item_like_others() -> None:
    odd: list[Any] = ["a"]
    odd.append(odd)

    assert run(results(dispatch([odd, "b"], lambda job: asyncio.sleep(0, "done"), width=1))) == ["done", "done"]


# Giving way


def test_steps_that_never_suspend_leave_the_loop_to_others() -> None:
    async def main() -> int:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        assert len(await results(dispatch(range(3200), echo, width=1, max_open=10_000))) == 3200
        task.cancel()
        await asyncio.wait([task])
        return turns

    # One worker, a breath every 16 steps.
    assert 200 <= run(main()) < 400


# Ends of all kinds


def test_closing_early_cancels_what_runs_and_waits_until_it_is_gone() -> None:
    async def main() -> list[str]:
        story: list[str] = []

        async def step(job: Job) -> int:
            if job.item == 0:
                return 0
            try:
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(1)  # unwinding may take a while
                story.append(f"{job.item} unwound")
            return job.item

        async with aclosing(dispatch(range(100), step, width=3)) as jobs:
            async for job in jobs:
                story.append(f"got {job.result}")
                await asyncio.sleep(0)
                break
        story.append("closed")
        return story

    story = run(main())

    assert (story[0], story[-1]) == ("got 0", "closed")
    assert sorted(story[1:-1]) == ["1 unwound", "2 unwound", "3 unwound"]


def test_closing_cancels_the_timers_of_those_who_wait_for_another_turn() -> None:
    async def main() -> int:
        steps = 0

        async def step(job: Job) -> Any:
            nonlocal steps
            steps += 1
            return Again(5) if job.item else "head"

        async with aclosing(dispatch(range(4), step, width=2)) as jobs:
            assert (await anext(jobs)).result == "head"
            await asyncio.sleep(1)
        await asyncio.sleep(100)
        return steps

    assert run(main()) == 4


def test_a_cancelled_consumer_cancels_what_runs() -> None:
    async def main() -> int:
        running = 0

        async def step(job: Job) -> None:
            nonlocal running
            running += 1
            try:
                await asyncio.sleep(1000)
            finally:
                running -= 1

        consumer = asyncio.create_task(collect(dispatch(range(10), step, width=4)))
        await asyncio.sleep(1)
        assert running == 4
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        return running

    assert run(main()) == 0


def test_a_second_cancellation_does_not_cut_the_unwinding_short() -> None:
    async def main() -> list[str]:
        story: list[str] = []

        async def step(job: Job) -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(2)
                story.append("unwound")

        async def consume() -> None:
            async with aclosing(dispatch([1], step, width=1)) as jobs:
                async for _ in jobs:
                    pass

        consumer = asyncio.create_task(consume())
        await asyncio.sleep(1)
        consumer.cancel()
        await asyncio.sleep(1)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        return story

    assert run(main()) == ["unwound"]


def test_a_consumer_that_is_cancelled_while_it_closes_is_cancelled_when_all_is_unwound() -> None:
    async def main() -> list[str]:
        story: list[str] = []

        async def step(job: Job) -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(2)
                story.append("unwound")

        async def close() -> None:
            async with aclosing(dispatch([0, 1], lambda job: step(job) if job.item else echo(job), width=2)) as jobs:
                await anext(jobs)
                await asyncio.sleep(1)
            story.append("went on")

        consumer = asyncio.create_task(close())
        await asyncio.sleep(2)  # it is closing
        consumer.cancel()
        await asyncio.wait([consumer])
        assert consumer.cancelled()
        return story

    assert run(main()) == ["unwound"]


def test_a_step_that_ignores_its_cancellation_is_left_behind_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> float:
        stop = asyncio.Event()
        ended = asyncio.Event()

        async def stubborn(job: Job) -> Any:
            while not stop.is_set():
                try:
                    await stop.wait()
                except asyncio.CancelledError:
                    continue
            ended.set()
            return Again(1000)  # and says so when nobody listens any more

        jobs = dispatch(range(5), stubborn, width=1)
        waiting = asyncio.ensure_future(anext(jobs))
        await asyncio.sleep(1)
        begin = now()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        took = now() - begin
        stop.set()
        await ended.wait()
        await asyncio.sleep(0)
        return took

    assert run(main()) == module.CLOSE_PATIENCE_S
    assert "1 step(s) ignored their cancellation" in caplog.text


def test_a_source_that_ignores_its_cancellation_brings_no_step_to_life_after_the_end() -> None:
    async def main() -> list[int]:
        stepped: list[int] = []

        class Source:
            number = 0

            def __aiter__(self) -> Source:
                return self

            async def __anext__(self) -> int:
                self.number += 1
                if self.number > 1:
                    try:
                        await asyncio.sleep(1000)
                    except asyncio.CancelledError:
                        await asyncio.sleep(1)
                return self.number

        async def step(job: Job) -> int:
            stepped.append(job.item)
            return job.item

        async with aclosing(dispatch(Source(), step, width=3)) as jobs:
            await anext(jobs)
            await asyncio.sleep(1)
        await asyncio.sleep(100)
        return stepped

    assert run(main()) == [1]


@pytest.mark.parametrize("ordered", [False, True])
def test_a_fault_in_a_step_stops_everything_at_once_and_propagates(ordered: bool) -> None:
    async def main() -> tuple[int, list[str]]:
        began = 0
        story: list[str] = []

        async def step(job: Job) -> int:
            nonlocal began
            began += 1
            if job.item == 5:
                await asyncio.sleep(1)
                raise LookupError("a bug")
            try:
                await asyncio.sleep(0.5 if job.item < 2 else 3)
            except asyncio.CancelledError:
                story.append("cancelled")
                raise
            return job.item

        async def consume() -> None:
            async for job in dispatch(range(100), step, width=6, ordered=ordered):
                story.append(f"got {job.result}")
                # The consumer is busy; nothing more must be sent meanwhile.
                await asyncio.sleep(100)

        with pytest.raises(LookupError, match="a bug"):
            await consume()
        return began, story

    began, story = run(main())

    assert began == 8
    assert story == ["got 0", *["cancelled"] * 5]  # what else was finished is not delivered any more


def test_of_several_faults_the_first_propagates_and_the_others_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def step(job: Job) -> None:
            try:
                await asyncio.sleep(1 + job.item)
            except asyncio.CancelledError:
                raise LookupError("while unwinding") from None
            raise LookupError("the cause")

        with pytest.raises(LookupError, match="the cause"):
            await collect(dispatch(range(2), step, width=2))

    run(main())

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "while unwinding" in str(record.exc_info)


def test_a_step_that_dies_of_a_cancellation_of_its_own_is_a_fault_and_not_a_wait_for_ever() -> None:
    async def main() -> None:
        async def step(job: Job) -> None:
            lost = asyncio.get_running_loop().create_future()
            lost.cancel()
            await lost

        with pytest.raises(RuntimeError, match="cancelled from outside the window"):
            await collect(dispatch(range(3), step, width=2))

    run(main())


def test_a_keyboard_interrupt_in_a_step_passes_through_and_leaves_nothing_running() -> None:
    unwound = []

    async def main() -> None:
        async def step(job: Job) -> None:
            try:
                await asyncio.sleep(0.01 if job.item == 3 else 100)
            finally:
                unwound.append(job.item)
            raise KeyboardInterrupt

        await collect(dispatch(range(10), step, width=4))

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())

    assert sorted(unwound) == [0, 1, 2, 3]


def test_a_window_that_was_never_read_asks_for_nothing() -> None:
    class Source:
        def __iter__(self) -> Iterator[int]:
            raise AssertionError("nobody wanted an item")

    async def main() -> None:
        await dispatch(Source(), echo, width=1).aclose()

    run(main())


def test_something_that_is_no_source_is_refused_before_anything_runs() -> None:
    with pytest.raises(TypeError, match=re.escape("'int' object is not iterable")):
        run(results(dispatch(5, echo, width=1)))  # type: ignore[arg-type]
