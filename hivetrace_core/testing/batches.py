"""Batch calls: one response for each prompt, in the order of the prompts, read as they are needed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from ..provider import ProviderModel
from .bench import Bench, Stage, closing, outcome_of
from .standard import needs
from .strategies import quick

DELAYS_MS: Final = (0, 1, 3, 8, 20, 40)

LADDER: Final = [{"match": f"^{delay} ms", "delay": delay / 1000, "text": "echo {prompt}"} for delay in DELAYS_MS]
"""Prompts choose how long their answer takes, and the answer repeats the prompt."""

MOST_OPEN: Final = 1024
"""Prompts that may be open at once where 32 times the window is less."""


class BatchTests(Bench):
    """Any model."""

    def test_every_prompt_gets_one_response_that_says_which_it_is(self) -> None:
        """All three batch calls give as many responses as there are prompts, numbered from 0."""
        prompts = [f"prompt {number}" for number in range(7)]
        with self.stage() as stage:
            model = stage.model()
            batches = [model.batch(prompts, batch_size=3), asyncio.run(model.abatch(prompts, batch_size=3))]
            batches.append(asyncio.run(_collected(model, prompts, 3)))

            assert model.batch([]) == []
        for responses in batches:
            assert [response["response_metadata"]["index"] for response in responses] == list(range(7))
            assert {outcome_of(response) for response in responses} == {"answered"}

    def test_prompts_are_read_as_they_are_needed(self) -> None:
        """Memory depends on the window and not on how many prompts there are."""
        taken = 0

        def endless() -> Iterator[str]:
            nonlocal taken
            while True:
                taken += 1
                assert taken <= MOST_OPEN + 64, "far more prompts were read than the window holds"
                yield f"prompt {taken}"

        async def some(model: ProviderModel[Any]) -> int:
            got = 0
            async with closing(model.stream_abatch(endless(), batch_size=4)) as responses:
                async for response in responses:
                    got += outcome_of(response) == "answered"
                    if got == 5:
                        break
            return got

        with self.stage() as stage:
            assert asyncio.run(some(stage.model())) == 5

    def test_blocking_batch_reads_its_prompts_in_the_callers_thread(self) -> None:
        """A generator of the caller's may hold a database connection or a file that belongs to the thread."""
        readers: set[int] = set()

        def prompts() -> Iterator[str]:
            for number in range(5):
                readers.add(threading.get_ident())
                yield f"prompt {number}"

        with self.stage() as stage:
            responses = stage.model().batch(prompts())

        assert len(responses) == 5
        assert readers == {threading.get_ident()}

    def test_prompts_may_come_from_an_async_generator(self) -> None:
        """Any iterable or async iterable will do."""

        async def prompts() -> AsyncIterator[str]:
            for number in range(5):
                await asyncio.sleep(0)
                yield f"prompt {number}"

        with self.stage() as stage:
            responses = asyncio.run(stage.model().abatch(prompts(), batch_size=2))

        assert [response["response_metadata"]["index"] for response in responses] == list(range(5))


@needs("wire")
class OrderTests(Bench):
    """Models whose answers can be told apart and delayed."""

    def test_batch_calls_keep_the_order_of_the_prompts(self) -> None:
        """However long each answer takes, and however wide the window is."""
        with self.stage(*LADDER) as stage:
            model = stage.model()

            @quick(12)
            @given(st.lists(st.sampled_from(DELAYS_MS), max_size=10), st.integers(1, 8), st.sampled_from("bas"))
            def check(delays: list[int], window: int, way: str) -> None:
                prompts = [f"{delay} ms, number {number}" for number, delay in enumerate(delays)]
                if way == "b":
                    responses = model.batch(prompts, batch_size=window)
                elif way == "a":
                    responses = asyncio.run(model.abatch(prompts, batch_size=window))
                else:
                    responses = asyncio.run(_collected(model, prompts, window))

                assert [response["content"] for response in responses] == [f"echo {prompt}" for prompt in prompts]
                assert [one["response_metadata"]["index"] for one in responses] == list(range(len(prompts)))

            check()

    def test_unordered_streams_give_each_response_once_and_the_quick_ones_first(self) -> None:
        """With `ordered=False`, `index` says which prompt a response belongs to."""
        with self.stage(*LADDER, {"match": "^slow", "delay": 0.5, "text": "echo {prompt}"}) as stage:
            model = stage.model()
            first = asyncio.run(_collected(model, ["slow", "0 ms, quick"], 2, ordered=False))

            @quick(8)
            @given(st.lists(st.sampled_from(DELAYS_MS), max_size=10), st.integers(1, 8))
            def check(delays: list[int], window: int) -> None:
                prompts = [f"{delay} ms, number {number}" for number, delay in enumerate(delays)]
                responses = asyncio.run(_collected(model, prompts, window, ordered=False))

                found = sorted((one["response_metadata"]["index"], one["content"]) for one in responses)
                assert found == [(number, f"echo {prompt}") for number, prompt in enumerate(prompts)]

            check()

        assert [response["content"] for response in first] == ["echo 0 ms, quick", "echo slow"]

    def test_a_failed_prompt_keeps_its_place_and_the_others_go_on(self) -> None:
        """In batch calls an error is a response with `error` in the place of its prompt."""
        prompts = [f"bad {number}" if number % 3 == 1 else f"0 ms, number {number}" for number in range(9)]
        with self.stage({"match": "^bad", "error": "bad_request"}, *LADDER) as stage:
            responses = stage.model().batch(prompts, batch_size=4)

        for prompt, response in zip(prompts, responses, strict=True):
            if prompt.startswith("bad"):
                assert outcome_of(response) == "failed"
                assert response["error"]["kind"] == "bad_request"
                assert response["error"]["retryable"] is False
            else:
                assert response["content"] == f"echo {prompt}"
                assert "error" not in response

    def test_no_more_requests_are_in_flight_than_the_cap_allows(self) -> None:
        """`max_concurrency` holds for an instance across all its calls, event loops and threads."""
        prompts = [f"8 ms, number {number}" for number in range(24)]
        with self.stage(*LADDER) as stage:
            model = stage.model(max_concurrency=3, batch_size=3)
            threads = [
                threading.Thread(target=model.batch, args=(prompts,), kwargs={"batch_size": 24}),
                threading.Thread(target=lambda: asyncio.run(model.abatch(prompts, batch_size=24))),
                threading.Thread(target=lambda: asyncio.run(_each_by_itself(model, prompts))),
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            most = _most_in_flight(stage)

            assert len(stage.asked()) == 72
        assert most <= 3
        assert most >= 2, "requests were sent one after the other"

    def test_the_window_of_a_call_is_used_and_not_exceeded(self) -> None:
        """`batch_size` is how many requests of a call are in flight."""
        prompts = [f"20 ms, number {number}" for number in range(20)]
        with self.stage(*LADDER) as stage:
            stage.model(max_concurrency=100).batch(prompts, batch_size=5)
            most = _most_in_flight(stage)

        assert 2 <= most <= 5


async def _collected(model: ProviderModel[Any], prompts: list[str], window: int, *, ordered: bool = True) -> list[Any]:
    options = {} if ordered else {"ordered": False}
    return [response async for response in model.stream_abatch(prompts, window, **options)]


async def _each_by_itself(model: ProviderModel[Any], prompts: list[str]) -> None:
    await asyncio.gather(*(model.ainvoke(prompt) for prompt in prompts))


def _most_in_flight(stage: Stage) -> int:
    return max(record.in_flight for record in stage.asked())
