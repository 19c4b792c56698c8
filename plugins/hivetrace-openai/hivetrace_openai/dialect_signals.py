"""Every documented signal, as a server sends it: the named variants of the mock server's dialects.

The same payloads that `outcomes.py` reads, written from the vendors' pages and not from its tables, so that each side
checks the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hivetrace_core.mockserver import Build, Signal, constant


def answer(
    finish: str | None,
    *,
    content: bool = True,
    message: Mapping[str, Any] | None = None,
    choice: Mapping[str, Any] | None = None,
    top: Mapping[str, Any] | None = None,
) -> Build:
    """A completion; `content` says whether it has the script's text."""

    def build(text: str) -> dict[str, Any]:
        said = {"role": "assistant", "content": text if content else None, **(message or {})}
        return {"choices": [{"index": 0, "message": said, "finish_reason": finish, **(choice or {})}], **(top or {})}

    return build


def error(code: Any = None, message: str = "The mock server says no.", **more: Any) -> Build:
    """An error object."""
    return lambda _: {"error": {"message": message, "type": None, "param": None, "code": code, **more}}


def routed(code: int, error_type: str | None = None, *, availability: Any = None, **metadata: Any) -> Build:
    """An error object of OpenRouter's."""
    known = {"error_type": error_type, **metadata} if error_type else metadata
    more: dict[str, Any] = {"metadata": known} if known else {}
    if availability is not None:
        more["availability"] = availability
    return lambda _: {"error": {"code": code, "message": "The mock server says no.", **more}}


TOOL_CALL: Final = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"word": "x"}'}}
FILTERED: Final = {
    "hate": {"filtered": False, "severity": "safe"},
    "violence": {"filtered": True, "severity": "medium"},
}
HARMLESS: Final = {"hate": {"filtered": False, "severity": "safe"}}
JAILBREAK: Final = {"jailbreak": {"detected": True, "filtered": True}}
POLICY: Final = "Invalid prompt: your prompt was flagged as potentially violating our usage policy."
TOO_LONG: Final = "This model's maximum context length is 8192 tokens, your messages resulted in 9000 tokens."

COMPLETIONS: Final[dict[str, Signal]] = {
    "finish.stop": Signal("answered", answer("stop")),
    "finish.length": Signal("truncated", answer("length")),
    "finish.length_empty": Signal("truncated", answer("length", message={"content": ""})),
    "finish.content_filter": Signal("blocked", answer("content_filter", content=False)),
    "finish.content_filter_partial": Signal("blocked", answer("content_filter")),
    "finish.blacklist": Signal("blocked", answer("blacklist")),
    "finish.tool_calls": Signal("tool_calls", answer("tool_calls", content=False, message={"tool_calls": [TOOL_CALL]})),
    "finish.stop_with_tools": Signal("tool_calls", answer("stop", content=False, message={"tool_calls": [TOOL_CALL]})),
    "finish.function_call": Signal(
        "tool_calls", answer("function_call", content=False, message={"function_call": TOOL_CALL["function"]})
    ),
    "finish.unseen": Signal("unknown", answer("eos_token")),
    "finish.null": Signal("unknown", answer(None)),
    "finish.null_empty": Signal("empty", answer(None, content=False)),
    "finish.error": Signal("server", answer("error")),
    "content.null": Signal("empty", answer("stop", content=False)),
    "content.parts": Signal("answered", answer("stop", message={"content": [{"type": "text", "text": "In parts."}]})),
    "message.refusal": Signal("refused", answer("stop", content=False, message={"refusal": "I can't help with that."})),
    "message.reasoning": Signal("answered", answer("stop", message={"reasoning": "Because."})),
    "message.reasoning_content": Signal("answered", answer("stop", message={"reasoning_content": "Because."})),
}
"""What any server of this wire format may answer."""

BODIES: Final[dict[str, Signal]] = {
    "body.html": Signal("response_format", constant("<html>Sign in</html>")),
    "body.empty": Signal("response_format", constant(None)),
    "body.other_object": Signal("response_format", constant({"hello": 1})),
    "body.no_choices": Signal("response_format", constant({"choices": []})),
    "body.list": Signal("response_format", constant([1, 2])),
    "body.error_in_200": Signal("server", error("server_error")),
    "body.html_502": Signal("server", constant("<html>Bad gateway</html>"), 502),
    "body.empty_503": Signal("server", constant(None), 503),
    "body.empty_object_418": Signal("bad_request", constant({}), 418),
}
"""What stands where an answer should, whoever the server is."""

COMPATIBLE: Final[dict[str, Signal]] = {
    "server.flat_context_length": Signal(
        "context_length",
        constant({"object": "error", "message": TOO_LONG, "type": "BadRequestError", "code": 400}),
        400,
    ),
    "server.detail_422": Signal("bad_request", constant({"detail": "Input validation error"}), 422),
    "server.detail_401": Signal("authentication", constant({"detail": "Unauthorized"}), 401),
    "server.context_length_text": Signal("context_length", error(None, TOO_LONG), 400),
    "server.payment_402": Signal("quota", error(402), 402),
    "server.gateway_timeout_504": Signal("timeout", constant("upstream request timeout"), 504),
}
"""What open-source servers and their frameworks say."""

OPENAI: Final[dict[str, Signal]] = {
    "openai.invalid_prompt": Signal("blocked", error("invalid_prompt", POLICY), 400),
    "openai.content_policy": Signal("blocked", error("content_policy_violation"), 400),
    "openai.moderation": Signal("blocked", error("moderation_blocked"), 400),
    "openai.malformed_prompt": Signal("bad_request", error("invalid_prompt", "Invalid prompt: malformed message"), 400),
    "openai.unsupported_parameter": Signal("bad_request", error("unsupported_parameter"), 400),
    "openai.context_length": Signal(
        "context_length", error("context_length_exceeded", TOO_LONG, param="messages"), 400
    ),
    "openai.invalid_api_key": Signal("authentication", error("invalid_api_key"), 401),
    "openai.region": Signal("permission", error("unsupported_country_region_territory"), 403),
    "openai.model_not_found": Signal("not_found", error("model_not_found"), 404),
    "openai.timeout_408": Signal("timeout", error(), 408),
    "openai.conflict_409": Signal("server", error(), 409),
    "openai.too_large_413": Signal("bad_request", error(), 413),
    "openai.rate_limit": Signal("rate_limit", error("rate_limit_exceeded", type="requests"), 429, {"retry-after": "0"}),
    "openai.rate_limit_ms": Signal("rate_limit", error("rate_limit_exceeded"), 429, {"retry-after-ms": "5"}),
    "openai.rate_limit_reset": Signal(
        "rate_limit",
        error("rate_limit_exceeded", type="tokens"),
        429,
        {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "5ms"},
    ),
    "openai.slow_down": Signal("rate_limit", error("slow_down"), 429),
    "openai.quota": Signal("quota", error("insufficient_quota", type="insufficient_quota"), 429),
    "openai.quota_type": Signal("quota", error(None, type="insufficient_quota"), 429),
    "openai.credit_balance": Signal("quota", error("credit_balance_exhausted", type="insufficient_quota"), 429),
    "openai.organization_spend": Signal("quota", error("organization_spend_limit_exceeded"), 429),
    "openai.project_spend": Signal("quota", error("project_spend_limit_exceeded"), 429),
    "openai.organization_usage": Signal("quota", error("organization_usage_limit_exceeded"), 429),
    "openai.server_error": Signal("server", error("server_error", type="server_error"), 500),
    "openai.overloaded": Signal("server", error("server_is_overloaded"), 503),
    "openai.do_not_retry": Signal("server", error("server_error"), 500, {"x-should-retry": "false"}, final=True),
}

AZURE: Final[dict[str, Signal]] = {
    "azure.prompt_filter": Signal(
        "blocked",
        error(
            "content_filter",
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
            param="prompt",
            status=400,
            innererror={"code": "ResponsibleAIPolicyViolation", "content_filter_result": FILTERED},
        ),
        400,
    ),
    "azure.jailbreak": Signal("blocked", error("content_filter", innererror={"content_filter_result": JAILBREAK}), 400),
    "azure.inner_code": Signal("blocked", error(None, innererror={"code": "ResponsibleAIPolicyViolation"}), 400),
    "azure.completion_filter": Signal("blocked", answer("content_filter", choice={"content_filter_results": FILTERED})),
    "azure.prompt_filter_results": Signal(
        "blocked",
        answer(
            "content_filter",
            content=False,
            top={"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTERED}]},
        ),
    ),
    "azure.completion_in_400": Signal("blocked", answer("content_filter", content=False), 400),
    "azure.harmless_annotations": Signal(
        "answered",
        answer(
            "stop",
            choice={"content_filter_results": HARMLESS},
            top={"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": HARMLESS}]},
        ),
    ),
    "azure.token_rate": Signal(
        "rate_limit",
        error("429", "Requests have exceeded token rate limit of your tier. Please retry after 5 milliseconds."),
        429,
    ),
    "azure.deployment": Signal("not_found", error("DeploymentNotFound"), 404),
    "azure.api_version": Signal("not_found", error("404", "Resource not found"), 404),
    "azure.key": Signal("authentication", error("401", "Access denied due to invalid subscription key."), 401),
}

OPENROUTER: Final[dict[str, Signal]] = {
    "finish.null_empty": Signal("server", answer(None, content=False)),  # nothing was generated
    "openrouter.moderation": Signal("blocked", routed(403, reasons=["violence"], flagged_input="How do I"), 403),
    "openrouter.moderation_in_200": Signal("blocked", routed(403, reasons=["hate"])),
    "openrouter.prompt_injection": Signal("blocked", routed(403, patterns=["ignore previous instructions"]), 403),
    "openrouter.content_policy": Signal("blocked", routed(400, "content_policy_violation"), 400),
    "openrouter.content_policy_midway": Signal(
        "blocked",
        answer(
            "error",
            choice={"error": {"code": 403, "message": "x", "metadata": {"error_type": "content_policy_violation"}}},
        ),
    ),
    "openrouter.native_safety": Signal("blocked", answer("stop", choice={"native_finish_reason": "SAFETY"})),
    "openrouter.refusal": Signal("refused", routed(400, "refusal"), 400),
    "openrouter.refusal_midway": Signal(
        "refused",
        answer("error", content=False, choice={"error": {"message": "x", "metadata": {"error_type": "refusal"}}}),
    ),
    "openrouter.credits": Signal("quota", routed(402, limit_source="openrouter_credits"), 402),
    "openrouter.key_limit": Signal("quota", routed(402, limit_source="openrouter_key_limit"), 402),
    "openrouter.in_flight_budget": Signal(
        "rate_limit", routed(402, limit_source="openrouter_in_flight_budget"), 402, {"retry-after": "0"}
    ),
    "openrouter.guardrail_budget": Signal("quota", routed(403, limit_source="openrouter_guardrail_budget"), 403),
    "openrouter.workspace_budget": Signal("quota", routed(403, limit_source="openrouter_workspace_budget"), 403),
    "openrouter.region": Signal("permission", routed(403, "region_restricted"), 403),
    "openrouter.permission": Signal("permission", routed(403, "permission_denied"), 403),
    "openrouter.key": Signal("authentication", routed(401), 401),
    "openrouter.not_found": Signal("not_found", routed(404, "not_found"), 404),
    "openrouter.token_limit": Signal("context_length", routed(400, "token_limit_exceeded"), 400),
    "openrouter.context_length": Signal("context_length", routed(400, "context_length_exceeded"), 400),
    "openrouter.too_long": Signal("context_length", routed(400, "string_too_long"), 400),
    "openrouter.unknown_model": Signal("not_found", routed(400, availability={"code": "model_not_found"}), 400),
    "openrouter.rate_limit": Signal("rate_limit", routed(429, "rate_limit_exceeded"), 429, {"retry-after": "0"}),
    "openrouter.availability_wait": Signal(
        "rate_limit", routed(429, availability={"code": "capacity_exhausted", "retry_after": 0}), 429
    ),
    "openrouter.no_capacity": Signal(
        "rate_limit", routed(429, availability={"code": "capacity_exhausted", "retryable": False}), 429, final=True
    ),
    "openrouter.timeout": Signal("timeout", routed(408, "timeout"), 408),
    "openrouter.internal": Signal("server", routed(500), 500),
    "openrouter.unavailable": Signal("server", routed(502, "provider_unavailable"), 502),
    "openrouter.overloaded": Signal("server", routed(503, "provider_overloaded"), 503),
    "openrouter.upstream_timeout": Signal("timeout", routed(504), 504),
    "openrouter.unavailable_in_200": Signal("server", routed(502, "provider_unavailable")),
    "openrouter.rate_limit_in_200": Signal("rate_limit", routed(429)),
    "openrouter.disconnected_midway": Signal(
        "server",
        answer(
            "error",
            choice={
                "error": {
                    "code": 502,
                    "message": "Provider disconnected",
                    "metadata": {"error_type": "provider_unavailable"},
                }
            },
        ),
    ),
}
