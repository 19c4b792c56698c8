"""What an error reply means: a `ModelError`, and how long to wait. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from hivetrace_core import ErrorKind, ModelError, ModelResponse, Reply
from hivetrace_core.http import error_kind_for_status, wait_seconds

from .payloads import mapping
from .signals import BUSY, CANCELED, CONTEXT, INVALID, LASTING, MODEL_NOT_FOUND, QUOTA, REFERENCE

_SHOWN: Final = 500  # characters of a server's own words which go into a message
_WAITING: Final = frozenset({"rate_limit", "server", "timeout"})


def error_text(payload: Any) -> str | None:
    """The server's own words in an error payload; None where it is none."""
    if not isinstance(payload, Mapping):
        return None
    found = payload.get("error")
    if not found:
        found = next((payload[key] for key in ("message", "detail") if isinstance(payload.get(key), str)), None)
        return str(found) if found else None
    if isinstance(found, Mapping):
        found = found.get("message") or found
    return _innermost(found if isinstance(found, str) else json.dumps(found, default=str))


def model_error(reply: Reply, *, partial: ModelResponse | None = None) -> ModelError:
    """The error that a reply amounts to.

    Args:
        reply: The reply; with status 200, one whose body or stream holds an error.
        partial: What was received before the error.
    """
    words = error_text(reply.payload)
    if words is None:
        return _unreadable(reply, partial)
    status = reply.status if reply.status >= 400 else None
    kind = error_kind(words, status)
    said = f"Ollama answered {status}" if status is not None else "Ollama broke off with an error"
    reference = REFERENCE.search(words)
    return ModelError(
        f"{said}: {' '.join(words.split())[:_SHOWN]}{_advice(kind, words)}",
        kind=kind,
        status=reply.status,
        retry_after=wait_seconds(reply.headers) if kind in _WAITING else None,
        retryable=False if kind == "server" and LASTING.search(words) else None,
        request_id=reply.headers.get("x-request-id") or (reference[1] if reference else None),
        response=partial,
    )


def error_kind(words: str, status: int | None) -> ErrorKind:
    """The kind of an error by the server's words and, where they say nothing, its status.

    Args:
        words: The message.
        status: HTTP status; None for an error inside a 200.
    """
    if status in (402, 403, 429, None) and QUOTA.search(words):
        return "quota"
    if status in (400, 413, 422, None) and CONTEXT.search(words):
        return "context_length"
    if status in (429, 500, 503, None) and BUSY.search(words):
        return "rate_limit"
    if status == 499 or (status in (500, None) and CANCELED.search(words)):
        return "connection"
    if status in (500, None) and INVALID.search(words):
        return "bad_request"
    if status is None:
        return "server"
    return error_kind_for_status(status)


def broken_off(partial: ModelResponse | None) -> ModelError:
    """The error of an answer that ends without its last part, with what was received of it."""
    return ModelError("Ollama's answer ended before it was done (no `done: true`)", kind="connection", response=partial)


def _unreadable(reply: Reply, partial: ModelResponse | None) -> ModelError:
    """No error object: text, an empty body, JSON of an unknown shape."""
    payload = reply.payload
    if payload is None:
        what = "with an empty body"
    elif isinstance(payload, str):
        what = f"with text that is not JSON: {' '.join(payload.split())[:_SHOWN]}"
    else:
        what = "with JSON that is neither an answer nor an error"
    ok = reply.status < 400
    kind: ErrorKind = "response_format" if ok else error_kind_for_status(reply.status)
    hint = " (is base_url right? It is the server's address without /api or /v1)" if ok or kind == "not_found" else ""
    return ModelError(
        f"The server answered {reply.status} {what}{hint}",
        kind=kind,
        status=reply.status,
        retry_after=None if ok else wait_seconds(reply.headers),
        request_id=reply.headers.get("x-request-id"),
        response=partial,
    )


def _advice(kind: ErrorKind, words: str) -> str:
    if kind == "not_found":
        named = MODEL_NOT_FOUND.search(words)
        if named is not None:
            return f" (run on that server: ollama pull {named[1]}; ollama list shows what it has)"
    advice: dict[str, str] = {
        "authentication": "check api_key; a local server needs `ollama signin` for cloud models",
        "quota": "the account's usage limit is reached; wait for it to pass or raise it",
        "context_length": "raise num_ctx or shorten the prompt",
        "not_found": "check the model id and base_url",
    }
    found = "its queue is full; lower batch_size" if BUSY.search(words) else advice.get(kind)
    return f" ({found})" if found else ""


def _innermost(words: str) -> str:
    """The message inside an error object that the server passes on as text from its runner."""
    if words.lstrip().startswith("{"):
        try:
            inner = mapping(json.loads(words)).get("error")
        except (ValueError, RecursionError):
            return words
        found = inner.get("message") if isinstance(inner, Mapping) else inner
        if isinstance(found, str) and found:
            return found
    return words
