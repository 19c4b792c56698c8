"""What each documented signal means, as data: one case per named signal of the dialect, and samples from reports.

A case has `id`, `payload`, `status` and `headers`, and what is expected: `outcome`, or `error` (a kind), and where it
matters `finish`, `native`, `content`, `stage`, `rule`, `wait` (s), `code` and `retryable`.
"""

from __future__ import annotations

from typing import Any

from hivetrace_yandex.dialect_signals import CANNED, SEARCH, SIGNALS, TOOL_CALL

TEXT = "Здравствуйте!"
HOUR = "ai.textGenerationCompletionRequestsPerHour.rate"
SECOND = "ai.textGenerationCompletionRequestsPerSecond.rate"
SESSIONS = "ai.textGenerationCompletionSessionsCount.count"


def signal(name: str, **expected: Any) -> dict[str, Any]:
    found = SIGNALS[name]
    return {"id": name, "payload": found.build(TEXT), "status": found.status, "headers": {}, **expected}


def ended(name: str, outcome: str, status: str | None, finish: str = "stop", content: str = TEXT) -> dict[str, Any]:
    native = None if status is None else f"ALTERNATIVE_STATUS_{status}"
    return signal(name, outcome=outcome, native=native, finish=finish, content=content)


def blocked(name: str, rule: str, stage: str = "unspecified", content: str = CANNED) -> dict[str, Any]:
    expected = {"rule": f"yandex.{rule}", "stage": stage, "content": content, "finish": "content_filter"}
    return signal(name, outcome="blocked", **expected)


def failed(name: str, kind: str, code: str | None, *, retryable: bool = False, wait: Any = None) -> dict[str, Any]:
    return signal(name, error=kind, code=code, retryable=retryable, wait=wait)


def sample(name: str, payload: Any, status: int = 200, headers: Any = None, **expected: Any) -> dict[str, Any]:
    return {"id": name, "payload": payload, "status": status, "headers": headers or {}, **expected}


def operation(end: Any, **more: Any) -> dict[str, Any]:
    return {"id": "op-1", "description": "Async GPT Completion", "done": True, **end, **more}


def answer(text: str = TEXT, status: Any = "ALTERNATIVE_STATUS_FINAL", **top: Any) -> dict[str, Any]:
    return {"alternatives": [{"message": {"role": "assistant", "text": text}, "status": status}], **top}


COMPLETIONS = [
    ended("status.final", "answered", "FINAL"),
    ended("status.truncated", "truncated", "TRUNCATED_FINAL", "length"),
    ended("status.truncated_empty", "truncated", "TRUNCATED_FINAL", "length", ""),
    blocked("status.content_filter", "content_filter", "prompt"),
    blocked("status.content_filter_later", "content_filter"),
    blocked("status.content_filter_search", "content_filter", content=SEARCH),
    blocked("status.content_filter_empty", "content_filter", content=""),
    blocked("status.content_filter_unseen_text", "content_filter", content="Сменим тему?"),
    {**ended("status.tool_calls", "tool_calls", "TOOL_CALLS", "tool_calls", ""), "tools": [TOOL_CALL]},
    {**ended("status.final_with_tools", "tool_calls", "FINAL", "stop", ""), "tools": [TOOL_CALL]},
    ended("status.final_empty", "empty", "FINAL", "stop", ""),
    signal("status.unspecified", error="server", retryable=True, partial=TEXT),
    signal("status.partial", error="connection", retryable=True, partial=TEXT),
    ended("status.unseen", "unknown", "FINAL_V2", "unknown"),
    blocked("canned.final", "canned_text"),
    blocked("canned.final_search", "canned_text", content=SEARCH),
    blocked("canned.final_blanks", "canned_text", content=f"\n{CANNED} "),
    ended("canned.part_of_an_answer", "answered", "FINAL", content=f"{CANNED} Например, о погоде."),
    ended("answer.bare", "answered", "FINAL"),
    ended("answer.no_alternatives", "unknown", None, "unknown", ""),
]

ERRORS = [
    failed("error.context_length", "context_length", "INVALID_ARGUMENT"),
    failed("error.model_uri_parse", "not_found", "INVALID_ARGUMENT"),
    failed("error.model_uri", "not_found", "INVALID_ARGUMENT"),
    failed("error.folder", "permission", "INVALID_ARGUMENT"),
    failed("error.bad_request", "bad_request", "INVALID_ARGUMENT"),
    failed("error.unknown_key", "authentication", "UNAUTHENTICATED"),
    failed("error.expired_key", "authentication", "UNAUTHENTICATED"),
    failed("error.expired_token", "authentication", "UNAUTHENTICATED"),
    failed("error.role", "permission", "PERMISSION_DENIED"),
    failed("error.billing", "quota", "PERMISSION_DENIED"),
    failed("error.not_found", "not_found", "NOT_FOUND"),
    failed("error.concurrency", "rate_limit", SESSIONS, retryable=True),
    failed("error.nothing_allowed", "quota", SESSIONS),
    failed("error.rate", "rate_limit", SECOND, retryable=True, wait=1.0),
    failed("error.hourly_quota", "rate_limit", HOUR, retryable=True, wait=3600.0),
    failed("error.exhausted", "rate_limit", "RESOURCE_EXHAUSTED", retryable=True),
    failed("error.cancelled", "connection", "CANCELLED", retryable=True),
    failed("error.internal", "server", "INTERNAL", retryable=True),
    failed("error.unimplemented", "bad_request", "UNIMPLEMENTED"),
    failed("error.unavailable", "server", "UNAVAILABLE", retryable=True),
    failed("error.deadline", "timeout", "DEADLINE_EXCEEDED", retryable=True),
    failed("error.flat_key", "authentication", "UNAUTHENTICATED"),
    failed("error.flat_role", "permission", "PERMISSION_DENIED"),
    failed("error.flat_exhausted", "rate_limit", "RESOURCE_EXHAUSTED", retryable=True),
    failed("error.flat_unavailable", "server", "UNAVAILABLE", retryable=True),
    failed("error.in_200", "server", "INTERNAL", retryable=True),
    failed("error.rate_in_200", "rate_limit", SESSIONS, retryable=True),
    failed("operation.never", "timeout", "DEADLINE_EXCEEDED", retryable=True),
    failed("operation.vanished", "server", "INTERNAL", retryable=True),
    failed("operation.internal", "server", "INTERNAL", retryable=True),
    failed("operation.exhausted", "rate_limit", SESSIONS, retryable=True),
    failed("operation.invalid", "bad_request", "INVALID_ARGUMENT"),
    failed("operation.too_long", "context_length", "INVALID_ARGUMENT"),
    failed("operation.key", "authentication", "UNAUTHENTICATED"),
    failed("operation.cancelled", "connection", "CANCELLED", retryable=True),
    failed("body.html", "response_format", None),
    failed("body.empty", "response_format", None),
    failed("body.other_object", "response_format", None),
    failed("body.list", "response_format", None),
    failed("body.html_502", "server", None, retryable=True),
    failed("body.empty_503", "server", None, retryable=True),
    failed("body.empty_object_418", "bad_request", None),
    failed("body.gateway_499", "connection", None, retryable=True),
]

SAMPLES = [
    sample("an operation that was answered", operation({"response": answer()}), outcome="answered", content=TEXT),
    sample(
        "an operation that was filtered",
        operation({"response": answer(CANNED, "ALTERNATIVE_STATUS_CONTENT_FILTER")}),
        outcome="blocked",
        rule="yandex.content_filter",
        stage="unspecified",
        content=CANNED,
    ),
    sample("no status", {"result": answer(status=None)}, outcome="unknown", finish="unknown", content=TEXT),
    sample("a number for a status", {"result": answer(status=4)}, outcome="unknown", finish="unknown", native=None),
    sample("no text key", {"result": {"alternatives": [{"status": "ALTERNATIVE_STATUS_FINAL"}]}}, outcome="empty"),
    sample("an unseen result", {"result": {"candidates": [{"text": "?"}]}}, outcome="unknown", content=""),
    sample("alternatives of another type", {"result": {"alternatives": "none"}}, outcome="unknown", content=""),
    sample("an operation's error", operation({"error": {"code": 13, "message": "x"}}), error="server", code="INTERNAL"),
    sample("an error by its name", {"code": "UNAVAILABLE", "message": "x"}, 503, error="server", code="UNAVAILABLE"),
    sample("an error as text", {"error": "Forbidden"}, 403, error="permission", code="403"),
    sample("an error with a message only", {"message": "Forbidden"}, 403, error="permission", code="403"),
    sample("a code that is a status", {"code": 403, "message": "x"}, 403, error="permission", code="403"),
    sample("a code that is none", {"grpcCode": 0, "message": "x"}, 500, error="server", code="500"),
    sample(
        "an error beside an answer", {"result": answer(), "error": {"grpcCode": 13, "message": "x"}}, error="server"
    ),
    sample("an answer with the status of an error", {"result": answer()}, 500, error="server", partial=TEXT),
    sample(
        "a gateway that says how long to wait",
        {"error": {"grpcCode": 8, "httpCode": 429, "message": f"{HOUR} rate quota limit exceed"}},
        429,
        {"retry-after": "7"},
        error="rate_limit",
        wait=7.0,
    ),
    sample("a wait of a page of HTML", "<html>", 503, {"retry-after": "3"}, error="server", wait=3.0),
    sample(
        "a minute's quota",
        {"error": {"grpcCode": 8, "message": "ai.textGenerationRequestsPerMinute.rate rate quota limit exceed"}},
        429,
        error="rate_limit",
        wait=60.0,
        code="ai.textGenerationRequestsPerMinute.rate",
    ),
    sample(
        "a quota without a name", {"error": {"grpcCode": 8, "message": "Too many"}}, 429, error="rate_limit", wait=None
    ),
]

ALL = [*COMPLETIONS, *ERRORS, *SAMPLES]
