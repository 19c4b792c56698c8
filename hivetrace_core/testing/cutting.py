"""Stopping early: what is closed or cancelled stops at once and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from ..provider import ProviderModel
from .bench import PATIENCE_S, Bench, Stage, closing, outcome_of, reached, reached_meanwhile
from .standard import needs

SLOW: Final = {"match": "slow", "delay": 60.0}


@needs("wire")
class CuttingTests(Bench):
    """Models whose requests can be watched from the other end."""

    def test_closing_a_batch_early_cancels_what_is_in_flight(self) -> None:
        """No task and no request goes on when nobody waits for it any more."""

        async def first_only(model: ProviderModel[Any], stage: Stage) -> str:
            prompts = ["quick", *(f"slow {number}" for number in range(7))]
            async with closing(model.stream_abatch(prompts, batch_size=4)) as responses:
                response = await anext(responses)
                assert await reached(lambda: _waiting(stage) >= 3)
            return outcome_of(response)

        self._leaves_nothing(first_only)

    def test_cancelling_a_call_cancels_its_request(self) -> None:
        """`CancelledError` comes out, at once, and no code of the plugin may keep it."""

        async def cancelled(model: ProviderModel[Any], stage: Stage) -> str:
            for call in (model.ainvoke("slow"), model.abatch(["slow 1", "slow 2"], batch_size=2)):
                seen = len(stage.asked())
                task = asyncio.ensure_future(call)
                assert await reached(lambda: len(stage.asked()) > seen)  # noqa: B023  # awaited before the next round
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.wait_for(task, PATIENCE_S)
            return "answered"

        self._leaves_nothing(cancelled)

    def test_a_model_is_usable_after_a_cancelled_call(self) -> None:
        """A cancelled request gives its place in the window back."""

        async def cancelled_and_used(model: ProviderModel[Any], _: Stage) -> str:
            for _attempt in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(model.ainvoke("slow"), 0.05)
            return outcome_of(await asyncio.wait_for(model.ainvoke("quick"), PATIENCE_S))

        self._leaves_nothing(cancelled_and_used, max_concurrency=1, batch_size=1)

    def test_closing_a_model_closes_its_connections(self) -> None:
        """After `close()` no connection is open at the provider's side."""
        with self.stage() as stage:
            model = stage.model()
            model.batch(["one", "two", "three"])
            model.close()

            assert reached_meanwhile(lambda: stage.server.stats()["open_connections"] == 0), "connections are left open"

    def _leaves_nothing(self, use: Callable[[ProviderModel[Any], Stage], Awaitable[str]], **options: Any) -> None:
        with self.stage(SLOW) as stage:
            model = stage.model(timeout=90.0, **options)

            async def used() -> None:
                await model.ainvoke("quick")  # what the model sets up for good is set up here
                before = asyncio.all_tasks()

                assert await use(model, stage) == "answered"
                assert await reached(lambda: asyncio.all_tasks() <= before), "tasks are left running"
                assert await reached(lambda: _waiting(stage) == 0), "requests are left open at the provider's side"
                await model.aclose()
                assert await reached(lambda: stage.server.stats()["open_connections"] == 0), "connections are left open"

            asyncio.run(used())


def _waiting(stage: Stage) -> int:
    return int(stage.server.stats()["in_flight"])
