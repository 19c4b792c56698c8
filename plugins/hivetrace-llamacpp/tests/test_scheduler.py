"""What happens inside the engine: steps that fail, cells that run out, rows that fill a step up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hivetrace_llamacpp import LlamaCppModel
from hivetrace_llamacpp.context import Context
from hivetrace_llamacpp.outbox import AT_ONCE, Outbox
from hivetrace_llamacpp.requests import Request, Sampling
from hivetrace_llamacpp.statistics import Statistics

from hivetrace_core import ModelError

Make = Callable[..., LlamaCppModel]
Q4_0 = 2
"""`general.file_type` of llama.h."""

LONG = "You are a careful assistant. Answer the question of the user in a few short sentences, in plain words. " * 4


def statistics(model: LlamaCppModel) -> Statistics:
    """Of the model's engine."""
    return model.make_client().engine.statistics


@pytest.fixture
def decode(monkeypatch: pytest.MonkeyPatch, llama_cpp: Any) -> list[int]:
    """Codes that the next steps end with, without having been computed."""
    codes: list[int] = []
    real = llama_cpp.llama_decode

    def decode(context: Any, batch: Any) -> int:
        return codes.pop(0) if codes else int(real(context, batch))

    monkeypatch.setattr(llama_cpp, "llama_decode", decode)
    return codes


def test_a_failed_computation_fails_what_is_under_way_and_a_new_context_answers_the_next_prompt(
    make: Make, decode: list[int], monkeypatch: pytest.MonkeyPatch, llama_cpp: Any
) -> None:
    made: list[Any] = []
    real = llama_cpp.llama_init_from_model
    monkeypatch.setattr(llama_cpp, "llama_init_from_model", lambda *given: made.append(given) or real(*given))
    model = make(batch_size=2)
    before = model.invoke("one")["content"]
    assert len(made) == 1

    decode.append(-3)
    with pytest.raises(ModelError, match=r"computation failed \(code -3\)") as caught:
        model.invoke("two")

    assert (caught.value.kind, caught.value.retryable) == ("server", False)
    assert model.invoke("one")["content"] == before
    assert len(made) == 2


def test_those_who_wait_are_answered_by_the_new_context(make: Make, decode: list[int]) -> None:
    model = make(batch_size=1)
    model.invoke("load")
    decode.append(-3)

    responses = model.batch([f"{LONG} {number}" for number in range(4)], 4)

    failed = [response for response in responses if response["response_metadata"]["outcome"] == "failed"]
    assert len(failed) == 1
    assert all(response["content"] for response in responses if response not in failed)


def test_a_context_that_fails_again_at_once_ends_the_engine_with_its_reason(make: Make, decode: list[int]) -> None:
    model = make(batch_size=1)
    model.invoke("load")
    engine = model.make_client().engine
    decode.extend([-3, -3])

    responses = model.batch(["one", "two"], 2)

    assert [response["response_metadata"]["outcome"] for response in responses] == ["failed"] * 2
    assert all("code -3" in response["error"]["message"] for response in responses)
    assert engine.join(5)
    assert not engine.alive
    assert model.invoke("a new engine")["content"]


def test_a_success_in_between_gives_the_context_another_chance(make: Make, decode: list[int]) -> None:
    model = make(batch_size=1)
    for _ in range(3):
        decode.append(-3)
        with pytest.raises(ModelError):
            model.invoke("one")
        assert model.invoke("one")["content"]


def test_a_step_that_finds_no_place_makes_room_and_is_tried_again(make: Make, decode: list[int]) -> None:
    model = make(batch_size=2, n_batch=128)
    wanted = [response["content"] for response in make(batch_size=2).batch([f"{LONG} 1", f"{LONG} 2"])]
    model.invoke(LONG)  # a beginning is kept
    scheduler = model.make_client().engine._scheduler
    assert scheduler is not None
    assert len(list(scheduler._prefixes)) == 1

    decode.extend([1, 1, 1])  # the kept beginning goes, then the step becomes smaller
    responses = model.batch([f"{LONG} 1", f"{LONG} 2"])

    assert [response["content"] for response in responses] == wanted
    assert decode == []


def test_where_nothing_helps_only_the_youngest_request_fails(make: Make, decode: list[int]) -> None:
    model = make(batch_size=2, n_batch=32, prefix_cache=False)
    model.invoke("load")
    decode.append(1)

    responses = model.batch(["one", "two"])

    outcomes = [response["response_metadata"]["outcome"] for response in responses]
    assert sorted(outcomes) == ["failed", "truncated"]
    assert responses[outcomes.index("failed")]["error"]["code"] == "no_cells"


def test_a_common_beginning_is_stored_once(make: Make) -> None:
    prompts = [[{"role": "system", "content": LONG}, {"role": "user", "content": f"{number}"}] for number in range(8)]
    most = {}
    for cached in (True, False):
        model = make(batch_size=8, n_ctx=1024, prefix_cache=cached)
        responses = model.batch(prompts)
        read = responses[0]["response_metadata"]["usage"]["input_tokens"] or 0
        most[cached] = statistics(model).most_cells

    assert most[False] == 8 * (read + 16)
    assert most[True] < read + 8 * 40


@pytest.mark.parametrize("slots", [3, 7])
def test_a_row_for_nobody_changes_no_answer(
    make: Make, tmp_path: Path, serial: Callable[..., list[int]], slots: int
) -> None:
    from hivetrace_llamacpp.sample import write_model

    path = write_model(tmp_path / "model.gguf", overrides={"general.file_type": Q4_0})
    prompts = [[{"role": "user", "content": f"{number} {LONG}"}] for number in range(slots)]
    plain, filled = make(batch_size=slots), make(model_path=path, batch_size=slots)

    texts = [[response["content"] for response in model.batch(prompts)] for model in (plain, filled)]

    assert texts[0] == texts[1]
    assert statistics(plain).fillers == 0
    assert statistics(filled).fillers > 0
    assert statistics(filled).tokens == statistics(plain).tokens


def test_no_row_is_added_where_answers_must_equal_those_of_one_prompt_at_a_time(make: Make, tmp_path: Path) -> None:
    from hivetrace_llamacpp.sample import write_model

    path = write_model(tmp_path / "model.gguf", overrides={"general.file_type": Q4_0})
    model = make(model_path=path, batch_size=3, deterministic=True)

    model.batch(["one", "two", "three"])

    assert statistics(model).fillers == 0


def test_a_row_for_nobody_takes_no_cell_that_an_answer_needs(make: Make, tmp_path: Path) -> None:
    from hivetrace_llamacpp.sample import write_model

    path = write_model(tmp_path / "model.gguf", overrides={"general.file_type": Q4_0})
    model = make(model_path=path, batch_size=3, n_ctx=256, kv_cells=256, max_tokens=None)

    responses = model.batch(["one", "two", "three"])

    assert {response["response_metadata"]["outcome"] for response in responses} == {"truncated"}


def request_of(loop: asyncio.AbstractEventLoop, seen: list[Any]) -> Request:
    """A request whose events are collected."""
    return Request(np.zeros(1, np.int32), None, Sampling(), (), streams=True, loop=loop, deliver=seen.append)


def test_many_events_are_spread_over_the_turns_of_the_loop_in_their_order() -> None:
    seen: list[Any] = []
    in_each_turn: list[int] = []

    async def scenario() -> None:
        outbox, request = Outbox(), request_of(asyncio.get_running_loop(), seen)
        for number in range(10):
            outbox.post(request, f"{number}")
        outbox.flush()
        for _ in range(6):
            before = len(seen)
            await asyncio.sleep(0)
            in_each_turn.append(len(seen) - before)
            if len(in_each_turn) == 1:
                outbox.post(request, "10")
                outbox.flush()

    asyncio.run(scenario())

    assert seen == [f"{number}" for number in range(11)]
    assert max(in_each_turn) <= 2 * AT_ONCE
    assert sum(count > 0 for count in in_each_turn) >= 2


def test_events_for_a_closed_loop_hinder_nobody() -> None:
    seen: list[Any] = []
    outbox, gone = Outbox(), asyncio.new_event_loop()
    lost = request_of(gone, seen)
    gone.close()

    async def scenario() -> None:
        request = request_of(asyncio.get_running_loop(), seen)
        for _ in range(2):
            outbox.post(lost, "lost")
            outbox.post(request, "arrived")
            outbox.flush()
        await asyncio.sleep(0)

    asyncio.run(scenario())

    assert seen == ["arrived", "arrived"]


def test_a_request_that_was_cancelled_hears_nothing_any_more() -> None:
    seen: list[Any] = []

    async def scenario() -> None:
        outbox, request = Outbox(), request_of(asyncio.get_running_loop(), seen)
        outbox.post(request, "piece")
        outbox.flush()
        request.cancelled = True
        await asyncio.sleep(0)

    asyncio.run(scenario())

    assert seen == []


def test_a_fault_while_prompts_begin_or_end_leaves_nobody_waiting(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(batch_size=2)
    model.invoke(LONG)  # a beginning is kept, and copied for the next prompts

    def copy(*_: Any) -> None:
        raise MemoryError("no memory for a copy")

    monkeypatch.setattr(Context, "copy", copy)
    responses = model.batch([f"{LONG} 1", f"{LONG} 2", f"{LONG} 3"], 3)

    # Those who come after the failure get a new engine, which fails when it keeps their beginning.
    assert {response["response_metadata"]["outcome"] for response in responses} <= {"failed", "truncated"}
    assert "no memory for a copy" in responses[0]["error"]["message"]
