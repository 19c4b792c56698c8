"""What each documented signal means, as data: one case per named signal of the dialect, and samples from reports.

A case has `id`, `payload`, `status` and `headers`, and what is expected: `outcome`, or `error` (a kind), and where it
matters `finish`, `native`, `content`, `stage`, `rule`, `categories`, `wait` (s) and `retryable`.
"""

from __future__ import annotations

from typing import Any

from hivetrace_gemini.dialect_signals import SIGNALS

TEXT = "Some text."
DANGEROUS = [("HARM_CATEGORY_DANGEROUS_CONTENT", "HIGH")]


def signal(name: str, **expected: Any) -> dict[str, Any]:
    found = SIGNALS[name]
    return {"id": name, "payload": found.build(TEXT), "status": found.status, "headers": {}, **expected}


def sample(name: str, payload: Any, status: int = 200, headers: dict[str, str] | None = None, **expected: Any) -> Any:
    return {"id": name, "payload": payload, "status": status, "headers": headers or {}, **expected}


def block(name: str, rule: str, native: str, **expected: Any) -> dict[str, Any]:
    known = {"stage": "response", "finish": "content_filter", "content": "", "categories": []}
    return signal(name, outcome="blocked", rule=rule, native=native, **{**known, **expected})


def answered(name: str, **expected: Any) -> dict[str, Any]:
    return signal(name, outcome="answered", **{"finish": "stop", "native": "STOP", "content": TEXT, **expected})


def failed(name: str, kind: str, *, retryable: bool = False, **expected: Any) -> dict[str, Any]:
    return signal(name, error=kind, retryable=retryable, **expected)


def stopped(name: str, outcome: str, finish: str, native: str | None, content: str = "") -> dict[str, Any]:
    return signal(name, outcome=outcome, finish=finish, native=native, content=content)


def exhausted(message: str, details: list[Any] | None = None, **error: Any) -> dict[str, Any]:
    found = {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", **error}
    return {"error": found if details is None else {**found, "details": details}}


def delayed(delay: Any) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


ANSWERS = [
    answered("finish.stop"),
    stopped("finish.max_tokens", "truncated", "length", "MAX_TOKENS", TEXT),
    stopped("finish.max_tokens_thinking", "truncated", "length", "MAX_TOKENS"),
    stopped("finish.continuation", "truncated", "length", "CONTINUATION", TEXT),
    block("finish.safety", "gemini.safety", "SAFETY", categories=DANGEROUS),
    block(
        "finish.safety_unmarked",
        "gemini.safety",
        "SAFETY",
        categories=[("HARM_CATEGORY_SEXUALLY_EXPLICIT", "MEDIUM")],
    ),
    block("finish.safety_partial", "gemini.safety", "SAFETY", categories=DANGEROUS, content=TEXT),
    block("finish.blocklist", "gemini.blocklist", "BLOCKLIST"),
    block("finish.prohibited_content", "gemini.prohibited_content", "PROHIBITED_CONTENT"),
    block("finish.spii", "gemini.spii", "SPII"),
    block("finish.image_safety", "gemini.image_safety", "IMAGE_SAFETY"),
    block("finish.image_prohibited_content", "gemini.image_prohibited_content", "IMAGE_PROHIBITED_CONTENT"),
    block("finish.escalation", "gemini.escalation", "ESCALATION"),
    block("finish.model_armor", "gemini.model_armor", "MODEL_ARMOR"),
    block("finish.recitation", "gemini.recitation", "RECITATION"),
    block("finish.recitation_partial", "gemini.recitation", "RECITATION", content=TEXT),
    block("finish.image_recitation", "gemini.image_recitation", "IMAGE_RECITATION"),
    stopped("finish.language", "unknown", "error", "LANGUAGE"),
    stopped("finish.other", "unknown", "error", "OTHER", TEXT),
    stopped("finish.other_empty", "unknown", "error", "OTHER"),
    stopped("finish.image_other", "unknown", "error", "IMAGE_OTHER"),
    stopped("finish.no_image", "unknown", "error", "NO_IMAGE"),
    stopped("finish.unspecified", "unknown", "unknown", "FINISH_REASON_UNSPECIFIED", TEXT),
    failed("finish.malformed_function_call", "server", retryable=True),
    failed("finish.malformed_response", "server", retryable=True),
    failed("finish.unexpected_tool_call", "server", retryable=True),
    failed("finish.too_many_tool_calls", "server", retryable=True),
    failed("finish.missing_thought_signature", "bad_request"),
    failed("finish.pup_limited_disabled", "permission"),
    stopped("finish.unseen", "unknown", "unknown", "A_NEW_REASON", TEXT),
    stopped("finish.unseen_empty", "unknown", "unknown", "A_NEW_REASON"),
    stopped("finish.none", "unknown", "unknown", None, TEXT),
    stopped("finish.none_empty", "empty", "unknown", None),
    stopped("content.none", "empty", "stop", "STOP"),
    stopped("content.no_parts", "empty", "stop", "STOP"),
    stopped("content.blank", "empty", "stop", "STOP"),
    answered("content.several_parts", content=f"In parts: {TEXT}"),
    answered("content.thoughts"),
    stopped("content.only_thoughts", "empty", "stop", "STOP"),
    answered("content.signature"),
    answered("content.code"),
    stopped("content.image", "unknown", "stop", "STOP"),
    stopped("content.function_call", "tool_calls", "tool_calls", "STOP"),
    stopped("content.function_call_and_text", "tool_calls", "tool_calls", "STOP", TEXT),
    stopped("content.function_call_cut", "tool_calls", "length", "MAX_TOKENS"),
    stopped("body.no_candidates", "empty", "unknown", None),
    stopped("body.empty_candidates", "empty", "unknown", None),
    stopped("body.unseen_candidates", "unknown", "unknown", None),
    sample(
        "severity where no probability is given",
        {
            "candidates": [
                {"finishReason": "SAFETY", "safetyRatings": [{"category": "X", "severity": "HARM_SEVERITY_LOW"}]}
            ]
        },
        outcome="blocked",
        categories=[("X", "HARM_SEVERITY_LOW")],
    ),
    sample("an object in the place of parts", {"candidates": [{"content": {"parts": {"a": 1}}}]}, outcome="unknown"),
    sample("parts that are no objects", {"candidates": [{"content": {"parts": ["Hi"]}}]}, outcome="unknown"),
    sample("text in the place of content", {"candidates": [{"content": "Hi"}]}, outcome="unknown"),
    sample("candidates that are no objects", {"candidates": ["Hi"]}, outcome="unknown"),
    sample("a text that is none", {"candidates": [{"content": {"parts": [{"text": 5}]}}]}, outcome="unknown"),
    sample("an answer with an error's status", {"candidates": [{"finishReason": "STOP"}]}, 500, error="server"),
]

PROMPTS = [
    block("prompt.safety", "gemini.prompt_safety", "SAFETY", stage="prompt", categories=DANGEROUS),
    block("prompt.other", "gemini.prompt_other", "OTHER", stage="prompt"),
    block("prompt.blocklist", "gemini.prompt_blocklist", "BLOCKLIST", stage="prompt"),
    block(
        "prompt.prohibited_content",
        "gemini.prompt_prohibited_content",
        "PROHIBITED_CONTENT",
        stage="prompt",
        categories=DANGEROUS,
    ),
    block("prompt.image_safety", "gemini.prompt_image_safety", "IMAGE_SAFETY", stage="prompt"),
    block("prompt.model_armor", "gemini.prompt_model_armor", "MODEL_ARMOR", stage="prompt"),
    block("prompt.jailbreak", "gemini.prompt_jailbreak", "JAILBREAK", stage="prompt"),
    block("prompt.unspecified", "gemini.prompt_unspecified", "BLOCKED_REASON_UNSPECIFIED", stage="prompt"),
    block("prompt.unseen", "gemini.prompt_block", "A_NEW_REASON", stage="prompt"),
    sample(
        "a blocked prompt behind a gateway's 400",
        {"promptFeedback": {"blockReason": "SAFETY"}},
        400,
        outcome="blocked",
        rule="gemini.prompt_safety",
    ),
    sample(
        "feedback without a block",
        {"promptFeedback": {"safetyRatings": []}, "candidates": [{"finishReason": "STOP"}]},
        outcome="empty",
    ),
]

ERRORS = [
    failed("error.api_key_invalid", "authentication"),
    failed("error.api_key_expired", "authentication"),
    failed("error.api_key_leaked", "authentication"),
    failed("error.no_api_key", "authentication"),
    failed("error.unauthenticated", "authentication"),
    failed("error.permission_denied", "permission"),
    failed("error.service_disabled", "permission"),
    failed("error.service_blocked", "permission"),
    failed("error.region", "permission"),
    failed("error.billing", "permission"),
    failed("error.not_found", "not_found"),
    failed("error.context_length", "context_length"),
    failed("error.invalid_argument", "bad_request"),
    failed("error.too_large", "bad_request"),
    failed("error.timeout_408", "timeout", retryable=True),
    failed("error.cancelled", "connection", retryable=True),
    failed("error.per_minute", "rate_limit", retryable=True, wait=0.005),
    failed("error.wait_in_message", "rate_limit", retryable=True, wait=0.0055),
    failed("error.per_day", "quota", wait=None),
    failed("error.per_day_and_minute", "quota", wait=None),
    failed("error.quota_limit", "quota", wait=None),
    failed("error.limit_zero", "quota", wait=None),
    failed("error.quota_value_zero", "quota"),
    failed("error.exhausted", "rate_limit", retryable=True, wait=None),
    failed("error.shared_capacity", "rate_limit", retryable=True, wait=None),
    failed("error.internal", "server", retryable=True),
    failed("error.unavailable", "server", retryable=True),
    failed("error.deadline", "timeout", retryable=True),
    failed("error.in_a_list", "server", retryable=True),
    failed("error.in_200", "server", retryable=True),
    failed("error.midway_bare", "server", retryable=True),
    sample("limit: 0.5 is a limit", exhausted("Rate: limit: 0.5 per second"), 429, error="rate_limit"),
    sample("limit: 0 at the end of a sentence", exhausted("For this model limit: 0."), 429, error="quota"),
    sample("limit: 20 is a limit", exhausted("metric: requests, limit: 20"), 429, error="rate_limit"),
    sample("requests per day in words", exhausted("Exceeded 50 requests per day"), 429, error="quota"),
    sample("spent credits", exhausted("Your prepayment credits are depleted."), 429, error="quota"),
    sample("a spending cap", exhausted("The project has exceeded its monthly spending cap."), 429, error="quota"),
    sample(
        "a quota that comes back in hours",
        exhausted("Exhausted.", [{"reason": "QUOTA_EXHAUSTED"}, delayed("21599.96s")]),
        429,
        error="quota",
    ),
    sample("a wait in minutes", exhausted("x", [delayed("1m2.5s")]), 429, error="rate_limit", wait=62.5),
    sample("a wait in nanoseconds' precision", exhausted("x", [delayed("20.044661790s")]), 429, wait=20.04466179),
    sample("a wait that is no text", exhausted("Please retry in 3s.", [delayed(7)]), 429, wait=3.0),
    sample("a wait of years", exhausted("x", [delayed("99999999s")]), 429, {"retry-after": "4"}, wait=4.0),
    sample("a gateway's header", exhausted("x"), 429, {"retry-after-ms": "250"}, wait=0.25),
    sample(
        "a server that asks to wait",
        {"error": {"code": 503, "status": "UNAVAILABLE", "details": [delayed("2s")]}},
        503,
        error="server",
        wait=2.0,
    ),
    sample(
        "a bad request has no wait",
        {"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [delayed("2s")]}},
        400,
        error="bad_request",
        wait=None,
    ),
    sample("a 429 of a gateway", "slow down", 429, {"retry-after": "3"}, error="rate_limit", wait=3.0),
    sample("a code without a status", {"error": {"code": 404, "message": "x"}}, 404, error="not_found"),
    sample("an error of text", {"error": "no such model"}, 404, error="not_found"),
    sample("a code as text in a 200", {"error": {"code": "429", "message": "x"}}, error="rate_limit"),
    sample("an error that says nothing, in a 200", {"error": {"message": "x"}}, error="server", retryable=True),
    sample("a 499 without JSON", "gone", 499, error="connection", retryable=True),
    sample(
        "a region that an INVALID_ARGUMENT names",
        {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "It is not available in your country."}},
        400,
        error="permission",
    ),
    sample(
        "an api key field that is malformed",
        {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "Unknown name api_key_x"}},
        400,
        error="bad_request",
    ),
]

BODIES = [
    failed("body.html", "response_format"),
    failed("body.empty", "response_format"),
    failed("body.other_object", "response_format"),
    failed("body.empty_object", "response_format"),
    failed("body.number", "response_format"),
    failed("body.html_502", "server", retryable=True),
    failed("body.empty_503", "server", retryable=True),
    failed("body.no_explanation_418", "bad_request"),
    sample("a list of nothing", [], error="response_format"),
    sample("nothing", None, 204, error="response_format"),
]

CASES: list[dict[str, Any]] = [*ANSWERS, *PROMPTS, *ERRORS, *BODIES]
