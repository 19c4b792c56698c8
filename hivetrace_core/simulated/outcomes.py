"""What a raw reply of the simulated target means. Pure functions over the payload, one named rule per signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from ..errors import ERROR_KINDS, ErrorKind, ModelError
from ..responses import Block, FinishReason, ModelResponse, Outcome, Reply, ResponseMetadata, Usage

RULES_VERSION: Final = 1

_FINISH: Final[dict[str, tuple[FinishReason, Outcome]]] = {
    "stop": ("stop", "answered"),
    "length": ("length", "truncated"),
    "tool_calls": ("tool_calls", "tool_calls"),
    "refusal": ("stop", "refused"),
    "filter": ("content_filter", "blocked"),
}

_STATUS_KINDS: Final[dict[int, ErrorKind]] = {
    400: "bad_request",
    401: "authentication",
    402: "quota",
    403: "permission",
    404: "not_found",
    408: "timeout",
    413: "context_length",
    429: "rate_limit",
    500: "server",
}


def status_of(kind: str) -> int:
    """The status under which the target reports an error of this kind."""
    return next((status for status, known in _STATUS_KINDS.items() if known == kind), 500)


def classify(reply: Reply) -> ModelResponse:
    """The response that a reply amounts to.

    Raises:
        ModelError: the reply is an error.
    """
    payload: Mapping[str, Any] = reply.payload if isinstance(reply.payload, Mapping) else {}
    if reply.status != 200 or isinstance(payload.get("error"), Mapping):
        raise _error(payload, reply)
    if payload is not reply.payload:
        raise ModelError("The reply is not a JSON object", kind="response_format", status=reply.status)
    native, content = _text(payload, "finish"), _text(payload, "text") or ""
    calls = payload.get("tool_calls")
    called = calls if isinstance(calls, list) else []
    finish, outcome = _FINISH.get(native or "", ("unknown", "unknown"))
    if called and outcome not in ("blocked", "refused"):
        outcome = "tool_calls"
    elif not content and outcome in ("answered", "unknown"):
        outcome = "empty"
    usage = payload.get("usage")
    metadata: ResponseMetadata = {
        "model_name": _text(payload, "model") or "",
        "finish_reason": finish,
        "native_finish_reason": native,
        "outcome": outcome,
        "usage": cast(Usage, dict(usage)) if isinstance(usage, Mapping) else {},
        "request_id": _text(payload, "id"),
    }
    if outcome == "blocked":
        metadata["block"] = _block("simulated.filter", payload, "filter")
    elif outcome == "refused":
        metadata["block"] = _block("simulated.refusal", payload, "finish")
    if called:
        metadata["tool_calls"] = called
    return {"content": content, "response_metadata": metadata}


def _block(rule: str, payload: Mapping[str, Any], path: str) -> Block:
    evidence = payload.get(path)
    found: Mapping[str, Any] = evidence if isinstance(evidence, Mapping) else {}
    stage, categories = found.get("stage", "response"), found.get("categories")
    return {
        "stage": stage if stage in ("prompt", "response") else "unspecified",
        "categories": [
            {"name": category["name"], "severity": _text(category, "severity")}
            for category in (categories if isinstance(categories, list) else [])
            if isinstance(category, Mapping) and isinstance(category.get("name"), str)
        ],
        "rule": rule,
        "evidence": {"path": path, "value": evidence},
    }


def _error(payload: Mapping[str, Any], reply: Reply) -> ModelError:
    body = payload.get("error")
    details: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    code = _text(details, "code")
    # The code is finer than the status: several kinds share one.
    known = code in ERROR_KINDS and code != "not_sent"
    kind = cast(ErrorKind, code) if known else _STATUS_KINDS.get(reply.status, "server")
    try:
        wait = float(reply.headers["retry-after"])
    except (KeyError, ValueError):
        wait = None
    return ModelError(
        _text(details, "message") or "The simulated target failed",
        kind=kind,
        status=reply.status,
        code=code,
        retry_after=wait,
    )


def _text(place: Mapping[str, Any], key: str) -> str | None:
    value = place.get(key)
    return value if isinstance(value, str) else None
