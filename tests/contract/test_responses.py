"""Outcomes: what any dict amounts to, and what core adds to a custom model's answer without touching it."""

import itertools
import json
from collections import UserDict
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivetrace_core.answers import finished, settle
from hivetrace_core.errors import ModelError
from hivetrace_core.redaction import Redactor
from hivetrace_core.responses import (
    OUTCOMES,
    Reply,
    derive_outcome,
    failed_response,
    finish_reason_of,
    metadata_of,
    outcome_of,
    read,
)

FINISHES = (None, "stop", "length", "content_filter", "tool_calls", "error", "unknown", "end_turn")
CONTENTS: tuple[Any, ...] = (None, "", "text", [{"type": "text", "text": "x"}], 0)

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
SPOKEN = st.sampled_from([*OUTCOMES, *FINISHES, "", "answered ", True, 0])
KEYS = [
    "content",
    "outcome",
    "finish_reason",
    "model",
    "model_name",
    "provider",
    "error",
    "tool_calls",
    "block",
    "usage",
]
FACTS = st.dictionaries(st.sampled_from(KEYS), SPOKEN | JSON, max_size=6)
RESPONSES = st.builds(
    lambda top, metadata: top if metadata is None else {**top, "response_metadata": metadata},
    FACTS | st.dictionaries(st.text(max_size=6), JSON, max_size=3),
    st.none() | FACTS | JSON,
)
FAST = settings(max_examples=100, deadline=None, derandomize=True)


class Strange:
    """An object whose every question is an error, as with arrays."""

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


# What a response amounts to


def expected_outcome(finish: str | None, content: Any, error: Any, calls: Any) -> str:
    """The precedence of the design, written as a list of what applies."""
    applies = {
        "failed": finish == "error" or bool(error),
        "blocked": finish == "content_filter",
        "tool_calls": finish == "tool_calls" or bool(calls),
        "truncated": finish == "length",
        "empty": not content,
        "unknown": finish not in ("stop", None) or not isinstance(content, str),
    }
    return next((outcome for outcome in OUTCOMES if applies.get(outcome)), "answered")


@pytest.mark.parametrize("below", [True, False], ids=["in metadata", "at the top"])
def test_every_combination_of_signals_has_the_outcome_of_the_precedence(below: bool) -> None:
    errors = (None, {}, "", {"kind": "server"}, "boom")
    for finish, content, error, calls in itertools.product(FINISHES, CONTENTS, errors, (None, [], [{"id": 1}])):
        said = {"finish_reason": finish, "tool_calls": calls}
        response = {"content": content, "error": error, **({"response_metadata": said} if below else said)}

        assert outcome_of(response) == expected_outcome(finish, content, error, calls), response


def test_the_order_of_precedence_is_the_designs() -> None:
    assert OUTCOMES == ("failed", "blocked", "refused", "tool_calls", "truncated", "empty", "unknown", "answered")


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_named_outcome_stands(outcome: str) -> None:
    assert outcome_of({"content": "x", "response_metadata": {"outcome": outcome}}) == outcome
    assert outcome_of({"content": "x", "outcome": outcome, "finish_reason": "length"}) == outcome


@pytest.mark.parametrize("named", ["success", "", "Answered", 1, True, ["answered"], {"answered": 1}])
def test_a_name_outside_the_vocabulary_is_unknown_and_never_a_success(named: Any) -> None:
    assert outcome_of({"content": "x", "response_metadata": {"outcome": named}}) == "unknown"


def test_a_custom_verdict_replaces_only_the_finish_reasons_word_on_blocks() -> None:
    filtered = {"content": "text", "finish_reason": "content_filter"}

    assert derive_outcome(filtered) == "blocked"
    assert derive_outcome(filtered, blocked=False) == "answered"
    assert derive_outcome({**filtered, "content": ""}, blocked=False) == "empty"
    assert derive_outcome({"content": "text"}, blocked=True) == "blocked"
    assert derive_outcome({"content": "text", "error": "x"}, blocked=True) == "failed"
    assert derive_outcome({"content": "text", "finish_reason": "length"}, blocked=False) == "truncated"


@FAST
@given(RESPONSES)
def test_any_json_like_dict_has_one_outcome(response: dict[str, Any]) -> None:
    assert outcome_of(response) in OUTCOMES
    assert derive_outcome(response) in OUTCOMES
    assert finish_reason_of(response) in {"stop", "length", "content_filter", "tool_calls", "error", "unknown"}


@pytest.mark.parametrize("key", ["error", "outcome", "finish_reason", "content", "tool_calls"])
@pytest.mark.parametrize("below", [True, False])
def test_values_that_cannot_be_asked_are_no_success(key: str, below: bool) -> None:
    response: dict[str, Any] = {"content": "x", "response_metadata": {key: Strange()}} if below else {"content": "x"}
    if not below:
        response[key] = Strange()

    outcome = outcome_of(response)

    assert outcome in OUTCOMES
    if not (below and key in ("error", "content")):
        assert outcome != "answered"


def test_metadata_comes_first_and_the_top_level_second() -> None:
    response = {"model": "top", "finish_reason": "stop", "response_metadata": {"model": "below", "finish_reason": None}}

    assert read(response, "model") == "below"
    assert read(response, "finish_reason") == "stop"
    assert read(response, "model_name", "model") == "below"
    assert read(response, "usage") is None
    assert read({"response_metadata": None, "usage": 0}, "usage") == 0


@pytest.mark.parametrize("given", [None, "text", ["x"], 3, {"response_metadata": "x"}, {"response_metadata": None}])
def test_metadata_of_anything_is_a_mapping(given: Any) -> None:
    assert metadata_of(given) == {}


def test_a_reply_is_a_status_and_a_payload() -> None:
    assert Reply({"a": 1}) == Reply({"a": 1}, 200, {})
    assert Reply(None).headers is not Reply(None).headers


# What core adds to a custom model's answer


def test_the_least_answer_becomes_a_whole_response() -> None:
    assert settle({"content": "hi"}, model_name="mine", provider="custom") == {
        "content": "hi",
        "response_metadata": {
            "outcome": "answered",
            "model_name": "mine",
            "provider": "custom",
            "finish_reason": "stop",
        },
    }


def test_facts_at_the_top_level_are_read_and_stay_there() -> None:
    settled = settle({"content": "hi", "finish_reason": "length", "model": "gpt-x"}, model_name="mine")

    assert settled == {
        "content": "hi",
        "finish_reason": "length",
        "model": "gpt-x",
        "response_metadata": {
            "outcome": "truncated",
            "model_name": "gpt-x",
            "finish_reason": "length",
            "native_finish_reason": "length",
        },
    }


def test_a_word_of_the_models_own_is_kept_as_native() -> None:
    top = settle({"content": "hi", "finish_reason": "end_turn"}, model_name="m")["response_metadata"]
    below = settle({"content": "hi", "response_metadata": {"finish_reason": "end_turn"}}, model_name="m")

    assert (top["finish_reason"], top["native_finish_reason"], top["outcome"]) == ("unknown", "end_turn", "unknown")
    assert below["response_metadata"]["finish_reason"] == "end_turn"
    assert below["response_metadata"]["native_finish_reason"] == "end_turn"


@pytest.mark.parametrize(
    ("response", "finish"),
    [
        ({"content": ""}, "stop"),
        ({"content": "x", "outcome": "blocked"}, "content_filter"),
        ({"content": "", "error": "boom"}, "error"),
        ({"content": "x", "outcome": "refused"}, "unknown"),
        ({"content": "", "tool_calls": [1]}, "unknown"),
    ],
)
def test_where_no_finish_reason_is_given_the_outcome_implies_one(response: dict[str, Any], finish: str) -> None:
    metadata = settle(response, model_name="m")["response_metadata"]

    assert metadata["finish_reason"] == finish
    assert "native_finish_reason" not in metadata


def test_what_is_none_counts_as_missing() -> None:
    settled = settle(
        {"content": None, "response_metadata": {"model_name": None, "provider": None, "finish_reason": None}},
        model_name="mine",
        provider="custom",
    )

    assert settled["content"] == ""
    assert settled["response_metadata"] == {
        "model_name": "mine",
        "provider": "custom",
        "finish_reason": "stop",
        "outcome": "empty",
    }


def test_a_model_that_is_no_name_is_not_taken_for_one() -> None:
    assert settle({"content": "x", "model": object()}, model_name="mine")["response_metadata"]["model_name"] == "mine"


@FAST
@given(RESPONSES, st.none() | st.booleans())
def test_settling_never_moves_or_drops_a_key(response: dict[str, Any], verdict: bool | None) -> None:
    before = json.dumps(response, default=repr)
    judge = None if verdict is None else lambda _: verdict

    settled = settle(response, model_name="mine", provider="custom", is_blocked=judge)

    assert json.dumps(response, default=repr) == before
    own = metadata_of(response)
    for key, value in response.items():
        if key != "response_metadata" and not (key == "content" and value is None):
            assert settled[key] is value
    for key, value in own.items():
        replaced = key == "outcome" or value is None or (key == "block" and not isinstance(value, Mapping))
        assert replaced or settled["response_metadata"][key] is value
    assert set(settled) == {*response, "content", "response_metadata"}
    assert settled["response_metadata"]["outcome"] in OUTCOMES
    if verdict is not None and settled["response_metadata"]["outcome"] != "failed":
        assert (settled["response_metadata"]["outcome"] == "blocked") is verdict


def test_a_mapping_of_another_class_becomes_a_plain_dict() -> None:
    settled = settle(UserDict({"content": "x", "response_metadata": UserDict({"model": "y"})}), model_name="m")

    assert type(settled) is dict
    assert type(settled["response_metadata"]) is dict
    assert settled["response_metadata"]["model_name"] == "y"


# Who decides that an answer is blocked


def test_a_block_by_finish_reason_names_that_rule() -> None:
    settled = settle({"content": "", "finish_reason": "content_filter"}, model_name="m")

    assert settled["response_metadata"]["block"] == {
        "stage": "unspecified",
        "categories": [],
        "rule": "finish_reason",
    }


def test_a_custom_verdict_blocks_under_its_own_rule() -> None:
    settled = settle({"content": "cannot"}, model_name="m", is_blocked=lambda response: response["content"] == "cannot")

    assert settled["response_metadata"]["outcome"] == "blocked"
    assert settled["response_metadata"]["block"]["rule"] == "is_answer_blocked"


def test_a_custom_verdict_unblocks() -> None:
    filtered = {"content": "text", "response_metadata": {"finish_reason": "content_filter", "outcome": "blocked"}}

    settled = settle(filtered, model_name="m", is_blocked=lambda _: False)

    assert settled["response_metadata"]["outcome"] == "answered"
    assert "block" not in settled["response_metadata"]


def test_a_block_that_the_model_described_itself_stays_as_it_is() -> None:
    own = {"stage": "prompt", "rule": "mine", "categories": [{"name": "x"}]}
    said = {"content": "", "response_metadata": {"outcome": "blocked", "block": own}}

    assert settle(said, model_name="m")["response_metadata"]["block"] is own
    assert settle(said, model_name="m", is_blocked=lambda _: True)["response_metadata"]["block"] is own


def test_a_failed_answer_is_never_judged() -> None:
    def judge(response: Mapping[str, Any]) -> bool:
        raise AssertionError("asked about a failure")

    settled = settle({"content": "", "error": "boom"}, model_name="m", is_blocked=judge)

    assert settled["response_metadata"]["outcome"] == "failed"
    assert "block" not in settled["response_metadata"]


def test_a_verdict_of_false_leaves_every_other_outcome_alone() -> None:
    for outcome in set(OUTCOMES) - {"failed", "blocked"}:
        settled = settle({"content": "x", "outcome": outcome}, model_name="m", is_blocked=lambda _: False)

        assert settled["response_metadata"]["outcome"] == outcome


def test_a_verdict_that_raises_makes_the_outcome_unknown_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def broken(response: Mapping[str, Any]) -> bool:
        raise KeyError("status-12345")

    given = {"content": "x", "finish_reason": "content_filter", "response_metadata": {"block": {"rule": "own"}}}

    settled = finished(
        given, who="It", model_name="mine", provider="custom", is_blocked=broken, redactor=Redactor(["status-12345"])
    )

    assert settled["response_metadata"]["outcome"] == "unknown"
    assert settled["response_metadata"]["block"] == {"rule": "own"}
    assert "is_answer_blocked of mine failed" in caplog.text
    assert "KeyError: '***'" in caplog.text


# Failures in the place of a response


def test_a_failed_response_keeps_the_partial_answer() -> None:
    partial = {"content": "half an ans", "response_metadata": {"model_name": "large-2", "usage": {"input_tokens": 3}}}
    error = ModelError(
        "Cut off", kind="connection", provider="acme", model="large", attempts=2, request_id="r-1", response=partial
    )

    assert failed_response(error, index=7, latency_s=0.5) == {
        "content": "half an ans",
        "response_metadata": {
            "model_name": "large-2",
            "usage": {"input_tokens": 3},
            "finish_reason": "error",
            "outcome": "failed",
            "attempts": 2,
            "provider": "acme",
            "request_id": "r-1",
            "latency_s": 0.5,
            "index": 7,
        },
        "error": {"kind": "connection", "message": "Cut off", "status": None, "retryable": True},
    }


def test_a_failed_response_without_a_partial_answer_is_empty() -> None:
    response = failed_response(ModelError("Down", kind="server", model="large"))

    assert response["content"] == ""
    assert response["response_metadata"] == {
        "model_name": "large",
        "finish_reason": "error",
        "outcome": "failed",
        "attempts": 0,
    }
    assert outcome_of(response) == "failed"


@pytest.mark.parametrize("partial", ["half", ["half"], 3, {"content": None}, {"content": ["x"]}, {"model": object()}])
def test_a_partial_answer_of_any_shape_gives_a_json_ready_failure(partial: Any) -> None:
    response = failed_response(ModelError("Down", response=partial))

    assert json.loads(json.dumps(response))["content"] == ""
