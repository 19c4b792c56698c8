"""Time limits of many blocks, kept by one timer."""

from __future__ import annotations

import asyncio
import random

import pytest

from hivetrace_core.engine.timeouts import Timeouts

from .virtual_time import now, run


async def block(timeouts: Timeouts, limit: float | None, takes: float) -> tuple[str, float]:
    began = now()
    clock = timeouts.limit(limit)
    try:
        with clock:
            await asyncio.sleep(takes)
    except TimeoutError:
        assert clock.expired
        return "late", now() - began
    assert not clock.expired
    return "in time", now() - began


def test_every_block_ends_at_its_own_limit_whatever_the_others_do() -> None:
    chance = random.Random(1)
    blocks = [(chance.uniform(0.1, 9), chance.uniform(0.1, 9), chance.uniform(0, 20)) for _ in range(300)]

    async def started_later(timeouts: Timeouts, limit: float, takes: float, start: float) -> tuple[str, float]:
        await asyncio.sleep(start)
        return await block(timeouts, limit, takes)

    async def main() -> list[tuple[str, float]]:
        timeouts = Timeouts()
        return await asyncio.gather(*(started_later(timeouts, *one) for one in blocks))

    for (limit, takes, _), (how, took) in zip(blocks, run(main()), strict=True):
        assert how == ("in time" if takes < limit else "late")
        assert took == pytest.approx(min(limit, takes))


def test_without_a_limit_nothing_expires() -> None:
    assert run(block(Timeouts(), None, 1e6)) == ("in time", 1e6)


def test_the_blocks_own_timeout_error_is_no_expiry() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError, match="own"), Timeouts().limit(5) as clock:
            raise TimeoutError("own")
        assert not clock.expired

    run(main())


def test_a_cancellation_from_outside_stays_one_even_when_the_limit_expires_with_it() -> None:
    async def main() -> bool:
        task = asyncio.ensure_future(block(Timeouts(), 1.0, 5.0))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_at(now() + 1.0, task.cancel)
        await asyncio.wait([task])
        return task.cancelled()

    assert run(main())


def test_an_expired_block_leaves_its_task_uncancelled() -> None:
    async def main() -> None:
        timeouts = Timeouts()
        for _ in range(3):
            assert (await block(timeouts, 1.0, 5.0))[0] == "late"
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(main())
