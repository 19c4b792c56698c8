"""The engine on a real model: what it answers, for whom, and what happens when somebody leaves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from hivetrace_llamacpp import LlamaCppModel
from hivetrace_llamacpp.requests import Answer
from hypothesis import given, settings
from hypothesis import strategies as st

Make = Callable[..., LlamaCppModel]
SYSTEM = "You are a careful assistant. Answer the question of the user in a few short sentences, in plain words. " * 2


def chats(count: int) -> list[list[dict[str, str]]]:
    """Prompts of different lengths; every fifth one shares nothing with the others."""
    rng = random.Random(3)
    words = ["the", "secret", "rule", "and", "an", "answer", "почему", "где", "model", "token"]
    texts = [" ".join(rng.choices(words, k=rng.randint(1, 40))) for _ in range(count)]
    system = [{"role": "system", "content": SYSTEM}]
    return [
        [*(system if number % 5 else []), {"role": "user", "content": f"{number} {text}"}]
        for number, text in enumerate(texts)
    ]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Answer]:
    """The engine's answers, with their tokens, in the order in which they came."""
    seen: list[Answer] = []
    reply = LlamaCppModel._reply

    def watched(self: LlamaCppModel, answer: Answer) -> Any:
        seen.append(answer)
        return reply(self, answer)

    monkeypatch.setattr(LlamaCppModel, "_reply", watched)
    return seen


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 1},
        {"batch_size": 4},
        {"batch_size": 8, "prefix_cache": False},
        {"batch_size": 8, "n_batch": 32},
        {"batch_size": 16, "kv_cells": 1024},
        {"batch_size": 8, "deterministic": True},
    ],
    ids=str,
)
def test_every_prompt_gets_the_tokens_that_it_gets_alone(
    make: Make, serial: Callable[..., list[int]], answers: list[Answer], options: dict[str, Any]
) -> None:
    prompts = chats(20)
    # As llama-cpp-python has it: flash attention rounds in another order, and near-ties of random weights flip.
    model = make(flash_attn=False, **options)

    responses = model.batch(prompts)

    assert [response["response_metadata"]["index"] for response in responses] == list(range(20))
    wanted = [serial(prompt, 16) for prompt in prompts]
    assert sorted(answer.tokens for answer in answers) == sorted(wanted)
    by_text = {answer.text: answer.tokens for answer in answers}
    assert [by_text[response["content"]] for response in responses] == wanted


def test_a_common_beginning_is_read_once(make: Make) -> None:
    model = make(batch_size=8)
    prompts = [[{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"n{n}"}] for n in range(24)]

    responses = model.batch(prompts)

    usages = [response["response_metadata"]["usage"] for response in responses]
    assert sum((usage["cached_tokens"] or 0) == 0 for usage in usages) == 1
    assert all((usage["cached_tokens"] or 0) > 100 for usage in usages[1:])


def test_after_the_answers_only_the_kept_beginnings_hold_cells(make: Make) -> None:
    model = make(batch_size=4, kv_cells=600)
    model.batch(chats(40))

    scheduler = model.make_client().engine._scheduler
    assert scheduler is not None
    for prefix in list(scheduler._prefixes):
        scheduler._prefixes.drop(prefix)
    assert scheduler._cells.used == 0
    assert sorted(scheduler._free) == [0, 1, 2, 3]


def test_a_prompt_that_is_too_long_fails_alone_with_the_numbers(make: Make) -> None:
    model = make(batch_size=4, n_ctx=128)

    responses = model.batch(["one", "word " * 300, "three"])

    assert [response["response_metadata"]["outcome"] for response in responses] == ["truncated", "failed", "truncated"]
    assert responses[1]["error"]["kind"] == "context_length"
    assert "n_ctx=128" in responses[1]["error"]["message"]


def test_an_answer_without_a_limit_ends_at_the_window(make: Make) -> None:
    response = make(n_ctx=128, max_tokens=None).invoke("one")

    usage = response["response_metadata"]["usage"]
    assert usage["total_tokens"] == 128
    assert response["response_metadata"]["native_finish_reason"] == "context"


def test_answers_that_need_more_cells_than_there_are_still_end(make: Make) -> None:
    model = make(batch_size=8, n_ctx=256, kv_cells=256, max_tokens=None)

    responses = model.batch([f"prompt {number}" for number in range(8)])

    assert all(response["response_metadata"]["outcome"] == "truncated" for response in responses)


def test_streamed_pieces_are_the_answer(make: Make) -> None:
    model = make(max_tokens=40)
    chunks = list(model.stream("почему?"))

    assert "".join(chunk["content"] for chunk in chunks) == model.invoke("почему?")["content"]
    assert len(chunks) > 10
    assert chunks[-1]["response_metadata"]["usage"]["output_tokens"] == 40


def test_answers_land_on_their_prompts_however_long_those_are(make: Make) -> None:
    models = {
        name: make(batch_size=5, kv_cells=1024, flash_attn=False, **options)
        for name, options in {"shared": {}, "small steps": {"n_batch": 32}, "no cache": {"prefix_cache": False}}.items()
    }
    alone: dict[str, str] = {}

    def prompt(words: int, which: int) -> list[dict[str, str]]:
        system = [{"role": "system", "content": SYSTEM}] if which % 3 else []
        return [*system, {"role": "user", "content": f"{'word ' * words}{which}"}]

    @settings(max_examples=15, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from([0, 1, 7, 60]), st.integers(0, 8)), max_size=12),
        st.sampled_from(sorted(models)),
        st.integers(1, 12),
        st.booleans(),
    )
    def check(shape: list[tuple[int, int]], name: str, window: int, ordered: bool) -> None:
        model = models[name]
        prompts = [prompt(*one) for one in shape]
        for one in prompts:
            if str(one) not in alone:
                alone[str(one)] = models["shared"].invoke(one)["content"]

        async def collected() -> list[Any]:
            stream = model.stream_abatch(prompts, window, ordered=ordered)
            return [response async for response in stream]

        responses = asyncio.run(collected())
        indexes = [response["response_metadata"]["index"] for response in responses]
        assert sorted(indexes) == list(range(len(prompts)))
        assert indexes == sorted(indexes) or not ordered
        for response, index in zip(responses, indexes, strict=True):
            assert response["content"] == alone[str(prompts[index])]

    check()
