"""The whole engine under random answers, faults, limits and consumers, in one loop and in many."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivetrace_core.engine.dispatch import Job

from .fakes import Diary, answer, batch, error, executor
from .virtual_time import run

RETRYABLE = ("server", "rate_limit", "timeout")  # so few of them do not trip the breaker
FINAL = ("ok", "bad_request", "bug", "stray", "exit")


@dataclass
class Plan:
    """One batch: for each prompt, how long each of its requests takes and how it ends."""

    prompts: list[list[tuple[float, str]]]
    width: int
    cap: int | None
    rpm: int | None
    max_attempts: int
    ordered: bool
    canary: bool
    consumer: float
    stop_after: int | None


requests = st.tuples(
    st.sampled_from([0.0, 0.0, 0.5, 1.0, 3.0, 20.0]), st.sampled_from([*RETRYABLE, *FINAL, "ok", "ok"])
)
plans = st.builds(
    Plan,
    prompts=st.lists(st.lists(requests, min_size=1, max_size=4), max_size=12),
    width=st.integers(1, 5),
    cap=st.none() | st.integers(1, 3),
    rpm=st.none() | st.sampled_from([60, 600]),
    max_attempts=st.integers(1, 4),
    ordered=st.booleans(),
    canary=st.booleans(),
    consumer=st.sampled_from([0.0, 0.0, 1.0, 7.0]),
    stop_after=st.none() | st.integers(1, 10),
)

TIMEOUT = 10.0


def expected(requests: list[tuple[float, str]], max_attempts: int) -> tuple[int, str]:
    """How many requests are sent, and what comes of them."""
    for attempt in range(1, max_attempts + 1):
        latency, end = requests[min(attempt, len(requests)) - 1]
        end = "timeout" if latency > TIMEOUT else end
        if end not in RETRYABLE or attempt == max_attempts:
            return attempt, {"bug": "unexpected", "stray": "unexpected", "exit": "unexpected"}.get(end, end)
    raise AssertionError


@settings(deadline=None, max_examples=100)
@given(plans)
def test_each_prompt_ends_in_its_own_outcome_and_every_request_was_announced(plan: Plan) -> None:  # noqa: C901
    sends: Counter[int] = Counter()
    diary = Diary()
    running = peak = 0

    async def send(prompt: int, job: Job) -> dict[str, Any]:
        nonlocal running, peak
        sends[prompt] += 1
        assert ("committed", prompt, sends[prompt]) in diary.entries
        latency, end = plan.prompts[prompt][min(sends[prompt], len(plan.prompts[prompt])) - 1]
        running += 1
        peak = max(peak, running)
        try:
            await asyncio.sleep(latency)
        finally:
            running -= 1
        match end:
            case "ok":
                return answer(f"answer to {prompt}")
            case "bug":
                raise ValueError("a bug")
            case "exit":
                raise SystemExit
            case "stray":
                raise asyncio.CancelledError
            case "rate_limit":
                raise error(end, retry_after=1.5)
        raise error(end)

    async def main() -> None:
        of = executor(
            send,
            timeout=TIMEOUT,
            max_attempts=plan.max_attempts,
            max_concurrency=plan.cap,
            rpm=plan.rpm,
            observers=diary.observers(),
        )
        delivered: list[int] = []
        jobs = of.jobs(
            range(len(plan.prompts)), width=plan.width, ordered=plan.ordered, recorder=diary, canary=plan.canary
        )
        async with aclosing(jobs):
            async for job in jobs:
                delivered.append(job.index)
                metadata = job.result["response_metadata"]
                attempts, end = expected(plan.prompts[job.item], plan.max_attempts)
                assert (job.index, metadata["index"]) == (job.item, job.item)
                assert sends[job.item] == metadata["attempts"] == job.attempts == attempts
                if end == "ok":
                    assert job.result["content"] == f"answer to {job.item}"
                    assert "error" not in job.result
                else:
                    assert job.result["error"]["kind"] == end
                    assert metadata["outcome"] == "failed"
                if len(delivered) == plan.stop_after:
                    break
                await asyncio.sleep(plan.consumer)

        assert running == 0
        assert peak <= min(plan.width, plan.cap or plan.width)
        count = len(plan.prompts) if plan.stop_after is None else min(len(plan.prompts), plan.stop_after)
        assert len(set(delivered)) == len(delivered) == count
        if plan.ordered:
            assert delivered == list(range(count))
        if plan.cap is not None:
            assert sum(of.limits.try_enter() is not None for _ in range(9)) <= plan.cap
        before = len(diary.entries)
        await asyncio.sleep(200)
        assert len(diary.entries) == before

        for prompt in range(len(plan.prompts)):
            story = [entry[0] for entry in diary.entries if entry[1] == prompt]
            assert story.count("started") == sends[prompt]
            # The last ones may have been cut off by the end of the consumer.
            cut = 0 if prompt in delivered else 1
            assert 0 <= story.count("intent") - sends[prompt] <= cut
            assert 0 <= sends[prompt] - story.count("finished") <= cut
            assert story.count("retry") <= story.count("attempt failed") <= story.count("finished")

    run(main())


@pytest.mark.parametrize("ordered", [True, False])
def test_one_instance_in_many_loops_and_threads_keeps_its_cap_and_mixes_nothing_up(ordered: bool) -> None:
    lock = threading.Lock()
    running = peak = 0

    async def send(prompt: Any, job: Job) -> dict[str, Any]:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        await asyncio.sleep(0.0003 * (job.index % 4))
        with lock:
            running -= 1
        return answer(str(prompt))

    async def make() -> Any:
        return executor(send, max_concurrency=5)

    of = asyncio.run(make())
    results: dict[int, list[str]] = {}

    async def use(number: int) -> None:
        prompts = [f"{number}-{item}" for item in range(80)]
        responses, single = await asyncio.gather(
            batch(of, prompts, width=4, ordered=ordered), of.call(f"{number}-single")
        )
        if not ordered:
            responses.sort(key=lambda response: response["response_metadata"]["index"])
        results[number] = [response["content"] for response in responses] + [single["content"]]

    threads = [threading.Thread(target=asyncio.run, args=(use(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert results == {n: [*(f"{n}-{item}" for item in range(80)), f"{n}-single"] for n in range(4)}
    assert peak == 5
    assert sum(of.limits.try_enter() is not None for _ in range(9)) == 5


def test_many_batches_of_one_loop_share_the_cap_fairly_enough_to_all_end() -> None:
    async def main() -> int:
        running = peak = 0

        async def send(prompt: Any, job: Job) -> dict[str, Any]:
            nonlocal running, peak
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(0.1)
            running -= 1
            return answer()

        of = executor(send, max_concurrency=7)
        await asyncio.gather(*(batch(of, range(30), width=5) for _ in range(10)), *(of.call("p") for _ in range(10)))
        return peak

    assert run(main()) == 7
