"""What an error of the chat service means: a `ModelError`, and how long to wait. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hivetrace_core import ErrorKind, ModelError, ModelResponse, Reply
from hivetrace_core.http import error_kind_for_status, wait_seconds

from .payloads import first_choice, mapping
from .signals import CONTEXT_TEXT

_SHOWN: Final = 500  # characters of a body that is not JSON which go into a message

_ADVICE: Final[dict[str, str]] = {
    "authentication": "check credentials and scope; an access_token passed by hand lives for 30 minutes",
    "permission": "check that the key's scope includes this model, and base_url",
    "not_found": "check the model id and base_url",
    "quota": "the tokens of the package are used up: buy more, or switch to a model that has some left",
    "context_length": "the prompt is too long for this model",
    "rate_limit": "individuals may have 1 request in flight, companies 10 by default: lower batch_size",
}


def error_of(payload: Any) -> Mapping[str, Any]:
    """The error object of a payload, in whichever of the known places it is; an empty mapping where there is none."""
    if not isinstance(payload, Mapping):
        return {}
    error = payload.get("error")
    if isinstance(error, Mapping):
        return error
    if error:
        return {"message": str(error)}
    if "detail" in payload:  # gateways before the service
        detail = payload["detail"]
        return {"message": detail if isinstance(detail, str) else str(detail)}
    if "message" in payload and first_choice(payload) is None:
        return payload
    return {}


def model_error(
    reply: Reply, *, error: Mapping[str, Any] | None = None, partial: ModelResponse | None = None
) -> ModelError:
    """The error that a reply amounts to.

    Args:
        reply: The reply.
        error: The error object, where it is not at the usual place.
        partial: What was received before the error.
    """
    found = error_of(reply.payload) if error is None else error
    if not found:
        return _unreadable(reply, partial)
    status = _status(found) if reply.status < 400 else reply.status
    kind = error_kind(message_of(found), status)
    code = found.get("code")
    return ModelError(
        f"GigaChat answered {status or 'with an error'}: {message_of(found) or 'no message'}{advice(kind)}",
        kind=kind,
        status=reply.status,
        code=str(code) if isinstance(code, str | int) and not isinstance(code, bool) else None,
        retry_after=wait_seconds(reply.headers) if kind in ("rate_limit", "server", "timeout") else None,
        request_id=reply.headers.get("x-request-id"),
        response=partial,
    )


def error_kind(message: str, status: int | None) -> ErrorKind:
    """The kind of an error with this message; the status decides, but for prompts that are too long."""
    if status == 413 or (status in (400, 422, None) and CONTEXT_TEXT.search(message)):
        return "context_length"
    return error_kind_for_status(status) if status is not None and status >= 400 else "server"


def message_of(error: Mapping[str, Any]) -> str:
    """The text of an error object."""
    message = error.get("message")
    return message if isinstance(message, str) else "" if message is None else str(message)


def advice(kind: ErrorKind) -> str:
    """What to do about an error of this kind, in brackets; empty where only waiting helps."""
    text = _ADVICE.get(kind)
    return f" ({text})" if text else ""


def unreadable(payload: Any) -> str:
    """What stands where JSON of a known shape should, in a few words."""
    if payload is None:
        return "with an empty body"
    if isinstance(payload, str):
        return f"with text that is not JSON: {' '.join(payload.split())[:_SHOWN]}"
    return "with JSON of an unknown shape"


def _unreadable(reply: Reply, partial: ModelResponse | None) -> ModelError:
    ok = reply.status < 400
    kind: ErrorKind = "response_format" if ok else error_kind("", reply.status)
    hint = " (is base_url right?)" if ok or reply.status in (403, 404, 405) else advice(kind)
    return ModelError(
        f"GigaChat answered {reply.status} {unreadable(reply.payload)}{hint}",
        kind=kind,
        status=reply.status,
        retry_after=None if ok else wait_seconds(reply.headers),
        request_id=reply.headers.get("x-request-id"),
        response=partial,
    )


def _status(error: Mapping[str, Any]) -> int | None:
    for key in ("status", "code", "http_code"):
        value = mapping(error).get(key)
        if isinstance(value, str) and value.isdigit() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
            return value
    return None
