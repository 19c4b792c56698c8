"""One case per documented signal: a raw reply in, what it means out."""

from __future__ import annotations

from typing import Any

import pytest
from hivetrace_yandex.dialect_signals import SIGNALS
from hivetrace_yandex.outcomes import classify
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core import ModelError, Reply
from hivetrace_core.testing import check_classified, familiar_json

from .cases import ALL, CANNED, TEXT, answer, operation


def reply_of(case: dict[str, Any]) -> Reply:
    return Reply(case["payload"], case["status"], case["headers"])


@pytest.mark.parametrize("case", [case for case in ALL if "outcome" in case], ids=lambda case: case["id"])
def test_a_signal_has_its_outcome(case: dict[str, Any]) -> None:
    response = classify(reply_of(case))

    metadata: Any = response["response_metadata"]
    assert metadata["outcome"] == case["outcome"]
    found = {
        "content": response["content"],
        "finish": metadata["finish_reason"],
        "native": metadata["native_finish_reason"],
        "tools": metadata.get("tool_calls"),
        "rule": metadata.get("block", {}).get("rule"),
        "stage": metadata.get("block", {}).get("stage"),
    }
    assert {key: found[key] for key in found if key in case} == {key: case[key] for key in found if key in case}
    assert ("block" in metadata) == (case["outcome"] == "blocked")


@pytest.mark.parametrize("case", [case for case in ALL if "error" in case], ids=lambda case: case["id"])
def test_a_signal_is_its_error_and_never_a_block(case: dict[str, Any]) -> None:
    with pytest.raises(ModelError) as caught:
        classify(reply_of(case))

    error = caught.value
    assert error.kind == case["error"]
    assert error.status == case["status"]
    found = {"code": error.code, "wait": error.retry_after, "retryable": error.retryable}
    assert {key: found[key] for key in found if key in case} == {key: case[key] for key in found if key in case}
    assert (error.response or {}).get("content") == case.get("partial", (error.response or {}).get("content"))


def test_every_signal_of_the_dialect_has_a_case() -> None:
    assert {case["id"] for case in ALL} >= SIGNALS.keys() - {
        "operation.slow",
        "operation.flaky",
        "operation.slow_block",
    }


def test_counts_are_numbers_although_they_come_as_text() -> None:
    usage = {
        "inputTextTokens": "31",
        "completionTokens": "10",
        "totalTokens": "41",
        "completionTokensDetails": {"reasoningTokens": "4"},
    }
    payload = {"result": answer(usage=usage, modelVersion="23.10.2024")}

    metadata: Any = classify(Reply(payload, 200, {"x-request-id": "r-1"}))["response_metadata"]

    assert metadata["usage"] == {
        "input_tokens": 31,
        "output_tokens": 10,
        "total_tokens": 41,
        "reasoning_tokens": 4,
        "cached_tokens": None,
    }
    assert (metadata["model_version"], metadata["request_id"]) == ("23.10.2024", "r-1")


@pytest.mark.parametrize("odd", ["", "-1", "1.5", "٣", "1" * 5000, True, None, [], {}])
def test_a_count_that_is_none_is_left_out(odd: Any) -> None:
    payload = {"result": answer(usage={"inputTextTokens": odd})}

    assert classify(Reply(payload))["response_metadata"]["usage"]["input_tokens"] is None


def test_a_filter_that_counted_tokens_may_have_acted_on_the_answer() -> None:
    usage = {"inputTextTokens": "5", "completionTokens": "0", "totalTokens": "5"}
    payload = {"result": answer(CANNED, "ALTERNATIVE_STATUS_CONTENT_FILTER", usage=usage)}

    assert classify(Reply(payload))["response_metadata"]["block"]["stage"] == "unspecified"


def test_the_evidence_says_where_in_the_payload_the_signal_is() -> None:
    status = "ALTERNATIVE_STATUS_CONTENT_FILTER"
    evidence = {
        "result.alternatives[0].status": {"result": answer(status=status)},
        "response.alternatives[0].status": operation({"response": answer(status=status)}),
        "result.alternatives[0].message.text": {"result": answer(CANNED)},
        "alternatives[0].message.text": answer(CANNED),
    }

    for path, payload in evidence.items():
        found = classify(Reply(payload))["response_metadata"]["block"]["evidence"]
        assert found["path"] == path
        assert found["value"] in (status, CANNED)


def test_an_operation_is_named_and_nothing_else_is() -> None:
    done: Any = classify(Reply(operation({"response": answer()})))["response_metadata"]
    whole: Any = classify(Reply({"result": answer()}))["response_metadata"]

    assert done["operation"] == {"id": "op-1"}
    assert "operation" not in whole


@pytest.mark.parametrize(
    "message",
    [
        "Unknown api key 'AQVNabcdefghijkl'",
        'Unknown api key "secret-without-a-known-form"',
        "The token t1.9euelZqRabc.def_gh-i is invalid",
        "Cannot parse y0_AgAAAAAbcdef, sorry",
        "Unknown api key «ещё-один-ключ»",
    ],
)
@pytest.mark.parametrize("envelope", ["wrapped", "flat"])
def test_a_refused_key_is_not_repeated(message: str, envelope: str) -> None:
    error = {"grpcCode": 16, "httpCode": 401, "message": message}
    payload = {"error": error} if envelope == "wrapped" else {"code": 16, "message": message}

    with pytest.raises(ModelError) as caught:
        classify(Reply(payload, 401))

    said = str(caught.value)
    for part in ("AQVN", "abcdef", "9euelZ", "without", "y0_", "ещё"):
        assert part not in said
    assert "***" in said
    assert "YANDEX_GPT_API_KEY" in said
    assert "YC_IAM_TOKEN" in said


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("Permission denied", "ai.languageModels.user"),
        ("Specified folder ID 'a' does not match with service account folder ID 'b'", "folder_id must be"),
    ],
)
def test_a_refusal_says_what_to_do(message: str, advice: str) -> None:
    code = 7 if message == "Permission denied" else 3
    with pytest.raises(ModelError, match=advice) as caught:
        classify(Reply({"error": {"grpcCode": code, "message": message}}, 403 if code == 7 else 400))

    assert message in str(caught.value)


def test_a_spent_quota_of_an_hour_says_so() -> None:
    payload = {"error": {"grpcCode": 8, "message": "ai.xRequestsPerHour.rate rate quota limit exceed"}}

    with pytest.raises(ModelError, match="when its period is over"):
        classify(Reply(payload, 429))


KEYS = [
    "result",
    "response",
    "error",
    "alternatives",
    "message",
    "status",
    "text",
    "usage",
    "code",
    "grpcCode",
    "httpCode",
    "inputTextTokens",
    "toolCallList",
    "toolCalls",
    "done",
    "id",
    "modelVersion",
]
WORDS = ["ALTERNATIVE_STATUS_FINAL", "ALTERNATIVE_STATUS_CONTENT_FILTER", CANNED, TEXT, "8", "16"]


@given(familiar_json(KEYS, WORDS), st.integers(100, 599) | st.sampled_from([200, 200, 400, 401, 429, 500]))
def test_any_json_is_a_response_or_an_error(payload: Any, status: int) -> None:
    response = check_classified(classify, Reply(payload, status))

    assert not response or status < 400
    assert not response or response["response_metadata"]["outcome"] != "answered" or response["content"]
