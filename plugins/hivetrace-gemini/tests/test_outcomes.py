"""One case per signal that is documented (`cases.py`): a raw reply in, what it means out."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from hivetrace_gemini.dialect_signals import SIGNALS
from hivetrace_gemini.outcomes import classify
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core import ModelError, Reply
from hivetrace_core.testing import check_classified, familiar_json

CASES: list[dict[str, Any]] = runpy.run_path(str(Path(__file__).with_name("cases.py")))["CASES"]
ANSWERS = [case for case in CASES if "outcome" in case]
ERRORS = [case for case in CASES if "outcome" not in case]


def reply_of(case: dict[str, Any]) -> Reply:
    return Reply(case["payload"], case["status"], case["headers"])


def error_of(payload: Any, status: int = 200) -> ModelError:
    with pytest.raises(ModelError) as caught:
        classify(Reply(payload, status))
    return caught.value


def answer(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP"}], **more}


def test_every_signal_of_the_dialect_has_a_case_and_means_the_same_there() -> None:
    meanings = {case["id"]: case.get("outcome") or case["error"] for case in CASES if case["id"] in SIGNALS}

    assert meanings == {name: signal.means for name, signal in SIGNALS.items()}
    assert len({case["id"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", ANSWERS, ids=[case["id"] for case in ANSWERS])
def test_a_signal_is_classified(case: dict[str, Any]) -> None:
    response = classify(reply_of(case))

    metadata: Any = response["response_metadata"]
    block = metadata.get("block", {})
    found = {
        "outcome": metadata["outcome"],
        "finish": metadata["finish_reason"],
        "native": metadata["native_finish_reason"],
        "content": response["content"],
        "stage": block.get("stage"),
        "rule": block.get("rule"),
        "categories": [(category["name"], category["severity"]) for category in block.get("categories", [])],
    }
    assert {key: found[key] for key in found if key in case} == {key: case[key] for key in found if key in case}
    assert ("block" in metadata) is (metadata["outcome"] == "blocked")
    json.dumps(response)


@pytest.mark.parametrize("case", ERRORS, ids=[case["id"] for case in ERRORS])
def test_an_error_has_its_kind_and_its_wait(case: dict[str, Any]) -> None:
    error = error_of_case(case)

    found = {"error": error.kind, "retryable": error.retryable, "wait": error.retry_after}
    assert {key: found[key] for key in found if key in case} == {key: case[key] for key in found if key in case}
    assert error.status == case["status"]


def error_of_case(case: dict[str, Any]) -> ModelError:
    with pytest.raises(ModelError) as caught:
        classify(reply_of(case))
    return caught.value


def test_a_block_says_where_its_signal_stands() -> None:
    of_the_prompt = classify(Reply({"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "No."}}))
    of_the_answer = classify(Reply({"candidates": [{"finishReason": "SPII", "finishMessage": "Personal data."}]}))

    prompt: Any = of_the_prompt["response_metadata"]
    assert prompt["block"]["evidence"] == {"path": "promptFeedback.blockReason", "value": "SAFETY"}
    assert prompt["finish_message"] == "No."
    response: Any = of_the_answer["response_metadata"]
    assert response["block"]["evidence"] == {"path": "candidates[0].finishReason", "value": "SPII"}
    assert response["finish_message"] == "Personal data."


def test_usage_model_version_and_response_id_are_carried_over() -> None:
    usage = {
        "promptTokenCount": 12,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 20,
        "totalTokenCount": 35,
        "cachedContentTokenCount": 4,
    }
    payload = answer({"text": "x"}, usageMetadata=usage, modelVersion="gemini-2.5-flash", responseId="r-1")

    metadata = classify(Reply(payload))["response_metadata"]

    assert metadata["usage"] == {
        "input_tokens": 12,
        "output_tokens": 23,
        "total_tokens": 35,
        "reasoning_tokens": 20,
        "cached_tokens": 4,
    }
    assert (metadata["model_name"], metadata["request_id"]) == ("gemini-2.5-flash", "r-1")


@pytest.mark.parametrize(
    ("usage", "output"),
    [
        ({}, None),
        ({"thoughtsTokenCount": 9}, 9),
        ({"candidatesTokenCount": 2}, 2),
        ({"candidatesTokenCount": "2"}, None),
    ],
)
def test_tokens_that_are_not_told_stay_unknown(usage: dict[str, Any], output: int | None) -> None:
    metadata = classify(Reply(answer({"text": "x"}, usageMetadata=usage)))["response_metadata"]

    assert metadata["usage"]["output_tokens"] == output


def test_the_request_id_of_a_gateway_is_taken_where_the_answer_has_none() -> None:
    metadata = classify(Reply(answer({"text": "x"}), 200, {"x-request-id": "g-1"}))["response_metadata"]

    assert metadata["request_id"] == "g-1"


def test_thoughts_are_reasoning_and_no_content() -> None:
    payload = answer({"text": "Hm", "thought": True}, {"text": ", so.", "thought": True}, {"text": "4"}, {"text": "2"})

    response = classify(Reply(payload))

    assert response["content"] == "42"
    assert response["response_metadata"]["reasoning"] == "Hm, so."


def test_harmless_ratings_of_an_answer_are_no_block() -> None:
    rated = {"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}
    payload = answer({"text": "Hi"})
    payload["candidates"][0]["safetyRatings"] = [rated]

    metadata: Any = classify(Reply(payload))["response_metadata"]

    assert metadata["outcome"] == "answered"
    assert metadata["safety_ratings"] == [rated]


def test_function_calls_have_the_widespread_form_and_keep_their_signature() -> None:
    call = {"functionCall": {"id": "c-1", "name": "look_up", "args": {"word": "мир"}}, "thoughtSignature": "c2ln"}

    metadata = classify(Reply(answer(call, {"functionCall": {"name": "stop"}})))["response_metadata"]

    assert metadata["tool_calls"] == [
        {
            "id": "c-1",
            "type": "function",
            "function": {"name": "look_up", "arguments": '{"word": "мир"}'},
            "thought_signature": "c2ln",
        },
        {"id": None, "type": "function", "function": {"name": "stop", "arguments": "{}"}},
    ]


def test_text_before_an_error_is_kept() -> None:
    payload = {**answer({"text": "half"}, modelVersion="m-1"), "error": {"code": 503, "status": "UNAVAILABLE"}}

    error = error_of(payload)

    assert error.kind == "server"
    assert error.response is not None
    assert error.response["content"] == "half"
    assert error.response["response_metadata"]["model_name"] == "m-1"


def test_text_before_a_failing_finish_reason_is_kept() -> None:
    payload = answer({"text": "half"})
    payload["candidates"][0].update(finishReason="MALFORMED_FUNCTION_CALL", finishMessage="print(x)")

    error = error_of(payload)

    assert error.response is not None
    assert error.response["content"] == "half"
    assert (error.code, error.message) == (
        "MALFORMED_FUNCTION_CALL",
        "Gemini stopped with MALFORMED_FUNCTION_CALL: the model wrote a function call that cannot be read (print(x))",
    )


@pytest.mark.parametrize(
    ("name", "code", "advice"),
    [
        ("error.api_key_invalid", "API_KEY_INVALID", "GOOGLE_API_KEY"),
        ("error.region", "FAILED_PRECONDITION", "region"),
        ("error.billing", "FAILED_PRECONDITION", "billing"),
        ("error.per_day", "RESOURCE_EXHAUSTED", "PerDay"),
        ("error.per_day", "RESOURCE_EXHAUSTED", "midnight"),
        ("error.not_found", "NOT_FOUND", "model id"),
        ("error.context_length", "INVALID_ARGUMENT", "too long"),
        ("body.html", None, "base_url"),
    ],
)
def test_a_message_says_what_to_do_next(name: str, code: str | None, advice: str) -> None:
    signal = SIGNALS[name]

    error = error_of(signal.build(""), signal.status)

    assert advice in error.message
    assert error.code == code


def test_a_message_is_one_line_of_bearable_length() -> None:
    error = error_of({"error": {"code": 429, "message": "* Quota\n\n  exceeded " * 200}}, 429)

    assert "\n" not in error.message
    assert len(error.message) < 700


KEYS = [
    "candidates",
    "content",
    "parts",
    "text",
    "thought",
    "functionCall",
    "args",
    "finishReason",
    "finishMessage",
    "safetyRatings",
    "category",
    "promptFeedback",
    "blockReason",
    "usageMetadata",
    "error",
    "code",
    "status",
    "details",
    "violations",
    "quotaId",
    "retryDelay",
    "metadata",
    "reason",
]
WORDS = ["STOP", "SAFETY", "OTHER", "MALFORMED_RESPONSE", "RESOURCE_EXHAUSTED", "1e999s", "9" * 400 + "s", "\ud800"]
JSON = familiar_json(KEYS, WORDS)
CANDIDATE = st.fixed_dictionaries({"candidates": st.lists(JSON, max_size=2)}, optional={"promptFeedback": JSON})


@given(JSON | CANDIDATE | st.fixed_dictionaries({"error": JSON}), st.sampled_from([200, 400, 403, 429, 499, 500]))
def test_any_json_is_a_response_or_a_model_error(payload: Any, status: int) -> None:
    response = check_classified(classify, Reply(payload, status))

    assert not response or response["response_metadata"]["outcome"] != "refused"
