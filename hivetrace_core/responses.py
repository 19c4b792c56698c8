"""Responses: their shape, and the pure functions that read an outcome out of one.

A response is a plain, JSON-ready dict. Providers return complete ones; a custom model may return as little as
`{"content": "..."}` and may put `model` or `finish_reason` at the top level. The functions here read both places, add
what is missing under `response_metadata`, and never move or drop a key of the model's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NotRequired, Required, TypeAlias, TypedDict, cast

from .errors import ErrorKind, ModelError

Outcome: TypeAlias = Literal["answered", "truncated", "refused", "blocked", "tool_calls", "empty", "failed", "unknown"]
FinishReason: TypeAlias = Literal["stop", "length", "content_filter", "tool_calls", "error", "unknown"]

OUTCOMES: Final[tuple[Outcome, ...]] = (
    "failed",
    "blocked",
    "refused",
    "tool_calls",
    "truncated",
    "empty",
    "unknown",
    "answered",
)
"""Every outcome, in order of precedence: where several apply, the first one is the outcome."""

_FINISH_REASONS: Final[frozenset[str]] = frozenset(
    {"stop", "length", "content_filter", "tool_calls", "error", "unknown"}
)


class BlockCategory(TypedDict, total=False):
    """One category that a filter named."""

    name: Required[str]
    severity: str | None


class Evidence(TypedDict):
    """Where in the raw payload the signal was found."""

    path: str
    value: Any


class Block(TypedDict, total=False):
    """Why a response counts as blocked or refused."""

    stage: Required[Literal["prompt", "response", "unspecified"]]
    categories: list[BlockCategory]
    rule: Required[str]
    evidence: Evidence


class Usage(TypedDict, total=False):
    """Tokens, as the provider counted them."""

    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    reasoning_tokens: int | None
    cached_tokens: int | None


class ResponseMetadata(TypedDict, total=False):
    """What is known about one answer. Providers add fields of their own."""

    model_name: str
    provider: str
    finish_reason: FinishReason
    native_finish_reason: str | None
    outcome: Outcome
    block: Block
    usage: Usage
    tool_calls: list[Any]
    reasoning: str
    attempts: int
    latency_s: float
    request_id: str | None
    index: int


class ErrorInfo(TypedDict, total=False):
    """The `error` of a failed batch item."""

    kind: Required[ErrorKind]
    message: Required[str]
    status: int | None
    code: str | None
    retryable: Required[bool]
    retry_after: float | None


class ModelResponse(TypedDict):
    """One prompt's response."""

    content: str
    response_metadata: ResponseMetadata
    error: NotRequired[ErrorInfo]


class ResponseChunk(TypedDict):
    """A piece of a streamed answer; the last one has the metadata of the whole."""

    content: str
    response_metadata: NotRequired[ResponseMetadata]


@dataclass(slots=True)
class Reply:
    """One attempt as it came over the wire, before anybody interpreted it.

    Attributes:
        payload: The decoded JSON body, or the text where it was not JSON, or None where there was no body.
        status: HTTP status; 200 for transports without one.
        headers: Response headers, names in lower case.
        size: Bytes of the body that the payload was decoded from; None where nobody has counted them.
    """

    payload: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int | None = field(default=None, compare=False, repr=False, kw_only=True)


def metadata_of(response: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `response_metadata` of any dict; an empty mapping where there is none. Never raises."""
    # Both are dicts nearly always, and asking an abstract class takes ten times as long.
    metadata = response.get("response_metadata") if isinstance(response, (dict, Mapping)) else None
    return metadata if isinstance(metadata, (dict, Mapping)) else {}


def read(response: Mapping[str, Any], key: str, *aliases: str) -> Any:
    """A value from `response_metadata` or, for custom models, from the top level; None where neither has it."""
    metadata = metadata_of(response)
    for name in (key, *aliases):
        for place in (metadata, response):
            value = place.get(name)
            if value is not None:
                return value
    return None


def outcome_of(response: Mapping[str, Any]) -> Outcome:
    """The outcome that a response names, or else the one that its content and finish reason amount to.

    Pure and total: any mapping gives one of `OUTCOMES`. A name outside the vocabulary is `unknown`, never a success.
    """
    named = read(response, "outcome")
    if named is not None:
        return named if isinstance(named, str) and named in OUTCOMES else "unknown"
    return derive_outcome(response)


def derive_outcome(response: Mapping[str, Any], *, blocked: bool | None = None) -> Outcome:
    """The outcome by content and finish reason alone, whatever the response says about itself.

    Args:
        response: Any mapping.
        blocked: What a custom `is_answer_blocked` decided; None to read it from the finish reason.
    """
    finish = read(response, "finish_reason")
    if not isinstance(finish, str | None):
        finish = "unknown"
    if finish == "error" or there(response.get("error")):
        return "failed"
    if finish == "content_filter" if blocked is None else blocked:
        return "blocked"
    if finish == "tool_calls" or there(read(response, "tool_calls")):
        return "tool_calls"
    if finish == "length":
        return "truncated"
    content = response.get("content")
    if not there(content):
        return "empty"
    if isinstance(content, str) and finish in ("stop", "content_filter", None):
        return "answered"
    return "unknown"


def there(value: Any) -> bool:
    """Truth for what JSON has; anything else (an array, say, whose truth is an error) is there unless it is None."""
    return bool(value) if isinstance(value, str | int | float | list | tuple | dict) else value is not None


def finish_reason_of(response: Mapping[str, Any]) -> FinishReason:
    """The neutral finish reason; `unknown` for a word outside the vocabulary or for none at all."""
    finish = read(response, "finish_reason")
    return cast(FinishReason, finish) if isinstance(finish, str) and finish in _FINISH_REASONS else "unknown"


def error_info(error: ModelError) -> ErrorInfo:
    """The JSON form of an error, as it stands in a failed batch item and in the journal."""
    info: ErrorInfo = {
        "kind": error.kind,
        "message": error.message,
        "status": error.status,
        "retryable": error.retryable,
    }
    if error.code is not None:
        info["code"] = error.code
    if error.retry_after is not None:
        info["retry_after"] = error.retry_after
    return info


def failed_response(error: ModelError, *, index: int | None = None, latency_s: float | None = None) -> ModelResponse:
    """The response that stands in the place of a prompt that failed; a partial answer keeps its text."""
    partial: Mapping[str, Any] = error.response if isinstance(error.response, Mapping) else {}
    named = read(partial, "model_name", "model")
    metadata: dict[str, Any] = {
        **metadata_of(partial),
        "model_name": named if isinstance(named, str) and named else error.model or "",
        "finish_reason": "error",
        "outcome": "failed",
        "attempts": error.attempts,
    }
    optional = {"provider": error.provider, "request_id": error.request_id, "latency_s": latency_s, "index": index}
    metadata.update((key, value) for key, value in optional.items() if value is not None)
    content = partial.get("content")
    return {
        "content": content if isinstance(content, str) else "",
        "response_metadata": metadata,  # type: ignore[typeddict-item]  # built key by key above
        "error": error_info(error),
    }
