"""What an error object means: a `ModelError`, and how long to wait. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hivetrace_core import ErrorKind, ModelError, ModelResponse, Reply
from hivetrace_core.http import MAX_WAIT_S, duration, error_kind_for_status, wait_seconds

from .payloads import mapping, objects, sequence, word
from .signals import (
    BAD_KEY_TEXT,
    CONTEXT_TEXT,
    KEY_TEXT,
    LONG_QUOTA,
    REASON_KINDS,
    REGION_TEXT,
    RETRY_TEXT,
    SPENT_TEXT,
    STATUS_KINDS,
)

_SHOWN: Final = 500  # characters of a message or body that go into ours
_PASSING: Final = frozenset({"rate_limit", "server", "timeout", "connection"})


def error_of(payload: Any) -> Mapping[str, Any]:
    """The error object of a payload; an empty mapping where there is none.

    A stream that fails before it begins is answered with a list that has the error in it.
    """
    if isinstance(payload, list):
        return next((found for item in payload if (found := error_of_object(item))), {})
    return error_of_object(payload)


def error_of_object(payload: Any) -> Mapping[str, Any]:
    """The error of one JSON object; an empty mapping where there is none."""
    error = mapping(payload).get("error")
    if isinstance(error, Mapping):
        return error
    return {"message": str(error)} if error else {}


def model_error(reply: Reply, error: Mapping[str, Any], *, partial: ModelResponse | None = None) -> ModelError:
    """The error that a reply amounts to.

    Args:
        reply: The reply.
        error: Its error object; empty where it has none.
        partial: What was received before the error.
    """
    if not error:
        return _unreadable(reply)
    status = _status(error) if reply.status < 400 else reply.status
    kind = error_kind(error, status)
    return ModelError(
        f"Gemini answered {status or 'with an error'}: {_message(error) or 'no message'}{_advice(kind, error)}",
        kind=kind,
        status=reply.status,
        code=_reason(error) or word(error.get("status")) or (str(status) if status else None),
        retry_after=wait_of(reply, error) if kind in _PASSING else None,
        request_id=reply.headers.get("x-request-id"),
        response=partial,
    )


def error_kind(error: Mapping[str, Any], status: int | None) -> ErrorKind:
    """The kind of an error object, by the most telling of its words: reason, message, status word, HTTP status."""
    message = _full_message(error)
    by_reason = REASON_KINDS.get(_reason(error) or "")
    if by_reason is not None:
        return by_reason
    kind = STATUS_KINDS.get(word(error.get("status")) or "")
    if kind is None:
        kind = _kind_of_status(status)
    if kind == "rate_limit":
        return "quota" if _is_spent(error, message) else "rate_limit"
    if kind == "bad_request":
        if CONTEXT_TEXT.search(message):
            return "context_length"
        if BAD_KEY_TEXT.search(message):
            return "authentication"
        if REGION_TEXT.search(message):
            return "permission"
    if kind == "permission" and status == 403 and KEY_TEXT.search(message):
        return "authentication"
    return kind


def wait_of(reply: Reply, error: Mapping[str, Any]) -> float | None:
    """Seconds that the provider asks to wait, from the first place that says so; None where none does."""
    told = [detail.get("retryDelay") for detail in objects(error.get("details"))]
    written = RETRY_TEXT.search(_full_message(error))
    if written is not None:
        told.append(written[1].rstrip("."))  # the sentence may end there
    for text in told:
        wait = duration(text) if isinstance(text, str) else None
        if wait is not None and wait <= MAX_WAIT_S:
            return wait
    return wait_seconds(reply.headers)


def _is_spent(error: Mapping[str, Any], message: str) -> bool:
    """Whether a 429 is about a quota that no wait of seconds brings back."""
    if SPENT_TEXT.search(message):
        return True
    for detail in objects(error.get("details")):
        metadata = mapping(detail.get("metadata"))
        quotas = [(metadata.get("quota_limit"), metadata.get("quota_limit_value"))]
        quotas += [(item.get("quotaId"), item.get("quotaValue")) for item in objects(detail.get("violations"))]
        for name, value in quotas:
            if (isinstance(name, str) and LONG_QUOTA.search(name)) or value in ("0", 0):
                return True
    return False


def _unreadable(reply: Reply) -> ModelError:
    """No error object: a page of HTML, an empty body, JSON of an unknown shape."""
    payload = reply.payload
    if payload is None:
        what = "with an empty body"
    elif isinstance(payload, str):
        what = f"with text that is not JSON: {' '.join(payload.split())[:_SHOWN]}"
    else:
        what = "with JSON that is neither an answer nor an error"
    ok = reply.status < 400
    return ModelError(
        f"Gemini answered {reply.status} {what}{' (is base_url right?)' if ok else ''}",
        kind="response_format" if ok else _kind_of_status(reply.status),
        status=reply.status,
        retry_after=None if ok else wait_seconds(reply.headers),
        request_id=reply.headers.get("x-request-id"),
    )


def _kind_of_status(status: int | None) -> ErrorKind:
    if status is None or status < 400:
        return "server"
    return "connection" if status == 499 else error_kind_for_status(status)


def _advice(kind: ErrorKind, error: Mapping[str, Any]) -> str:
    if kind == "permission" and REGION_TEXT.search(_full_message(error)):
        return " (this region has no service; another proxy or base_url may have)"
    advice = {
        "authentication": "check the key: api_key, GOOGLE_API_KEY or GEMINI_API_KEY",
        "permission": "check what the key may do, and billing",
        "not_found": "check the model id and base_url; some models exist on v1beta only",
        "quota": "check the plan and its daily limits; the quota comes back at midnight Pacific time",
        "context_length": "the prompt is too long for this model",
    }.get(kind)
    return f" ({advice})" if advice else ""


def _reason(error: Mapping[str, Any]) -> str | None:
    """The `reason` of the error's ErrorInfo."""
    return next((found for detail in objects(error.get("details")) if (found := word(detail.get("reason")))), None)


def _status(error: Mapping[str, Any]) -> int | None:
    code = error.get("code")
    if isinstance(code, str) and code.isdigit():
        code = int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600 else None


def _full_message(error: Mapping[str, Any]) -> str:
    message = error.get("message")
    return message if isinstance(message, str) else "" if message is None else str(message)


def _message(error: Mapping[str, Any]) -> str:
    """On one line, and not longer than anybody reads; with the quotas that are named beside it."""
    text = " ".join(_full_message(error).split())[:_SHOWN]
    quotas = [
        name
        for detail in objects(error.get("details"))
        for item in sequence(detail.get("violations"))
        if (name := word(mapping(item).get("quotaId"))) is not None and name not in text
    ]
    return f"{text} [{', '.join(quotas)}]" if quotas else text
