"""What an error of the service means: a `ModelError`, and how long to wait. Pure functions.

No error of this service is a block: a filtered prompt is answered with status 200.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hivetrace_core import ErrorKind, ModelError, ModelResponse, Reply
from hivetrace_core.http import error_kind_for_status, wait_seconds

from .echoes import without_credentials
from .payloads import count, mapping, text
from .signals import (
    GRPC_KINDS,
    GRPC_NAMES,
    NOTHING_ALLOWED,
    QUOTA_NAME,
    QUOTA_PERIODS,
    TOO_LONG,
    UNPAID,
    WRONG_FOLDER,
    WRONG_MODEL,
)

SERVICE: Final = "YandexGPT"

_SHOWN: Final = 500  # characters of a body that is not JSON which go into a message
_CLIENT_GONE: Final = 499
_LONG_WAIT_S: Final = 3600
_PASSING: Final = frozenset({"rate_limit", "server", "timeout", "connection"})  # kinds that a wait may cure


def error_of(payload: Any) -> Mapping[str, Any]:
    """The error object of a payload, wrapped (`error`) or flat (`code`, `message`); empty where there is none."""
    found = mapping(payload)
    error = found.get("error")
    if isinstance(error, Mapping):
        return error
    if error:
        return {**found, "message": text(found.get("message")) or str(error)}
    return found if "message" in found or "grpcCode" in found else {}


def model_error(reply: Reply, *, partial: ModelResponse | None = None) -> ModelError:
    """The error that a reply amounts to.

    Args:
        reply: The reply; of an operation that failed, its last reading.
        partial: What was received before the error.
    """
    error = error_of(reply.payload)
    if not error:
        return _unreadable(reply, partial)
    status = reply.status if reply.status >= 400 else count(error.get("httpCode"))
    kind = error_kind(error, status)
    # Whole messages only: a part of a credential is no value that core's redaction knows.
    said = without_credentials(text(error.get("message")) or "no message", quotes=kind == "authentication")
    name = grpc_name(error)
    return ModelError(
        f"{SERVICE} answered {status or name or 'with an error'}: {said}{_advice(kind, said)}",
        kind=kind,
        status=reply.status,
        code=_code(said, name, status),
        retry_after=_wait(reply, said, kind),
        request_id=reply.headers.get("x-request-id"),
        response=partial,
    )


def grpc_name(error: Mapping[str, Any]) -> str | None:
    """Name of the gRPC code of an error object; None where it has none."""
    for key in ("grpcCode", "code"):
        value = error.get(key)
        if isinstance(value, str) and value.upper() in GRPC_KINDS:
            return value.upper()
        number = count(value)
        if number is not None and 0 < number < len(GRPC_NAMES):
            return GRPC_NAMES[number]
    return None


def error_kind(error: Mapping[str, Any], status: int | None) -> ErrorKind:
    """The kind of an error object: by its gRPC code, else by the status, and by the message where they say too little.

    Args:
        error: The error object.
        status: HTTP status, where there was one that says anything.
    """
    name = grpc_name(error)
    kind: ErrorKind
    if name is not None:
        kind = GRPC_KINDS[name]
    elif status == _CLIENT_GONE:
        kind = "connection"
    else:
        kind = error_kind_for_status(status) if status is not None and status >= 400 else "server"
    message = text(error.get("message"))
    if kind == "bad_request":
        if TOO_LONG.search(message):
            return "context_length"
        if WRONG_MODEL.search(message):
            return "not_found"
        if WRONG_FOLDER.search(message):
            return "permission"
    if kind == "permission" and UNPAID.search(message):
        return "quota"
    if kind == "rate_limit" and NOTHING_ALLOWED.search(message):
        return "quota"
    return kind


def _wait(reply: Reply, message: str, kind: ErrorKind) -> float | None:
    """Seconds to wait: what a gateway says, else the period of the quota that is spent."""
    if kind not in _PASSING:
        return None
    wait = wait_seconds(reply.headers)
    if wait is not None or kind != "rate_limit":
        return wait
    return _period(message)


def _period(message: str) -> float | None:
    """Seconds of the period of the rate quota that a message names."""
    quota = QUOTA_NAME.search(message)
    name = quota[1] if quota is not None else ""
    return next((seconds for word, seconds in QUOTA_PERIODS if word in name), None)


def _code(message: str, name: str | None, status: int | None) -> str | None:
    """The most telling code: the quota's name, else that of the gRPC code."""
    quota = QUOTA_NAME.search(message)
    return quota[1] if quota is not None else name or (None if status is None else str(status))


def _advice(kind: ErrorKind, message: str) -> str:
    advice = {
        "authentication": "check api_key (YANDEX_GPT_API_KEY, YC_API_KEY) or iam_token (YC_IAM_TOKEN, 12 h at most)",
        "permission": "the service account needs the role ai.languageModels.user in the folder",
        "not_found": "check the model id, folder_id and base_url",
        "quota": "check the billing account and the quotas of the cloud",
        "context_length": "the prompt is too long for this model",
        "rate_limit": "set rpm and max_concurrency below the quotas of the cloud",
    }.get(kind)
    if kind == "rate_limit" and (_period(message) or 0) >= _LONG_WAIT_S:
        advice = "that quota is spent: go on when its period is over, or have it raised"
    if kind == "permission" and WRONG_FOLDER.search(message):
        advice = "folder_id must be the folder of the service account"
    return f" ({advice})" if advice else ""


def _unreadable(reply: Reply, partial: ModelResponse | None) -> ModelError:
    """No error object: a page of HTML, an empty body, JSON of an unknown shape."""
    payload = reply.payload
    if payload is None:
        what = "with an empty body"
    elif isinstance(payload, str):
        what = f"with text that is not JSON: {without_credentials(' '.join(payload.split())[:_SHOWN])}"
    else:
        what = "with JSON that is neither an answer nor an error"
    failed = reply.status >= 400
    kind = "connection" if reply.status == _CLIENT_GONE else error_kind_for_status(reply.status)
    return ModelError(
        f"{SERVICE} answered {reply.status} {what}{'' if failed else ' (is base_url right?)'}",
        kind=kind if failed else "response_format",
        status=reply.status,
        retry_after=wait_seconds(reply.headers) if failed else None,
        request_id=reply.headers.get("x-request-id"),
        response=partial,
    )
