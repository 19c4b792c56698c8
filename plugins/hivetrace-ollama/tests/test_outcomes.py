"""What raw replies mean: the table of cases, and payloads that nobody has seen."""

from __future__ import annotations

from typing import Any

import pytest
from hivetrace_ollama.outcomes import classify_ollama
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core import ModelError, Reply
from hivetrace_core.testing import check_classified, familiar_json

from .cases import ANSWERS, CALL, FAILURES, TOP, WEEKLY, Answer, Failure, chat


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case.id)
def test_an_answer_has_the_outcome_that_its_reason_and_content_amount_to(case: Answer) -> None:
    response = classify_ollama(Reply(case.payload))

    metadata = response["response_metadata"]
    assert (metadata["outcome"], metadata["finish_reason"], response["content"]) == case[2:]
    assert metadata["native_finish_reason"] == case.payload.get("done_reason")
    assert "block" not in metadata


@pytest.mark.parametrize("case", FAILURES, ids=lambda case: case.id)
def test_an_error_has_its_kind_and_says_what_to_do(case: Failure) -> None:
    with pytest.raises(ModelError) as caught:
        classify_ollama(Reply(case.payload, case.status, case.headers))

    error = caught.value
    assert (error.kind, error.retryable, error.status in (case.status, None)) == (case.kind, case.retryable, True)
    assert error.retry_after == case.wait
    assert case.says in error.message
    assert (error.response or {}).get("content") == case.partial
    assert "c2VjcmV0" not in error.message


def test_usage_durations_and_the_model_that_answered_are_carried_over() -> None:
    payload = chat(
        message={"thinking": "Because.", "tool_calls": [CALL]},
        prompt_eval_cached_count=20,
        logprobs=[{"token": "H", "logprob": -0.1}],
        remote_model="gpt-oss:120b",
        remote_host="https://ollama.com:443",
    )

    metadata: Any = classify_ollama(Reply(payload, 200, {"x-request-id": "r-1"}))["response_metadata"]

    assert metadata["model_name"] == "llama3.2"
    assert metadata["request_id"] == "r-1"
    assert metadata["usage"] == {
        "input_tokens": 26,
        "output_tokens": 298,
        "total_tokens": 324,
        "reasoning_tokens": None,
        "cached_tokens": 20,
    }
    assert metadata["total_duration_s"] == 5.191566416
    assert metadata["load_duration_s"] == 0.002154458
    assert metadata["prompt_eval_duration_s"] == 0.383809
    assert metadata["eval_duration_s"] == 4.799921
    assert metadata["reasoning"] == "Because."
    assert metadata["tool_calls"] == [CALL]
    assert metadata["logprobs"] == payload["logprobs"]
    assert metadata["created_at"] == TOP["created_at"]
    assert (metadata["remote_model"], metadata["remote_host"]) == ("gpt-oss:120b", "https://ollama.com:443")


def test_what_the_server_does_not_count_is_unknown_and_not_zero() -> None:
    payload = {"message": {"content": "Hi"}, "done": True, "done_reason": "stop", "eval_count": True}

    metadata: Any = classify_ollama(Reply(payload))["response_metadata"]

    assert set(metadata["usage"].values()) == {None}
    assert not [name for name in metadata if name.endswith("_s")]
    assert "model_name" not in metadata
    assert "reasoning" not in metadata
    assert "tool_calls" not in metadata


def test_the_request_id_of_an_error_is_the_headers_or_the_one_in_its_words() -> None:
    def id_of(headers: dict[str, str]) -> str | None:
        with pytest.raises(ModelError) as caught:
            classify_ollama(Reply({"error": WEEKLY}, 429, headers))
        return caught.value.request_id

    assert id_of({}) == "06d81c91-9772-4081-affc-f122d5523da7"
    assert id_of({"x-request-id": "r-1"}) == "r-1"


def test_long_words_of_a_server_are_shortened() -> None:
    with pytest.raises(ModelError) as caught:
        classify_ollama(Reply({"error": "x" * 5000}, 500))

    assert len(caught.value.message) < 600


KEYS = ["message", "done", "done_reason", "error", "model", "prompt_eval_count", "total_duration", "logprobs", "detail"]
INNER = ["role", "content", "thinking", "tool_calls", "message"]
ODD = st.dictionaries(st.sampled_from(KEYS), familiar_json(INNER), max_size=6)


@given(payload=familiar_json(KEYS) | ODD, status=st.integers(100, 999))
def test_any_json_is_a_response_or_a_model_error(payload: Any, status: int) -> None:
    response = check_classified(classify_ollama, Reply(payload, status))

    assert not response or status < 400
    assert not response or response["response_metadata"]["outcome"] not in ("blocked", "refused")
