"""Every documented signal, as the server sends it: the named variants of the mock server's dialect.

The same payloads that `outcomes.py` reads, written from the vendor's pages and from reports of users, and not from its
tables, so that each side checks the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hivetrace_core import mockserver
from hivetrace_core.mockserver import Build, constant


@dataclass(frozen=True, slots=True)
class Signal(mockserver.Signal):
    """One way to end, and how this vendor's streams say it.

    Attributes:
        bare: Whether a stream says it in the middle, as JSON that is no event.
    """

    bare: bool = False


def answer(
    finish: str | None,
    *,
    text: bool = True,
    parts: list[Any] | None = None,
    top: Mapping[str, Any] | None = None,
    **candidate: Any,
) -> Build:
    """An answer: `text` says whether it has the script's text, `parts` what comes before that."""

    def build(said: str) -> dict[str, Any]:
        found = [*(parts or []), *([{"text": said}] if text else [])]
        content = {"content": {"role": "model", "parts": found}} if found else {}
        end = {} if finish is None else {"finishReason": finish}
        return {"candidates": [{**content, **end, "index": 0, **candidate}], **(top or {})}

    return build


def stopped(finish: str, **candidate: Any) -> Build:
    """A candidate without content."""
    return answer(finish, text=False, **candidate)


def blocked(reason: str, ratings: Any = None, **more: Any) -> Build:
    """A prompt that the model has not seen."""
    rated = {} if ratings is None else {"safetyRatings": ratings}
    return lambda _: {"promptFeedback": {"blockReason": reason, **rated, **more}}


def error(code: int, status: str, message: str = "The mock server says no.", details: list[Any] | None = None) -> Build:
    """An error object."""
    more = {} if details is None else {"details": details}
    return lambda _: {"error": {"code": code, "message": message, "status": status, **more}}


def reason(name: str, **metadata: str) -> dict[str, Any]:
    """The detail that names a reason."""
    domain = {"domain": "googleapis.com"}
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": name, **domain, "metadata": metadata}


def quotas(*ids: str, value: str = "20") -> dict[str, Any]:
    """The detail that names quotas."""
    metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
    violations = [{"quotaMetric": metric, "quotaId": name, "quotaValue": value} for name in ids]
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}


def retry(delay: str) -> dict[str, Any]:
    """The detail that says how long to wait."""
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


PER_MINUTE: Final = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
PER_DAY: Final = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
EXCEEDED: Final = "You exceeded your current quota, please check your plan and billing details."
TOO_LONG: Final = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
DANGEROUS: Final = [
    {"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"},
    {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True},
]
UNMARKED: Final = [
    {"category": "HARM_CATEGORY_HATE_SPEECH", "probability": "NEGLIGIBLE"},
    {"category": "HARM_CATEGORY_SEXUALLY_EXPLICIT", "probability": "MEDIUM"},
]
HARMLESS: Final = [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}]
CALL: Final = {"functionCall": {"id": "call-1", "name": "look_up", "args": {"word": "x"}}, "thoughtSignature": "c2ln"}
THOUGHT: Final = {"text": "Let me see.", "thought": True}

ANSWERS: Final[dict[str, Signal]] = {
    "finish.stop": Signal("answered", answer("STOP", safetyRatings=HARMLESS)),
    "finish.max_tokens": Signal("truncated", answer("MAX_TOKENS")),
    "finish.max_tokens_thinking": Signal(
        "truncated", stopped("MAX_TOKENS", top={"usageMetadata": {"thoughtsTokenCount": 256}})
    ),
    "finish.continuation": Signal("truncated", answer("CONTINUATION")),
    "finish.safety": Signal("blocked", stopped("SAFETY", safetyRatings=DANGEROUS)),
    "finish.safety_unmarked": Signal("blocked", stopped("SAFETY", safetyRatings=UNMARKED)),
    "finish.safety_partial": Signal("blocked", answer("SAFETY", safetyRatings=DANGEROUS)),
    "finish.blocklist": Signal("blocked", stopped("BLOCKLIST")),
    "finish.prohibited_content": Signal("blocked", stopped("PROHIBITED_CONTENT")),
    "finish.spii": Signal("blocked", stopped("SPII")),
    "finish.image_safety": Signal("blocked", stopped("IMAGE_SAFETY", finishMessage="Unable to show the image.")),
    "finish.image_prohibited_content": Signal("blocked", stopped("IMAGE_PROHIBITED_CONTENT")),
    "finish.escalation": Signal("blocked", stopped("ESCALATION")),
    "finish.model_armor": Signal("blocked", stopped("MODEL_ARMOR")),
    "finish.recitation": Signal("blocked", stopped("RECITATION")),
    "finish.recitation_partial": Signal("blocked", answer("RECITATION")),
    "finish.image_recitation": Signal("blocked", stopped("IMAGE_RECITATION")),
    "finish.language": Signal("unknown", stopped("LANGUAGE")),
    "finish.other": Signal("unknown", answer("OTHER")),
    "finish.other_empty": Signal("unknown", stopped("OTHER")),
    "finish.image_other": Signal("unknown", stopped("IMAGE_OTHER")),
    "finish.no_image": Signal("unknown", stopped("NO_IMAGE")),
    "finish.unspecified": Signal("unknown", answer("FINISH_REASON_UNSPECIFIED")),
    "finish.malformed_function_call": Signal(
        "server", stopped("MALFORMED_FUNCTION_CALL", finishMessage="Malformed function call: print(x)")
    ),
    "finish.malformed_response": Signal("server", stopped("MALFORMED_RESPONSE")),
    "finish.unexpected_tool_call": Signal("server", stopped("UNEXPECTED_TOOL_CALL")),
    "finish.too_many_tool_calls": Signal("server", stopped("TOO_MANY_TOOL_CALLS")),
    "finish.missing_thought_signature": Signal("bad_request", stopped("MISSING_THOUGHT_SIGNATURE")),
    "finish.pup_limited_disabled": Signal("permission", stopped("PUP_LIMITED_DISABLED")),
    "finish.unseen": Signal("unknown", answer("A_NEW_REASON")),
    "finish.unseen_empty": Signal("unknown", stopped("A_NEW_REASON")),
    "finish.none": Signal("unknown", answer(None)),
    "finish.none_empty": Signal("empty", answer(None, text=False)),
    "content.none": Signal("empty", stopped("STOP")),
    "content.no_parts": Signal("empty", stopped("STOP", content={"role": "model"})),
    "content.blank": Signal("empty", answer("STOP", text=False, parts=[{"text": ""}])),
    "content.several_parts": Signal("answered", answer("STOP", parts=[{"text": "In parts: "}])),
    "content.thoughts": Signal("answered", answer("STOP", parts=[THOUGHT])),
    "content.only_thoughts": Signal("empty", answer("STOP", text=False, parts=[THOUGHT])),
    "content.signature": Signal("answered", answer("STOP", parts=[{"text": "", "thoughtSignature": "c2ln"}])),
    "content.code": Signal(
        "answered", answer("STOP", parts=[{"executableCode": {"language": "PYTHON", "code": "print(1)"}}])
    ),
    "content.image": Signal(
        "unknown", answer("STOP", text=False, parts=[{"inlineData": {"mimeType": "image/png", "data": "aGk="}}])
    ),
    "content.function_call": Signal("tool_calls", answer("STOP", text=False, parts=[CALL])),
    "content.function_call_and_text": Signal("tool_calls", answer("STOP", parts=[CALL])),
    "content.function_call_cut": Signal("tool_calls", answer("MAX_TOKENS", text=False, parts=[CALL])),
    "body.no_candidates": Signal("empty", constant({"usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}})),
    "body.empty_candidates": Signal("empty", constant({"candidates": []})),
    "body.unseen_candidates": Signal("unknown", constant({"candidates": {"best": "Hello"}})),
}
"""What the model may answer."""

PROMPTS: Final[dict[str, Signal]] = {
    "prompt.safety": Signal("blocked", blocked("SAFETY", DANGEROUS)),
    "prompt.other": Signal("blocked", blocked("OTHER")),
    "prompt.blocklist": Signal("blocked", blocked("BLOCKLIST")),
    "prompt.prohibited_content": Signal("blocked", blocked("PROHIBITED_CONTENT", DANGEROUS)),
    "prompt.image_safety": Signal("blocked", blocked("IMAGE_SAFETY")),
    "prompt.model_armor": Signal("blocked", blocked("MODEL_ARMOR", blockReasonMessage="Blocked by a template.")),
    "prompt.jailbreak": Signal("blocked", blocked("JAILBREAK")),
    "prompt.unspecified": Signal("blocked", blocked("BLOCKED_REASON_UNSPECIFIED")),
    "prompt.unseen": Signal("blocked", blocked("A_NEW_REASON")),
}
"""Prompts that the model never saw."""

ERRORS: Final[dict[str, Signal]] = {
    "error.api_key_invalid": Signal(
        "authentication",
        error(
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            [reason("API_KEY_INVALID", service="generativelanguage.googleapis.com")],
        ),
        400,
    ),
    "error.api_key_expired": Signal(
        "authentication", error(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."), 400
    ),
    "error.api_key_leaked": Signal(
        "authentication",
        error(403, "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key."),
        403,
    ),
    "error.no_api_key": Signal(
        "authentication",
        error(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers. Please use API Key."),
        403,
    ),
    "error.unauthenticated": Signal("authentication", error(401, "UNAUTHENTICATED"), 401),
    "error.permission_denied": Signal("permission", error(403, "PERMISSION_DENIED"), 403),
    "error.service_disabled": Signal(
        "permission", error(403, "PERMISSION_DENIED", "It is disabled.", [reason("SERVICE_DISABLED")]), 403
    ),
    "error.service_blocked": Signal(
        "permission",
        error(403, "PERMISSION_DENIED", "Requests with this API key are blocked.", [reason("API_KEY_SERVICE_BLOCKED")]),
        403,
    ),
    "error.region": Signal(
        "permission", error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), 400
    ),
    "error.billing": Signal(
        "permission",
        error(400, "FAILED_PRECONDITION", "The free tier is not available here. Please enable billing."),
        400,
    ),
    "error.not_found": Signal(
        "not_found", error(404, "NOT_FOUND", "models/gemini-0 is not found for API version v1beta."), 404
    ),
    "error.context_length": Signal("context_length", error(400, "INVALID_ARGUMENT", TOO_LONG), 400),
    "error.invalid_argument": Signal(
        "bad_request", error(400, "INVALID_ARGUMENT", 'Invalid JSON payload received. Unknown name "x".'), 400
    ),
    "error.too_large": Signal("bad_request", constant("Your client issued a request that was too large."), 413),
    "error.timeout_408": Signal("timeout", constant(None), 408),
    "error.cancelled": Signal("connection", error(499, "CANCELLED", "The operation was cancelled."), 499),
    "error.per_minute": Signal(
        "rate_limit",
        error(429, "RESOURCE_EXHAUSTED", f"{EXCEEDED} Please retry in 0.01s.", [quotas(PER_MINUTE), retry("0.005s")]),
        429,
    ),
    "error.wait_in_message": Signal(
        "rate_limit", error(429, "RESOURCE_EXHAUSTED", f"{EXCEEDED}\nPlease retry in 5.5ms."), 429
    ),
    "error.per_day": Signal(
        "quota", error(429, "RESOURCE_EXHAUSTED", EXCEEDED, [quotas(PER_DAY), retry("20.044661790s")]), 429
    ),
    "error.per_day_and_minute": Signal(
        "quota", error(429, "RESOURCE_EXHAUSTED", EXCEEDED, [quotas(PER_MINUTE, PER_DAY), retry("20s")]), 429
    ),
    "error.quota_limit": Signal(
        "quota",
        error(
            429,
            "RESOURCE_EXHAUSTED",
            "Quota exceeded.",
            [reason("RATE_LIMIT_EXCEEDED", quota_limit="GenerateRequestsPerDayPerProject", quota_limit_value="50")],
        ),
        429,
    ),
    "error.limit_zero": Signal(
        "quota",
        error(429, "RESOURCE_EXHAUSTED", f"{EXCEEDED} Quota exceeded for metric: requests, limit: 0", [retry("9s")]),
        429,
    ),
    "error.quota_value_zero": Signal(
        "quota", error(429, "RESOURCE_EXHAUSTED", EXCEEDED, [quotas(PER_MINUTE, value="0")]), 429
    ),
    "error.exhausted": Signal(
        "rate_limit", error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."), 429
    ),
    "error.shared_capacity": Signal(
        "rate_limit", error(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."), 429
    ),
    "error.internal": Signal("server", error(500, "INTERNAL", "An internal error has occurred."), 500),
    "error.unavailable": Signal("server", error(503, "UNAVAILABLE", "The model is overloaded."), 503),
    "error.deadline": Signal("timeout", error(504, "DEADLINE_EXCEEDED", "Deadline expired."), 504),
    "error.in_a_list": Signal("server", lambda _: [error(503, "UNAVAILABLE", "The model is overloaded.")("")], 503),
    "error.in_200": Signal("server", error(503, "UNAVAILABLE", "The model is overloaded.")),
    "error.midway_bare": Signal("server", error(500, "INTERNAL", "An internal error has occurred."), 500, bare=True),
}

BODIES: Final[dict[str, Signal]] = {
    "body.html": Signal("response_format", constant("<html>Sign in</html>")),
    "body.empty": Signal("response_format", constant(None)),
    "body.other_object": Signal("response_format", constant({"hello": 1})),
    "body.empty_object": Signal("response_format", constant({})),
    "body.number": Signal("response_format", constant(7)),
    "body.html_502": Signal("server", constant("<html>Bad gateway</html>"), 502),
    "body.empty_503": Signal("server", constant(None), 503),
    "body.no_explanation_418": Signal("bad_request", constant({}), 418),
}
"""What stands where an answer should."""

SIGNALS: Final[dict[str, Signal]] = {**ANSWERS, **PROMPTS, **ERRORS, **BODIES}
