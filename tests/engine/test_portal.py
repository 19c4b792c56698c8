"""Blocking calls from anywhere in one process."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from hivetrace_core.engine.portal import blocked_loops, portal, run_blocking, run_fed
from hivetrace_core.engine.threads import in_thread


async def hosted() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def value(result: Any, delay: float = 0.0) -> Any:
    await asyncio.sleep(delay)
    return result


async def fail(error: BaseException) -> None:
    raise error


def in_new_thread(function: Callable[[], Any]) -> Any:
    """Run in a thread; its value. A thread that hangs fails the test instead of the whole run."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()), daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "everybody waits for everybody"
    return results[0]


def test_a_coroutine_runs_in_a_loop_that_lives_on() -> None:
    assert run_blocking(value(5)) == 5
    assert run_blocking(hosted()) is run_blocking(hosted()) is portal().loop
    assert portal().loop.is_running()


def test_what_it_raises_is_raised_here() -> None:
    with pytest.raises(LookupError, match="not there"):
        run_blocking(fail(LookupError("not there")))
    with pytest.raises(asyncio.CancelledError):
        run_blocking(fail(asyncio.CancelledError()))


def test_it_works_inside_a_running_loop() -> None:
    async def main() -> tuple[int, bool]:
        return run_blocking(value(5)), run_blocking(hosted()) is asyncio.get_running_loop()

    assert asyncio.run(main()) == (5, False)


def test_it_works_from_many_threads_at_once_and_they_do_not_wait_for_each_other() -> None:
    together = threading.Barrier(20)
    results: list[int] = []

    async def meet(number: int) -> int:
        await in_thread(together.wait, 60)
        return number

    threads = [threading.Thread(target=lambda n=n: results.append(run_blocking(meet(n)))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(results) == list(range(20))


def test_blocking_calls_may_be_nested_to_any_depth() -> None:
    # A model's coroutine calls another model's blocking method, whose coroutine does the same, and so on.
    async def nested(depth: int) -> list[asyncio.AbstractEventLoop]:
        here = asyncio.get_running_loop()
        return [here, *(run_blocking(nested(depth - 1)) if depth else [])]

    loops = in_new_thread(lambda: run_blocking(nested(4)))

    assert len(set(loops)) == 5
    assert in_new_thread(lambda: run_blocking(nested(4))) == loops  # they live on


def test_blocking_calls_may_be_nested_through_threads() -> None:
    # A blocking custom model runs in a thread; it asks another model, that one too, while the first loop stands still.
    async def nested(depth: int) -> int:
        if depth == 0:
            return 0
        if depth % 2:
            return 1 + run_blocking(nested(depth - 1))
        return 1 + await in_thread(lambda: run_blocking(nested(depth - 1)))

    assert in_new_thread(lambda: run_blocking(nested(5))) == 5


def test_code_can_tell_which_loops_stand_still_for_it() -> None:
    async def inner() -> tuple[asyncio.AbstractEventLoop, ...]:
        return blocked_loops()

    async def outer() -> tuple[asyncio.AbstractEventLoop, tuple[asyncio.AbstractEventLoop, ...]]:
        return asyncio.get_running_loop(), run_blocking(inner())

    async def main() -> tuple[Any, Any, Any]:
        return asyncio.get_running_loop(), *run_blocking(outer())

    mine, hosted_loop, blocked = asyncio.run(main())

    assert blocked == (mine, hosted_loop)
    assert blocked_loops() == ()
    assert run_blocking(inner()) == ()


def test_the_callers_context_variables_are_there() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def use() -> str:
        before = variable.get()
        variable.set("changed")
        return before

    variable.set("set")

    assert run_blocking(use()) == "set"
    assert variable.get() == "set"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_task_that_raises_what_ends_programs_does_not_end_the_loop_for_others(error: type[BaseException]) -> None:
    begun = threading.Event()
    release = threading.Event()

    async def other() -> str:
        begun.set()
        while not release.is_set():  # noqa: ASYNC110  # it is set in another thread
            await asyncio.sleep(0.001)
        return "unharmed"

    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(run_blocking(other())))
    thread.start()
    assert begun.wait(60)
    with pytest.raises(error):
        run_blocking(fail(error()))
    release.set()
    thread.join(60)

    assert results == ["unharmed"]
    assert run_blocking(value(1)) == 1


def test_code_that_stops_the_loop_does_not_stop_the_portal() -> None:
    async def stop() -> str:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0.01)
        return "went on"

    assert run_blocking(stop()) == "went on"


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    # What runs in the background of a shell ignores it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_main_thread() -> None:
    """What Ctrl-C does."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_ctrl_c_cancels_the_task_and_lets_it_unwind_first() -> None:
    story = []

    async def work() -> None:
        try:
            interrupt_main_thread()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            story.append("unwound")

    with pytest.raises(KeyboardInterrupt):
        run_blocking(work())

    assert story == ["unwound"]


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize(
    "call",
    [lambda work: run_blocking(work()), lambda work: run_fed(iter("ab"), lambda _: work())],
    ids=["call", "feeding"],
)
def test_a_second_ctrl_c_does_not_wait_for_a_task_that_will_not_end(call: Callable[[Any], Any]) -> None:
    release = asyncio.Event()

    interrupts = 0

    async def stubborn() -> None:
        nonlocal interrupts
        while not release.is_set():
            try:
                if interrupts < 2:
                    interrupts += 1
                    interrupt_main_thread()
                await release.wait()
            except asyncio.CancelledError:
                continue

    with pytest.raises(KeyboardInterrupt):
        call(stubborn)
    assert interrupts == 2

    portal().loop.call_soon_threadsafe(release.set)


# Feeding


async def drain(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]


def test_the_iterable_is_read_in_the_callers_thread() -> None:
    def source() -> Iterator[int]:
        for _ in range(100):
            yield threading.get_ident()

    assert set(run_fed(source(), drain)) == {threading.get_ident()}
    assert run_fed(iter(()), drain) == []


def test_the_items_come_in_order_however_fast_they_are() -> None:
    assert run_fed(iter(range(10_000)), drain) == list(range(10_000))


def test_it_is_read_only_a_few_items_ahead() -> None:
    read = 0

    def source() -> Iterator[int]:
        nonlocal read
        for item in range(300):
            read += 1
            yield item

    async def slowly(stream: AsyncIterator[int]) -> int:
        ahead = 0
        async for item in stream:
            if item % 50 == 0:
                await asyncio.sleep(0.02)
            ahead = max(ahead, read - item)
        return ahead

    assert 10 < run_fed(source(), slowly) <= 34


def test_a_source_that_blocks_does_not_block_the_loop() -> None:
    async def ticks(stream: AsyncIterator[int]) -> int:
        count = 0

        async def tick() -> None:
            nonlocal count
            while True:
                count += 1
                await asyncio.sleep(0.001)

        ticking = asyncio.create_task(tick())
        await drain(stream)
        ticking.cancel()
        return count

    def source() -> Iterator[int]:
        for item in range(5):
            time.sleep(0.02)
            yield item

    assert run_fed(source(), ticks) >= 5


def test_what_the_source_raises_arrives_after_its_items() -> None:
    seen = []

    def source() -> Iterator[int]:
        yield from range(50)
        raise OSError("disk gone")

    async def consume(stream: AsyncIterator[int]) -> None:
        async for item in stream:
            seen.append(item)  # noqa: PERF401  # what came before the error counts

    with pytest.raises(OSError, match="disk gone"):
        run_fed(source(), consume)
    assert seen == list(range(50))


def test_what_is_no_iterable_is_an_error_of_the_caller() -> None:
    with pytest.raises(TypeError, match="not iterable"):
        run_fed(5, drain)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_reader_that_is_interrupted_cancels_the_consumer_and_lets_it_unwind(error: type[BaseException]) -> None:
    story = []
    begun = threading.Event()

    def source() -> Iterator[int]:
        assert begun.wait(60)
        yield 1
        raise error

    async def consume(stream: AsyncIterator[int]) -> None:
        begun.set()
        try:
            await drain(stream)
        except asyncio.CancelledError:
            await asyncio.sleep(0.02)
            story.append("unwound")
            raise

    with pytest.raises(error):
        run_fed(source(), consume)
    assert story == ["unwound"]


@pytest.mark.parametrize("error", [None, LookupError("enough")])
def test_a_consumer_that_ends_early_ends_the_reading(error: Exception | None) -> None:
    read = 0

    def endless() -> Iterator[int]:
        nonlocal read
        while True:
            read += 1
            yield read

    async def consume(stream: AsyncIterator[int]) -> int:
        first = await anext(stream)
        await asyncio.sleep(0.01)
        if error is not None:
            raise error
        return first

    if error is None:
        assert run_fed(endless(), consume) == 1
    else:
        with pytest.raises(LookupError, match="enough"):
            run_fed(endless(), consume)
    assert read <= 40


def test_feeding_works_inside_the_hosted_loop_and_from_many_threads() -> None:
    async def nested() -> list[int]:
        return run_fed(iter(range(100)), drain)

    def many() -> list[list[int]]:
        results: list[list[int]] = []
        threads = [threading.Thread(target=lambda: results.append(run_fed(iter(range(100)), drain))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return results

    assert in_new_thread(lambda: run_blocking(nested())) == list(range(100))
    assert many() == [list(range(100))] * 8
