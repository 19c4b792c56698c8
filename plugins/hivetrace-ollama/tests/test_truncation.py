"""Prompts that the server cannot have read whole are marked; what is not known is not claimed."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hivetrace_ollama import OllamaModel
from hivetrace_ollama.truncation import least_tokens, was_cut
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core import normalize

from .conftest import Recorder


@pytest.mark.parametrize(
    ("prompt", "least"),
    [
        ("one two  three\nfour", 4),
        ("", 0),
        ("слово", 1),
        ([{"role": "system", "content": "a b"}, {"role": "user", "content": "c"}], 3),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>b c</think> d"}], 1),
        ([{"role": "user", "content": "a"}, {"role": "tool", "content": "b c"}], 1),
        ([{"role": "user", "content": [{"type": "text", "text": "a b"}, {"type": "text", "text": "c"}]}], 3),
        ([{"role": "user", "content": [{"type": "image", "data": "QUJD", "mime_type": "image/png"}]}], 0),
    ],
)
def test_a_prompt_has_at_least_as_many_tokens_as_its_own_words(prompt: Any, least: int) -> None:
    assert least_tokens(normalize(prompt)) == least


@pytest.mark.parametrize(
    ("payload", "least", "num_ctx", "cut"),
    [
        ({"prompt_eval_count": 2050}, 3000, 4096, True),
        ({"prompt_eval_count": 2050}, 3000, None, True),
        ({"prompt_eval_count": 2050}, 2051, None, True),
        ({"prompt_eval_count": 2050}, 2050, None, False),
        ({"prompt_eval_count": 4096}, 4000, 4096, False),
        ({"prompt_eval_count": 5000}, 4500, 4096, False),
        ({"prompt_eval_count": 2050, "prompt_eval_cached_count": 1000}, 3000, None, True),
        ({"prompt_eval_count": 10, "prompt_eval_cached_count": 2990}, 3000, None, False),
        ({"prompt_eval_count": 10, "prompt_eval_cached_count": 2980}, 3000, None, True),
        ({}, 5000, 4096, True),
        ({}, 4096, 4096, False),
        ({}, 5000, None, False),
        ({"prompt_eval_count": "many"}, 5000, None, False),
    ],
)
def test_only_what_the_counts_prove_is_called_cut(payload: Any, least: int, num_ctx: int | None, cut: bool) -> None:
    assert was_cut(payload, least, num_ctx) is cut


@given(words=st.lists(st.text(st.characters(exclude_categories=("Z", "C")), min_size=1), max_size=30))
def test_no_tokenizer_that_keeps_words_apart_is_ever_accused(words: list[str]) -> None:
    text = " ".join(words)

    assert not was_cut({"prompt_eval_count": len(words)}, least_tokens(normalize(text)), None)


@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_prompt_is_marked_in_its_answer_and_the_log_says_so_once(
    stream: bool, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.reply = {"message": {"content": "Hi"}, "done": True, "done_reason": "stop", "prompt_eval_count": 6}

    def metadata(model: OllamaModel, prompt: str) -> Any:
        response: Any = list(model.stream(prompt))[-1] if stream else model.invoke(prompt)
        return response["response_metadata"]

    with (
        OllamaModel("m", base_url=recorder.url, num_ctx=12) as model,
        caplog.at_level(logging.WARNING, "hivetrace_ollama"),
    ):
        whole = metadata(model, "a b c")
        assert caplog.records == []
        first, second = metadata(model, "word " * 20), metadata(model, "word " * 30)

    assert "prompt_truncated" not in whole
    assert "prompt_tokens_at_least" not in whole
    assert (first["prompt_truncated"], first["prompt_tokens_at_least"]) == (True, 20)
    assert second["prompt_tokens_at_least"] == 30
    assert first["outcome"] == "answered"
    (record,) = caplog.records
    assert "num_ctx 12" in record.getMessage()
    assert "word" not in record.getMessage()


@pytest.mark.parametrize(
    ("options", "window"),
    [
        ({}, None),
        ({"num_ctx": 8}, 8),
        ({"options": {"num_ctx": 9}}, 9),
        ({"num_ctx": 8, "extra_body": {"options": {"num_ctx": 10}}}, 10),
        ({"num_ctx": 8, "extra_body": {"options": {}}}, None),
        ({"extra_body": {"options": 3}}, None),
        ({"options": {"num_ctx": "many"}}, None),
        ({"options": {"num_ctx": True}}, None),
        ({"options": {"num_ctx": 0}}, None),
    ],
)
def test_the_window_is_the_one_that_is_sent(options: dict[str, Any], window: int | None) -> None:
    assert OllamaModel("m", **options).options.context_window() == window


def test_without_a_num_ctx_the_log_names_the_servers_default(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.reply = {"message": {"content": "Hi"}, "done": True, "done_reason": "stop", "prompt_eval_count": 1}
    with OllamaModel("m", base_url=recorder.url) as model:
        model.invoke("a b c")

    assert "the server's default" in caplog.text
