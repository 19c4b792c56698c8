"""What an error object means: a block after all, or a `ModelError`, and how long to wait. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from hivetrace_core import Block, BlockCategory, ErrorKind, ModelError, ModelResponse, Reply
from hivetrace_core.http import duration, error_kind_for_status, wait_seconds

from .payloads import mapping, triggered_categories
from .signals import (
    BLOCK_CODES,
    CODE_KINDS,
    CONTEXT_TEXT,
    IN_FLIGHT_BUDGET,
    POLICY_TEXT,
    QUOTA_CODES,
    ROUTER_BLOCK_KEYS,
)

REFUSAL_RULE: Final = "openrouter.refusal"

_AZURE_WAIT: Final = re.compile(r"retry after (\d+(?:\.\d+)?) (second|millisecond)", re.IGNORECASE)
_SHOWN: Final = 500  # characters of a body that is not JSON which go into a message


def error_of(payload: Any) -> Mapping[str, Any]:
    """The error object of a payload, in whichever of the known places it is; an empty mapping where there is none."""
    if not isinstance(payload, Mapping):
        return {}
    error = payload.get("error")
    if isinstance(error, Mapping):
        return error
    if isinstance(error, str):
        return {"message": error}
    if payload.get("object") == "error":  # open-source servers: the error is the whole body
        return payload
    if "detail" in payload:  # frameworks below them
        detail = payload["detail"]
        return {"message": detail if isinstance(detail, str) else str(detail)}
    if "message" in payload and "choices" not in payload:
        return payload
    return {}


def wrapped(error: Any) -> Mapping[str, Any]:
    """An error object, where there may be only a text or nothing."""
    return error if isinstance(error, Mapping) else {"message": str(error)} if error else {}


def code_of(error: Mapping[str, Any]) -> str | None:
    """The most telling code of an error object: its own, else its `type`."""
    for key in ("code", "type"):
        value = error.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return None


def block_of(error: Mapping[str, Any], status: int) -> Block | None:
    """The block that an error object reports; None where it is an error."""
    metadata = mapping(error.get("metadata"))
    inner = mapping(error.get("innererror"))
    results = mapping(inner.get("content_filter_result") or inner.get("content_filter_results"))
    for value in (error.get("code"), inner.get("code"), error.get("type")):
        rule = BLOCK_CODES.get(value) if isinstance(value, str) else None
        if rule is not None:
            path = "error.innererror.content_filter_result" if results else "error.code"
            return _block(rule, list(triggered_categories(results)), path, results or value)
    if error.get("code") == "invalid_prompt" and POLICY_TEXT.search(_message(error)):
        return _block("openai.invalid_prompt", [], "error.code", "invalid_prompt")
    kind = metadata.get("error_type")
    if kind == "content_policy_violation":
        return _block("openrouter.content_policy", _reasons(metadata), "error.metadata.error_type", kind)
    if kind == "refusal":
        return _block(REFUSAL_RULE, [], "error.metadata.error_type", kind)
    if status == 403 or _status(error) == 403:
        for key in ROUTER_BLOCK_KEYS:
            if metadata.get(key):
                rule = "openrouter.prompt_injection" if key == "patterns" else "openrouter.moderation"
                return _block(rule, _reasons(metadata), f"error.metadata.{key}", metadata[key])
    return None


def model_error(
    reply: Reply, service: str, *, error: Mapping[str, Any] | None = None, partial: ModelResponse | None = None
) -> ModelError:
    """The error that a reply amounts to.

    Args:
        reply: The reply.
        service: Its name, for messages.
        error: The error object, where it is not at the usual place.
        partial: What was received before the error.
    """
    found = error_of(reply.payload) if error is None else error
    status = _status(found) if reply.status == 200 else reply.status
    if not found:
        return _unreadable(reply, service, partial)
    kind = error_kind(found, status)
    availability = mapping(found.get("availability"))
    retryable = availability.get("retryable")
    message = _message(found) or "no message"
    return ModelError(
        f"{service} answered {status or 'with an error'}: {message}{_advice(kind)}",
        kind=kind,
        status=reply.status,
        code=code_of(found),
        retry_after=wait_of(reply, found) if kind in ("rate_limit", "server", "timeout") else None,
        retryable=retryable if isinstance(retryable, bool) else _should_retry(reply, kind),
        request_id=reply.headers.get("x-request-id"),
        response=partial,
    )


def error_kind(error: Mapping[str, Any], status: int | None) -> ErrorKind:
    """The kind of an error object. Codes come before the status, which several kinds share."""
    metadata = mapping(error.get("metadata"))
    availability = mapping(error.get("availability") or metadata.get("availability"))
    source = metadata.get("limit_source")
    if source is not None and status in (402, 403):
        return "rate_limit" if source == IN_FLIGHT_BUDGET else "quota"
    if isinstance(error.get("type"), str) and error["type"] in QUOTA_CODES:
        return "quota"
    for value in (error.get("code"), availability.get("code"), metadata.get("error_type"), error.get("type")):
        kind = CODE_KINDS.get(value) if isinstance(value, str) else None
        if kind is not None:
            return kind
    if status in (400, 413, 422, None) and CONTEXT_TEXT.search(_message(error)):
        return "context_length"
    return error_kind_for_status(status) if status is not None and status >= 400 else "server"


def wait_of(reply: Reply, error: Mapping[str, Any]) -> float | None:
    """Seconds that the provider asks to wait, from the first place that says so; None where none does."""
    wait = wait_seconds(reply.headers)
    if wait is not None:
        return wait
    stated = mapping(error.get("availability")).get("retry_after")
    if isinstance(stated, int | float) and not isinstance(stated, bool) and stated >= 0:
        return float(stated)
    resets = [
        wait
        for what in ("requests", "tokens")
        if reply.headers.get(f"x-ratelimit-remaining-{what}") == "0"
        and (wait := duration(reply.headers.get(f"x-ratelimit-reset-{what}", ""))) is not None
    ]
    if resets:
        return max(resets)
    told = _AZURE_WAIT.search(_message(error))
    if told is not None:
        return float(told[1]) / (1000 if told[2].lower() == "millisecond" else 1)
    return None


def _unreadable(reply: Reply, service: str, partial: ModelResponse | None) -> ModelError:
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
        f"{service} answered {reply.status} {what}{' (is base_url right?)' if ok else ''}",
        kind="response_format" if ok else error_kind_for_status(reply.status),
        status=reply.status,
        retry_after=wait_seconds(reply.headers) if not ok else None,
        request_id=reply.headers.get("x-request-id"),
        response=partial,
    )


def _should_retry(reply: Reply, kind: ErrorKind) -> bool | None:
    """What the server itself says; it may not overrule that a dead key or spent quota stays so."""
    word = reply.headers.get("x-should-retry")
    if kind in ("authentication", "permission", "quota", "context_length", "not_found") or word is None:
        return None
    return True if word == "true" else False if word == "false" else None


def _advice(kind: ErrorKind) -> str:
    advice = {
        "authentication": "check the key (api_key or its environment variable)",
        "not_found": "check the model id and base_url",
        "quota": "check the account's balance and limits",
        "permission": "this key may not use this model, or not from this region",
        "context_length": "the prompt is too long for this model",
    }.get(kind)
    return f" ({advice})" if advice else ""


def _block(rule: str, categories: list[BlockCategory], path: str, value: Any) -> Block:
    return {"stage": "prompt", "categories": categories, "rule": rule, "evidence": {"path": path, "value": value}}


def _reasons(metadata: Mapping[str, Any]) -> list[BlockCategory]:
    reasons = metadata.get("reasons")
    return [{"name": str(reason)} for reason in reasons] if isinstance(reasons, list) else []


def _status(error: Mapping[str, Any]) -> int | None:
    for key in ("status", "code"):
        value = error.get(key)
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
            return value
    return None


def _message(error: Mapping[str, Any]) -> str:
    message = error.get("message")
    return message if isinstance(message, str) else "" if message is None else str(message)
