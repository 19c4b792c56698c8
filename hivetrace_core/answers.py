"""Answers: from what a model's own code returned to a whole response.

A provider returns complete responses, and those pass almost as they are. A custom model may return as little as
`{"content": "..."}`: here it gets, under `response_metadata`, every fact that core promises.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from .errors import ModelError
from .responses import (
    OUTCOMES,
    FinishReason,
    Outcome,
    derive_outcome,
    finish_reason_of,
    metadata_of,
    outcome_of,
    read,
    there,
)

if TYPE_CHECKING:
    from .redaction import Redactor

_log = logging.getLogger("hivetrace_core.models")

_FACTS: Final = frozenset({"model_name", "finish_reason", "outcome"})


def finished(
    given: Any,
    *,
    who: str,
    model_name: str,
    provider: str,
    is_blocked: Callable[[Mapping[str, Any]], bool] | None,
    redactor: Redactor,
) -> dict[str, Any]:
    """The response that a model's return value amounts to; always a new dict.

    Args:
        given: What the model returned.
        who: Subject of the error messages.
        model_name: Used where the response does not say which model answered.
        provider: Name under which the model was registered.
        is_blocked: The model's own `is_answer_blocked`, where it has overridden it. Where it raises, the outcome is
            `unknown` and the log says why.
        redactor: For that log.

    Raises:
        ModelError: kind `response_format`; it is no mapping, or one that says nothing about an answer.
    """
    if is_blocked is None and isinstance(given, dict) and isinstance(given.get("content"), str):
        metadata = given.get("response_metadata")
        if isinstance(metadata, dict) and metadata.keys() >= _FACTS:
            outcome = metadata["outcome"]
            if outcome in OUTCOMES and (outcome != "blocked" or "block" in metadata):
                # It has all that `settle` would add. A copy, because some hand out one dict for every prompt.
                return {**given, "response_metadata": {"provider": provider, **metadata}}
    response = _checked(given, who)
    try:
        return settle(response, model_name=model_name, provider=provider, is_blocked=is_blocked)
    except Exception as exc:  # noqa: BLE001  # a custom model's code may raise anything
        trace = redactor.traceback(exc)
        _log.error("is_answer_blocked of %s failed; the outcome is unknown\n%s", model_name, trace)
    return settle(response, model_name=model_name, provider=provider, outcome="unknown")


def piece(item: Any, *, who: str) -> dict[str, Any]:
    """A piece of a streamed answer as a chunk; always a new dict.

    Raises:
        ModelError: kind `response_format`; it is neither text nor a chunk.
    """
    if isinstance(item, str):
        return {"content": item}
    content = item.get("content") if isinstance(item, Mapping) else item
    if not isinstance(item, Mapping) or not isinstance(content, str | None):
        raise ModelError(f"{who} streamed what is no piece of an answer", kind="response_format")
    return {**item, "content": content or ""}


def settle(
    response: Mapping[str, Any],
    *,
    model_name: str,
    provider: str | None = None,
    is_blocked: Callable[[Mapping[str, Any]], bool] | None = None,
    outcome: Outcome | None = None,
) -> dict[str, Any]:
    """Complete a custom model's answer: every fact that core promises is under `response_metadata` afterwards.

    Args:
        response: What the model returned.
        model_name: Used where the response does not say which model answered.
        provider: Name under which the model was registered.
        is_blocked: The model's own `is_answer_blocked`, where it has overridden it. It decides blocked or not (never on
            a failed response) and may raise: then its exception propagates.
        outcome: The outcome, where it is decided already.

    Returns:
        A new dict with all the keys and values of the given one; only `outcome`, and what was None or no mapping where
        a mapping must be, may have changed.
    """
    rule = "finish_reason"
    if outcome is None:
        outcome = outcome_of(response)
        if is_blocked is not None and outcome != "failed":
            if is_blocked(response):
                outcome, rule = "blocked", "is_answer_blocked"
            elif outcome == "blocked":
                outcome = derive_outcome(response, blocked=False)
    metadata: dict[str, Any] = dict(metadata_of(response))
    metadata["outcome"] = outcome
    if outcome == "blocked" and not isinstance(metadata.get("block"), Mapping):
        metadata["block"] = {"stage": "unspecified", "categories": [], "rule": rule}
    native = read(response, "finish_reason")
    named = read(response, "model_name", "model")
    missing = {
        "model_name": named if isinstance(named, str) else model_name,
        "provider": provider,
        "finish_reason": _implied_finish(outcome) if native is None else finish_reason_of(response),
        "native_finish_reason": native,
    }
    metadata.update((key, value) for key, value in missing.items() if value is not None and metadata.get(key) is None)
    settled = {**response, "response_metadata": metadata}
    if settled.get("content") is None:
        settled["content"] = ""
    return settled


def _implied_finish(outcome: Outcome) -> FinishReason:
    implied: dict[str, FinishReason] = {
        "answered": "stop",
        "empty": "stop",
        "failed": "error",
        "blocked": "content_filter",
    }
    return implied.get(outcome, "unknown")


def _checked(response: Any, who: str) -> Mapping[str, Any]:
    if not isinstance(response, Mapping):
        raise ModelError(
            f"{who} returned an object of type {type(response).__name__}, not a dict", kind="response_format"
        )
    if not _says_something(response):
        keys = ", ".join(str(key)[:40] for key in list(response)[:10]) or "none"
        raise ModelError(f"{who} returned a dict without `content` (its keys: {keys})", kind="response_format")
    return response


def _says_something(response: Mapping[str, Any]) -> bool:
    """Whether a dict has any of the keys by which a response tells its outcome."""
    if "content" in response or there(response.get("error")):
        return True
    return any(read(response, key) is not None for key in ("outcome", "finish_reason", "tool_calls"))
