"""The simulated target's replies, read back: pure, and total over whatever stands in a journal."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivetrace_core import ModelError, ModelSpec, Reply
from hivetrace_core.errors import ERROR_KINDS
from hivetrace_core.responses import OUTCOMES
from hivetrace_core.simulated import hivetrace_models
from hivetrace_core.simulated.outcomes import RULES_VERSION, classify, status_of

FAST = settings(max_examples=100, deadline=None, derandomize=True)

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
JSON = st.recursive(
    LEAVES | st.sampled_from(["stop", "length", "tool_calls", "refusal", "filter", "prompt", *ERROR_KINDS]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["stage", "categories", "name", "severity", "code", "message", "total_tokens", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)
PAYLOADS = JSON | st.dictionaries(
    st.sampled_from(["id", "model", "finish", "text", "usage", "filter", "tool_calls", "error"]), JSON, max_size=8
)


def outcome_of(payload: Any) -> str:
    return str(classify(Reply(payload))["response_metadata"]["outcome"])


@pytest.mark.parametrize(
    ("payload", "outcome"),
    [
        ({"finish": "stop", "text": "x"}, "answered"),
        ({"finish": "stop", "text": ""}, "empty"),
        ({"finish": "stop"}, "empty"),
        ({"finish": "length", "text": "x"}, "truncated"),
        ({"finish": "length", "text": ""}, "truncated"),
        ({"finish": "refusal", "text": "no"}, "refused"),
        ({"finish": "filter", "text": "no"}, "blocked"),
        ({"finish": "filter", "text": "no", "tool_calls": [1]}, "blocked"),
        ({"finish": "refusal", "text": "no", "tool_calls": [1]}, "refused"),
        ({"finish": "tool_calls"}, "tool_calls"),
        ({"finish": "stop", "text": "x", "tool_calls": [1]}, "tool_calls"),
        ({"finish": "length", "text": "x", "tool_calls": [1]}, "tool_calls"),
        ({"finish": "stop", "text": "x", "tool_calls": []}, "answered"),
        ({"finish": "new", "text": "x"}, "unknown"),
        ({"finish": "new", "text": ""}, "empty"),
        ({"finish": None, "text": "x"}, "unknown"),
        ({"finish": ["stop"], "text": "x"}, "unknown"),
        ({"text": "x"}, "unknown"),
        ({}, "empty"),
        ({"finish": "stop", "text": ["x"]}, "empty"),
    ],
)
def test_a_payload_has_the_outcome_of_the_precedence(payload: dict[str, Any], outcome: str) -> None:
    assert outcome_of(payload) == outcome


def test_what_is_read_from_a_reply() -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}

    response = classify(Reply({"id": "i", "model": "m", "finish": "stop", "text": "x", "usage": usage}))

    assert response == {
        "content": "x",
        "response_metadata": {
            "model_name": "m",
            "finish_reason": "stop",
            "native_finish_reason": "stop",
            "outcome": "answered",
            "usage": usage,
            "request_id": "i",
        },
    }


@pytest.mark.parametrize(
    ("found", "stage", "categories"),
    [
        ({"stage": "prompt", "categories": [{"name": "a", "severity": "low"}]}, "prompt", [("a", "low")]),
        ({"stage": "response", "categories": [{"name": "a"}]}, "response", [("a", None)]),
        ({"stage": "elsewhere", "categories": "a"}, "unspecified", []),
        ({"stage": None, "categories": ["a", {"x": 1}, {"name": 5}]}, "unspecified", []),
        ("filtered", "response", []),
        (None, "response", []),
    ],
)
def test_a_filter_of_any_shape_is_a_block(found: Any, stage: str, categories: list[tuple[str, str | None]]) -> None:
    block = classify(Reply({"finish": "filter", "filter": found}))["response_metadata"]["block"]

    assert block["stage"] == stage
    assert [(category["name"], category["severity"]) for category in block["categories"]] == categories
    assert block["evidence"] == {"path": "filter", "value": found}


def test_a_refusal_has_its_evidence() -> None:
    block = classify(Reply({"finish": "refusal", "text": "no"}))["response_metadata"]["block"]

    assert (block["rule"], block["stage"]) == ("simulated.refusal", "response")
    assert block["evidence"] == {"path": "finish", "value": "refusal"}


@pytest.mark.parametrize(
    ("reply", "kind", "wait"),
    [
        (Reply({"error": {"code": "quota", "message": "m"}}, 402), "quota", None),
        (Reply({"error": {"code": "context_length"}}, 500), "context_length", None),
        (Reply({"error": {"code": "not_sent"}}, 500), "server", None),
        (Reply({"error": {"code": "strange"}}, 404), "not_found", None),
        (Reply({"error": {"code": ["quota"]}}, 429, {"retry-after": "1.5"}), "rate_limit", 1.5),
        (Reply({"error": "text"}, 418, {"retry-after": "soon"}), "server", None),
        (Reply({}, 401), "authentication", None),
        (Reply({"error": {"code": "server"}}, 200), "server", None),
        (Reply("<html>", 503), "server", None),
        (Reply("text", 200), "response_format", None),
        (Reply(None, 200), "response_format", None),
        (Reply([{}], 200), "response_format", None),
    ],
)
def test_a_reply_that_is_an_error_says_which(reply: Reply, kind: str, wait: float | None) -> None:
    with pytest.raises(ModelError) as caught:
        classify(reply)

    assert (caught.value.kind, caught.value.status, caught.value.retry_after) == (kind, reply.status, wait)
    assert caught.value.message


def test_statuses_are_those_of_real_servers() -> None:
    statuses = {kind: status_of(kind) for kind in ERROR_KINDS}

    assert statuses["authentication"] == 401
    assert statuses["rate_limit"] == 429
    assert statuses["context_length"] == 413
    assert statuses["server"] == statuses["connection"] == statuses["unexpected"] == 500


@FAST
@given(
    PAYLOADS, st.sampled_from([200, 200, 200, 400, 429, 500, 302]), st.dictionaries(st.just("retry-after"), st.text())
)
def test_any_reply_is_a_response_or_a_model_error_and_stays_as_it_was(
    payload: Any, status: int, headers: dict[str, str]
) -> None:
    reply = Reply(payload, status, headers)
    before = copy.deepcopy(payload)

    try:
        response = classify(reply)
    except ModelError as error:
        kind = error.kind
        assert kind in ERROR_KINDS - {"not_sent"}
        return
    finally:
        assert json.dumps(payload) == json.dumps(before)
    metadata = response["response_metadata"]
    assert metadata["outcome"] in OUTCOMES
    assert metadata["finish_reason"] in {"stop", "length", "content_filter", "tool_calls", "unknown"}
    assert isinstance(response["content"], str)
    assert isinstance(metadata["usage"], dict)
    assert metadata["request_id"] is None or isinstance(metadata["request_id"], str)
    assert ("block" in metadata) is (metadata["outcome"] in ("blocked", "refused"))
    if metadata["outcome"] == "answered":
        assert response["content"]
        assert metadata["native_finish_reason"] == "stop"
    assert json.dumps(classify(reply)) == json.dumps(response)


def test_the_rules_have_a_version() -> None:
    assert RULES_VERSION == 1


def test_the_target_registers_by_the_door_of_every_plugin() -> None:
    (spec,) = hivetrace_models()

    assert isinstance(spec, ModelSpec)
    assert (spec.name, spec.default_id, spec.api) == ("simulated", "simulated", 1)
    assert spec.claims == ()
