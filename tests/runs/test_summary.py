"""Counts, rates and intervals."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core.engine.dispatch import Job
from hivetrace_core.runs.journal import Journal
from hivetrace_core.runs.reader import ModelRow
from hivetrace_core.runs.summary import ModelSummary, Rate, summarize

MakeJob = Callable[..., Job]
NewJournal = Callable[..., Journal]


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        # Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_that_of_the_literature(hits: int, n: int, low: float, high: float) -> None:
    interval = Rate(hits, n).interval

    assert interval is not None
    assert interval == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_rate_and_stays_a_share(case: tuple[int, int]) -> None:
    rate = Rate(*case)
    assert rate.value is not None
    assert rate.interval is not None
    low, high = rate.interval

    assert 0 <= low <= rate.value <= high <= 1
    assert low < high
    mirrored = Rate(case[1] - case[0], case[1]).interval
    assert mirrored == pytest.approx((1 - high, 1 - low))


def test_a_rate_of_nothing_is_none() -> None:
    assert Rate(0, 0).value is None
    assert Rate(0, 0).interval is None


def test_failed_and_unknown_prompts_do_not_count_for_the_block_rate() -> None:
    counts = {"answered": 4, "blocked": 3, "refused": 2, "empty": 1, "failed": 5, "unknown": 6}
    summary = ModelSummary("m", "core:simulated", None, prompts=30, counts=counts)

    assert summary.block_rate == Rate(3, 10)
    assert summary.recorded == 21
    assert summary.pending == 9
    assert summary.failed == 5
    assert math.isclose(summary.failure_rate, 5 / 21)


def test_a_run_without_outcomes_has_no_rates() -> None:
    summary = ModelSummary("m", "core:simulated", None, prompts=3)

    assert (summary.recorded, summary.pending, summary.failure_rate) == (0, 3, 0.0)
    assert summary.block_rate.value is None


def test_a_journal_is_summarised(new_journal: NewJournal, model: ModelRow, make_job: MakeJob) -> None:
    async def scenario() -> Any:
        journal = new_journal(5)
        log = journal.log(model)
        list(log.pending())
        job = make_job(0, outcome="blocked")
        job.result["response_metadata"]["usage"] = {"input_tokens": 10, "output_tokens": 20}
        log.finish(job)
        await log.started(make_job(1))
        await log.started(make_job(2))
        list(log.pending())  # as a second process would find it
        log.finish(make_job(2, attempts=0))
        await journal.flush()
        return summarize(journal.reader, model, stopped="the key is dead")

    assert asyncio.run(scenario()) == ModelSummary(
        label="baseline",
        qualified="hivetrace-core:simulated",
        model_id="simulated",
        prompts=5,
        counts={"answered": 1, "blocked": 1},
        in_doubt=1,
        resent_in_doubt=1,
        input_tokens=10,
        output_tokens=20,
        stopped="the key is dead",
    )
