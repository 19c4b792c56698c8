"""What a raw reply of the simulated target means. Pure functions over the payload, one named rule per signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from ..errors import ERROR_KINDS, ErrorKind, ModelError
from ..responses import Block, FinishReason, ModelResponse, Outcome, Reply, ResponseMetadata

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
    payload = reply.payload
    if not isinstance(payload, Mapping):
        raise ModelError("The reply is not a JSON object", kind="response_format", status=reply.status)
    if reply.status != 200:
        raise _error(payload, reply)
    native = payload.get("finish")
    finish, outcome = _FINISH.get(str(native), ("unknown", "unknown"))
    text = payload.get("text")
    content = text if isinstance(text, str) else ""
    if outcome == "answered" and not content:
        outcome = "empty"
    metadata: ResponseMetadata = {
        "model_name": str(payload.get("model", "")),
        "finish_reason": finish,
        "native_finish_reason": native,
        "outcome": outcome,
        "usage": payload.get("usage", {}),
        "request_id": payload.get("id"),
    }
    if outcome == "blocked":
        metadata["block"] = _block("simulated.filter", payload, "filter")
    elif outcome == "refused":
        metadata["block"] = _block("simulated.refusal", payload, "finish")
    if payload.get("tool_calls"):
        metadata["tool_calls"] = payload["tool_calls"]
    return {"content": content, "response_metadata": metadata}


def _block(rule: str, payload: Mapping[str, Any], path: str) -> Block:
    evidence = payload.get(path)
    found: Mapping[str, Any] = evidence if isinstance(evidence, Mapping) else {}
    return {
        "stage": found.get("stage", "response"),
        "categories": found.get("categories", []),
        "rule": rule,
        "evidence": {"path": path, "value": evidence},
    }


def _error(payload: Mapping[str, Any], reply: Reply) -> ModelError:
    body = payload.get("error")
    details: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    code = details.get("code")
    # The code is finer than the status: several kinds share one.
    kind = cast(ErrorKind, code) if code in ERROR_KINDS else _STATUS_KINDS.get(reply.status, "server")
    wait = reply.headers.get("retry-after")
    return ModelError(
        str(details.get("message", "The simulated target failed")),
        kind=kind,
        status=reply.status,
        code=code,
        retry_after=float(wait) if wait is not None else None,
    )
