"""One case per signal that is documented: a raw reply in, what it means out."""

from __future__ import annotations

from typing import Any

import pytest
from hivetrace_openai.outcomes import classify_openai, classify_openrouter, classify_sbercloud
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core import ModelError, Reply
from hivetrace_core.testing import check_classified, familiar_json


def completion(**choice: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": choice.pop("content", None), **choice.pop("message", {})}
    top = choice.pop("top", {})
    usage = {
        "prompt_tokens": 12,
        "completion_tokens": 3,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4.1-2025-04-14",
        "choices": [{"index": 0, "message": message, **choice}],
        "usage": usage,
        **top,
    }


FILTERED = {"violence": {"filtered": True, "severity": "medium"}, "hate": {"filtered": False, "severity": "safe"}}
JAILBREAK = {"jailbreak": {"detected": True, "filtered": True}}


@pytest.mark.parametrize(
    ("payload", "outcome", "finish", "content"),
    [
        (completion(content="Hello!", finish_reason="stop"), "answered", "stop", "Hello!"),
        (completion(content="Hel", finish_reason="length"), "truncated", "length", "Hel"),
        (completion(content="", finish_reason="length"), "truncated", "length", ""),
        (completion(content=None, finish_reason="stop"), "empty", "stop", ""),
        (completion(content=None, finish_reason="content_filter"), "blocked", "content_filter", ""),
        (completion(content="half", finish_reason="content_filter"), "blocked", "content_filter", "half"),
        (completion(content=None, finish_reason="blacklist"), "blocked", "content_filter", ""),
        (completion(finish_reason="stop", message={"refusal": "I can't."}), "refused", "stop", "I can't."),
        (completion(finish_reason="tool_calls", message={"tool_calls": [{"id": "1"}]}), "tool_calls", "tool_calls", ""),
        (completion(finish_reason="stop", message={"tool_calls": [{"id": "1"}]}), "tool_calls", "stop", ""),
        (
            completion(finish_reason="function_call", message={"function_call": {"name": "f"}}),
            "tool_calls",
            "tool_calls",
            "",
        ),
        (completion(content="Hi", finish_reason="eos_token"), "unknown", "unknown", "Hi"),
        (completion(content="Hi", finish_reason=None), "unknown", "unknown", "Hi"),
        (completion(content=None, finish_reason=None), "empty", "unknown", ""),
        (
            completion(content=[{"type": "text", "text": "a"}, {"text": "b"}], finish_reason="stop"),
            "answered",
            "stop",
            "ab",
        ),
    ],
)
def test_a_completion_has_the_outcome_that_its_finish_reason_and_content_amount_to(
    payload: dict[str, Any], outcome: str, finish: str, content: str
) -> None:
    response = classify_openai(Reply(payload))

    metadata = response["response_metadata"]
    assert (metadata["outcome"], metadata["finish_reason"], response["content"]) == (outcome, finish, content)
    assert metadata["native_finish_reason"] == payload["choices"][0].get("finish_reason")


def test_usage_model_id_and_request_id_are_carried_over() -> None:
    payload = completion(content="x", finish_reason="stop", top={"system_fingerprint": "fp_1"})
    payload["usage"]["cost"] = 0.25

    metadata: Any = classify_openrouter(Reply(payload, 200, {"x-request-id": "req-1"}))["response_metadata"]

    assert metadata["usage"] == {
        "input_tokens": 12,
        "output_tokens": 3,
        "total_tokens": 15,
        "reasoning_tokens": 2,
        "cached_tokens": 4,
    }
    assert metadata["model_name"] == "gpt-4.1-2025-04-14"
    assert metadata["request_id"] == "req-1"
    assert metadata["cost"] == 0.25
    assert metadata["system_fingerprint"] == "fp_1"


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_reasoning_is_kept_apart_from_the_answer(key: str) -> None:
    reply = Reply(completion(content="42", finish_reason="stop", message={key: "because"}))

    response = classify_sbercloud(reply)

    assert response["content"] == "42"
    assert response["response_metadata"]["reasoning"] == "because"


@pytest.mark.parametrize(
    ("status", "payload", "rule", "stage", "categories"),
    [
        (
            400,
            {
                "error": {
                    "message": "The response was filtered",
                    "code": "content_filter",
                    "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": FILTERED},
                }
            },
            "azure.prompt_filter",
            "prompt",
            ["violence"],
        ),
        (
            400,
            {"error": {"code": "content_filter", "innererror": {"content_filter_result": JAILBREAK}}},
            "azure.prompt_filter",
            "prompt",
            ["jailbreak"],
        ),
        (
            400,
            {"error": {"code": None, "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
            "azure.prompt_filter",
            "prompt",
            [],
        ),
        (
            400,
            {"error": {"code": "invalid_prompt", "message": "Invalid prompt: flagged as violating our usage policy"}},
            "openai.invalid_prompt",
            "prompt",
            [],
        ),
        (400, {"error": {"code": "content_policy_violation", "message": "x"}}, "openai.content_policy", "prompt", []),
        (400, {"error": {"code": "moderation_blocked", "message": "x"}}, "openai.moderation", "prompt", []),
        (
            403,
            {
                "error": {
                    "code": 403,
                    "message": "flagged",
                    "metadata": {"reasons": ["violence"], "flagged_input": "..."},
                }
            },
            "openrouter.moderation",
            "prompt",
            ["violence"],
        ),
        (
            403,
            {"error": {"code": 403, "message": "blocked", "metadata": {"patterns": ["ignore previous"]}}},
            "openrouter.prompt_injection",
            "prompt",
            [],
        ),
        (
            400,
            {"error": {"code": 400, "message": "x", "metadata": {"error_type": "content_policy_violation"}}},
            "openrouter.content_policy",
            "prompt",
            [],
        ),
        (
            200,
            {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["hate"]}}},
            "openrouter.moderation",
            "prompt",
            ["hate"],
        ),
        (
            200,
            completion(finish_reason="content_filter", content_filter_results=FILTERED),
            "azure.completion_filter",
            "response",
            ["violence"],
        ),
        (
            200,
            completion(
                finish_reason="content_filter",
                top={"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTERED}]},
            ),
            "azure.prompt_filter",
            "prompt",
            ["violence"],
        ),
        (400, completion(finish_reason="content_filter"), "openai.finish_reason", "response", []),
        (
            200,
            completion(content="half", finish_reason="stop", native_finish_reason="SAFETY"),
            "openrouter.native_finish_reason",
            "response",
            [],
        ),
        (
            200,
            completion(
                content="half",
                finish_reason="error",
                error={"code": 403, "message": "x", "metadata": {"error_type": "content_policy_violation"}},
            ),
            "openrouter.content_policy",
            "response",
            [],
        ),
    ],
)
def test_every_documented_block_is_a_response_with_its_rule(
    status: int, payload: dict[str, Any], rule: str, stage: str, categories: list[str]
) -> None:
    metadata = classify_openrouter(Reply(payload, status))["response_metadata"]

    assert metadata["outcome"] == "blocked"
    assert metadata["finish_reason"] == "content_filter"
    block = metadata["block"]
    assert (block["rule"], block["stage"]) == (rule, stage)
    assert [category["name"] for category in block["categories"]] == categories
    assert block["evidence"]["path"]


def test_harmless_filter_annotations_are_no_block() -> None:
    harmless = {"hate": {"filtered": False, "severity": "safe"}}
    payload = completion(
        content="Hi",
        finish_reason="stop",
        content_filter_results=harmless,
        top={"prompt_filter_results": [{"content_filter_results": harmless}]},
    )

    assert classify_openai(Reply(payload))["response_metadata"]["outcome"] == "answered"


@pytest.mark.parametrize(
    ("status", "payload"),
    [
        (400, {"error": {"code": 400, "message": "no", "metadata": {"error_type": "refusal"}}}),
        (200, completion(finish_reason="error", error={"message": "no", "metadata": {"error_type": "refusal"}})),
    ],
)
def test_a_refusal_that_a_router_reports_as_an_error_is_a_refusal(status: int, payload: dict[str, Any]) -> None:
    metadata = classify_openrouter(Reply(payload, status))["response_metadata"]

    assert metadata["outcome"] == "refused"
    assert metadata["finish_reason"] != "content_filter"


def err(code: Any = None, message: str = "m", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, **more}}


@pytest.mark.parametrize(
    ("status", "payload", "kind", "retryable"),
    [
        (400, err("context_length_exceeded"), "context_length", False),
        (400, err("invalid_prompt", "Invalid prompt: message is malformed"), "bad_request", False),
        (400, err("unsupported_parameter"), "bad_request", False),
        (400, err(message="This model's maximum context length is 8192 tokens"), "context_length", False),
        (
            400,
            {"object": "error", "message": "maximum context length is 10", "type": "x", "code": 400},
            "context_length",
            False,
        ),
        (422, {"detail": "Input validation error"}, "bad_request", False),
        (401, err("invalid_api_key"), "authentication", False),
        (401, {"detail": "Unauthorized"}, "authentication", False),
        (403, err("unsupported_country_region_territory"), "permission", False),
        (404, err("model_not_found"), "not_found", False),
        (404, err("DeploymentNotFound"), "not_found", False),
        (408, err(), "timeout", True),
        (409, err(), "server", True),
        (413, err(), "bad_request", False),
        (429, err("rate_limit_exceeded"), "rate_limit", True),
        (429, err("slow_down"), "rate_limit", True),
        (429, err("429", "Requests have exceeded token rate limit"), "rate_limit", True),
        (429, err("insufficient_quota"), "quota", False),
        (429, err(None, type="insufficient_quota"), "quota", False),
        (429, err("credit_balance_exhausted", type="insufficient_quota"), "quota", False),
        (429, err("organization_spend_limit_exceeded"), "quota", False),
        (429, err("project_spend_limit_exceeded"), "quota", False),
        (429, err("organization_usage_limit_exceeded"), "quota", False),
        (500, err("server_error"), "server", True),
        (503, err("server_is_overloaded"), "server", True),
        (402, err(402, metadata={"limit_source": "openrouter_credits"}), "quota", False),
        (402, err(402, metadata={"limit_source": "openrouter_key_limit"}), "quota", False),
        (402, err(402, metadata={"limit_source": "openrouter_in_flight_budget"}), "rate_limit", True),
        (403, err(403, metadata={"limit_source": "openrouter_guardrail_budget"}), "quota", False),
        (403, err(403, metadata={"error_type": "region_restricted"}), "permission", False),
        (403, err(403, metadata={"error_type": "permission_denied"}), "permission", False),
        (404, err(404, metadata={"error_type": "not_found"}), "not_found", False),
        (400, err(400, metadata={"error_type": "token_limit_exceeded"}), "context_length", False),
        (400, err(400, metadata={"error_type": "string_too_long"}), "context_length", False),
        (400, err(400, availability={"code": "model_not_found"}), "not_found", False),
        (429, err(429, availability={"code": "capacity_exhausted", "retryable": False}), "rate_limit", False),
        (502, err(502, metadata={"error_type": "provider_unavailable"}), "server", True),
        (503, err(503, metadata={"error_type": "provider_overloaded"}), "server", True),
        (504, err(504), "timeout", True),
        (200, err(502, metadata={"error_type": "provider_unavailable"}), "server", True),
        (200, err("server_error"), "server", True),
        (200, err(429), "rate_limit", True),
        (
            200,
            completion(content="half", finish_reason="error", error={"code": 502, "message": "gone"}),
            "server",
            True,
        ),
        (200, completion(content="half", finish_reason="error"), "server", True),
        (200, "<html>Sign in</html>", "response_format", False),
        (200, None, "response_format", False),
        (200, {"hello": 1}, "response_format", False),
        (200, {"choices": []}, "response_format", False),
        (200, [1, 2], "response_format", False),
        (502, "<html>Bad gateway</html>", "server", True),
        (503, None, "server", True),
        (418, {}, "bad_request", False),
    ],
)
def test_every_documented_error_has_its_kind(status: int, payload: Any, kind: str, retryable: bool) -> None:
    with pytest.raises(ModelError) as caught:
        classify_openrouter(Reply(payload, status))

    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)
    assert caught.value.status == status


def test_text_received_before_an_error_is_kept() -> None:
    payload = completion(content="half", finish_reason="error", error={"code": 502, "message": "gone"})

    with pytest.raises(ModelError) as caught:
        classify_openrouter(Reply(payload))

    assert caught.value.response is not None
    assert caught.value.response["content"] == "half"


@pytest.mark.parametrize(
    ("headers", "payload", "wait"),
    [
        ({"retry-after": "7"}, err("rate_limit_exceeded"), 7.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, err("rate_limit_exceeded"), 0.25),
        ({}, err(429, availability={"retry_after": 3}), 3.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m30.5s"}, err(), 90.5),
        ({"x-ratelimit-remaining-tokens": "10", "x-ratelimit-reset-tokens": "1m30.5s"}, err(), None),
        ({}, err("429", "exceeded token rate limit. Please retry after 6 seconds."), 6.0),
        ({}, err("429", "Please retry after 500 milliseconds."), 0.5),
        ({}, err("rate_limit_exceeded"), None),
    ],
)
def test_the_wait_is_read_from_the_first_place_that_states_it(
    headers: dict[str, str], payload: Any, wait: float | None
) -> None:
    with pytest.raises(ModelError) as caught:
        classify_openai(Reply(payload, 429, headers))

    assert caught.value.retry_after == wait


@pytest.mark.parametrize(("word", "retryable"), [("true", True), ("false", False), ("perhaps", True)])
def test_the_server_may_say_whether_to_retry(word: str, retryable: bool) -> None:
    with pytest.raises(ModelError) as caught:
        classify_openai(Reply(err(), 500, {"x-should-retry": word}))

    assert caught.value.retryable is retryable


def test_the_server_cannot_make_a_dead_key_worth_retrying() -> None:
    with pytest.raises(ModelError) as caught:
        classify_openai(Reply(err("invalid_api_key"), 401, {"x-should-retry": "true"}))

    assert caught.value.retryable is False


KEYS = ["choices", "message", "content", "error", "code", "metadata", "finish_reason", "refusal", "usage", "tool_calls"]


@given(familiar_json(KEYS), st.sampled_from([200, 400, 403, 429, 500]))
def test_any_json_is_a_response_or_a_model_error(payload: Any, status: int) -> None:
    check_classified(classify_openrouter, Reply(payload, status))


EVASION = "Не люблю менять тему разговора, но вот сейчас тот самый случай."


@pytest.mark.parametrize(
    ("content", "outcome"), [(f" {EVASION}\n", "blocked"), (f"It said: {EVASION}", "answered"), ("Нет.", "answered")]
)
def test_cloudrus_evading_sentence_is_a_block_only_as_the_whole_text(content: str, outcome: str) -> None:
    payload = completion(content=content, finish_reason="stop")

    metadata = classify_sbercloud(Reply(payload, 200, {}))["response_metadata"]
    assert metadata["outcome"] == outcome
    assert metadata["native_finish_reason"] == "stop"
    assert outcome == "answered" or metadata["block"]["rule"] == "gigachat.canned_text"
    assert classify_openai(Reply(payload, 200, {}))["response_metadata"]["outcome"] == "answered"


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("error", [{"message": "Blocked by content moderation"}, {"code": "Content-Filter"}])
def test_cloudrus_error_that_names_a_filter_is_a_block(error: dict[str, Any], status: int) -> None:
    block = classify_sbercloud(Reply({"error": error}, status, {}))["response_metadata"]["block"]

    assert (block["rule"], block["stage"]) == ("sbercloud.moderation", "prompt")
    for other, code in ((classify_openai, status), (classify_sbercloud, 500)):
        with pytest.raises(ModelError):
            other(Reply({"error": error}, code, {}))


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Unrecognized request argument supplied: moderation", "bad_request"),
        ("This model's maximum context length is 9 tokens: 'write a content filter'", "context_length"),
        ("validation failed: {'content': 'explain content moderation'}", "bad_request"),
        ("The account is under moderation", "bad_request"),
    ],
)
def test_cloudrus_errors_that_only_mention_filters_are_errors(message: str, kind: str) -> None:
    with pytest.raises(ModelError) as caught:
        classify_sbercloud(Reply({"error": {"message": message}}, 400, {}))

    assert caught.value.kind == kind


def test_an_answer_inside_an_error_status_is_an_error_with_what_was_received() -> None:
    with pytest.raises(ModelError) as caught:
        classify_openai(Reply(completion(content="Hi"), 500, {}))

    assert caught.value.kind == "server"
    assert caught.value.response is not None
    assert caught.value.response["content"] == "Hi"


def test_a_router_that_generated_nothing_at_all_may_be_asked_again() -> None:
    nothing = completion(content="", finish_reason=None)

    with pytest.raises(ModelError, match="nothing was generated") as caught:
        classify_openrouter(Reply(nothing, 200, {}))
    assert (caught.value.kind, caught.value.retryable) == ("server", True)
    assert classify_openai(Reply(nothing, 200, {}))["response_metadata"]["outcome"] == "empty"
    stopped = classify_openrouter(Reply(completion(content="", finish_reason="stop"), 200, {}))
    assert stopped["response_metadata"]["outcome"] == "empty"
