"""The semaphore that all loops and threads share."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivetrace_core.engine.slots import Slots

from .virtual_time import run


def free_places(slots: Slots) -> int:
    """Take all that are free, and give them back."""
    taken = 0
    while slots.try_acquire():
        taken += 1
    for _ in range(taken):
        slots.release()
    return taken


def test_places_are_given_out_and_come_back() -> None:
    slots = Slots(2)

    assert [slots.try_acquire() for _ in range(3)] == [True, True, False]
    slots.release()
    assert slots.try_acquire()


def test_whoever_waits_longest_is_next_and_nobody_overtakes() -> None:
    async def main() -> list[int]:
        slots = Slots(1)
        order: list[int] = []

        async def customer(number: int) -> None:
            await slots.acquire()
            order.append(number)
            await asyncio.sleep(1)
            slots.release()

        await slots.acquire()
        waiting = [asyncio.create_task(customer(number)) for number in range(5)]
        await asyncio.sleep(0)
        slots.release()
        # The place is promised to the first in the queue, though nobody has taken it yet.
        assert not slots.try_acquire()
        late = asyncio.create_task(customer(5))
        await asyncio.gather(*waiting, late)
        assert free_places(slots) == 1
        return order

    assert run(main()) == [0, 1, 2, 3, 4, 5]


def test_a_place_that_comes_free_while_one_takes_a_seat_in_the_queue_is_not_overlooked() -> None:
    class Late(Slots):
        first = True

        def try_acquire(self) -> bool:
            if self.first:
                self.first = False
                return False  # as it was a moment ago
            return super().try_acquire()

    async def main() -> None:
        slots = Late(1)
        await asyncio.wait_for(slots.acquire(), 1)
        assert not slots.try_acquire()

    run(main())


def test_who_gives_up_waiting_leaves_the_queue() -> None:
    async def main() -> None:
        slots = Slots(1)
        await slots.acquire()
        waiting = [asyncio.create_task(slots.acquire()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        slots.release()
        await waiting[1]
        waiting[2].cancel()
        await asyncio.wait(waiting)
        slots.release()
        assert free_places(slots) == 1

    run(main())


def test_who_is_cancelled_in_the_moment_of_getting_a_place_passes_it_on() -> None:
    async def main() -> None:
        slots = Slots(1)
        await slots.acquire()
        first = asyncio.create_task(slots.acquire())
        second = asyncio.create_task(slots.acquire())
        await asyncio.sleep(0)
        slots.release()
        first.cancel()
        await asyncio.wait_for(second, 1)
        assert first.cancelled()
        slots.release()
        assert free_places(slots) == 1

    run(main())


@settings(deadline=None, max_examples=100)
@given(
    places=st.integers(1, 3),
    customers=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.0, 1.0, 2.0]),  # comes at
            st.sampled_from([-1.0, 0.0, 1.0, 3.0]),  # stays for; -1: does not even suspend
            st.none() | st.sampled_from([0.0, 1.0, 2.0, 2.5]),  # is cancelled after
        ),
        max_size=12,
    ),
)
def test_under_random_arrivals_and_cancellations_no_place_is_lost_or_doubled(
    places: int, customers: list[tuple[float, float, float | None]]
) -> None:
    async def main() -> None:
        slots = Slots(places)
        inside = 0
        served: list[int] = []
        queue: list[int] = []

        async def customer(number: int, comes: float, stays: float) -> None:
            nonlocal inside
            await asyncio.sleep(comes)
            queue.append(number)
            await slots.acquire()
            inside += 1
            served.append(number)
            try:
                assert inside <= places
                if stays >= 0:
                    await asyncio.sleep(stays)
            finally:
                inside -= 1
                slots.release()

        tasks = [asyncio.create_task(customer(n, comes, stays)) for n, (comes, stays, _) in enumerate(customers)]
        for task, (_, _, patience) in zip(tasks, customers, strict=True):
            if patience is not None:
                asyncio.get_running_loop().call_later(patience, task.cancel)
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 1000)

        assert free_places(slots) == places
        if places == 1:
            assert served == [number for number in queue if number in set(served)]
        assert all(task.cancelled() or task.exception() is None for task in tasks)
        await asyncio.sleep(10)

    run(main())


def test_several_loops_in_several_threads_share_the_places() -> None:
    slots = Slots(3)
    lock = threading.Lock()
    inside = peak = served = 0

    async def customer(number: int) -> None:
        nonlocal inside, peak, served
        await slots.acquire()
        with lock:
            inside += 1
            peak = max(peak, inside)
        await asyncio.sleep(0.0005 * (number % 3))
        with lock:
            inside -= 1
            served += 1
        slots.release()

    async def impatient(number: int) -> None:
        task = asyncio.create_task(customer(number))
        await asyncio.sleep(0.001 * (number % 4))
        task.cancel("too long")
        await asyncio.wait([task])

    async def crowd() -> None:
        await asyncio.gather(*map(customer, range(60)), *map(waits_only, range(30)))

    async def waits_only(number: int) -> None:
        waiting = asyncio.create_task(slots.acquire())
        await asyncio.sleep(0.0007 * (number % 5))
        if waiting.cancel():
            await asyncio.wait([waiting])
        if not waiting.cancelled():
            slots.release()

    threads = [threading.Thread(target=asyncio.run, args=(crowd(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert not any(thread.is_alive() for thread in threads)
    assert served == 240
    assert peak == 3
    assert free_places(slots) == 3


def pending_in_a_loop_of_its_own(waiting: Coroutine[Any, Any, None]) -> tuple[asyncio.AbstractEventLoop, Any]:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # a pending task that is destroyed is the point here
    task = loop.create_task(waiting)
    loop.run_until_complete(asyncio.sleep(0))
    return loop, task


@pytest.mark.parametrize("promised", [False, True], ids=["waits", "was promised a place"])
@pytest.mark.parametrize("collected", [False, True], ids=["kept", "collected"])
def test_whoever_waits_in_a_loop_that_was_closed_neither_keeps_a_place_nor_gives_one_back_twice(
    promised: bool, collected: bool
) -> None:
    slots = Slots(1)
    assert slots.try_acquire()
    loop, task = pending_in_a_loop_of_its_own(slots.acquire())
    if promised:
        slots.release()
        loop.close()
    else:
        loop.close()
        slots.release()
    if collected:
        del task
        gc.collect()

    if promised and not collected:
        assert free_places(slots) == 0  # nobody can know that its loop will never run again
        del task
        gc.collect()
    assert free_places(slots) == 1


def test_the_dead_are_passed_over_and_the_living_get_the_place() -> None:
    slots = Slots(1)
    assert slots.try_acquire()
    loop, task = pending_in_a_loop_of_its_own(slots.acquire())

    async def main() -> None:
        living = asyncio.create_task(slots.acquire())
        await asyncio.sleep(0)
        loop.close()
        slots.release()
        await asyncio.wait_for(living, 5)

    asyncio.run(main())

    del task
    gc.collect()
    assert free_places(slots) == 0
