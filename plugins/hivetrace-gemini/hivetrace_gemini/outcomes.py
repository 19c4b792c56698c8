"""What a raw reply means: pure functions over status, headers and payload, one named rule per signal.

The journal keeps the raw reply, so that a run can be classified again when a rule is mended (`signals.RULES_VERSION`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

from hivetrace_core import Block, FinishReason, ModelError, ModelResponse, Outcome, Reply, ResponseMetadata, Usage

from . import failures
from .payloads import blocking_categories, count, first_candidate, mapping, objects, parts_of, text_of, word
from .signals import (
    BLOCKING_REASONS,
    FAILED_REASONS,
    FINISH_REASONS,
    PROMPT_RULES,
    UNEXPLAINED_REASONS,
    UNSEEN_PROMPT_RULE,
)

_OF_AN_ANSWER: Final = frozenset({"candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId"})
_TOLD: Final = frozenset({"text", "thought", "thoughtSignature", "functionCall", "partMetadata"})


def classify(reply: Reply) -> ModelResponse:
    """What a reply of Gemini means.

    Raises:
        ModelError: it is an error. A block is not.
    """
    payload = reply.payload
    error = failures.error_of(payload)
    if not isinstance(payload, Mapping):
        raise failures.model_error(reply, error)
    if error:
        raise failures.model_error(reply, error, partial=_partial(payload, reply))
    reason = mapping(payload.get("promptFeedback")).get("blockReason")
    if reason:
        return _blocked_prompt(payload, reason, reply)
    if reply.status >= 400 or not payload.keys() & _OF_AN_ANSWER:
        raise failures.model_error(reply, error)
    candidate = first_candidate(payload)
    if candidate is None:
        # Seen in practice: tokens counted, and neither an answer nor a reason. Anything in that place is not empty.
        outcome: Outcome = "unknown" if payload.get("candidates") else "empty"
        metadata: Any = {**_metadata(payload, {}, reply), "finish_reason": "unknown", "outcome": outcome}
        return {"content": "", "response_metadata": metadata}
    return _answer(payload, candidate, reply)


def _answer(payload: Mapping[str, Any], candidate: Mapping[str, Any], reply: Reply) -> ModelResponse:
    content = text_of(candidate)
    native = word(candidate.get("finishReason"))
    metadata = _metadata(payload, candidate, reply)
    if native in FAILED_REASONS:
        partial: ModelResponse = {"content": content, "response_metadata": metadata}
        kind, why = FAILED_REASONS[native]
        message = word(candidate.get("finishMessage"))
        raise ModelError(
            f"Gemini stopped with {native}: {why}{f' ({message})' if message else ''}",
            kind=kind,
            status=reply.status,
            code=native,
            request_id=metadata["request_id"],
            response=partial,
        )
    calls = [_tool_call(part) for part in parts_of(candidate) if isinstance(part.get("functionCall"), Mapping)]
    if calls:
        metadata["tool_calls"] = calls
    if native in BLOCKING_REASONS:
        ratings = candidate.get("safetyRatings")
        metadata["block"] = _block("response", ratings, BLOCKING_REASONS[native], "candidates[0].finishReason", native)
    metadata["finish_reason"] = _finish(native, calls=bool(calls))
    metadata["outcome"] = _outcome(native, candidate, content, calls=bool(calls))
    return {"content": content, "response_metadata": metadata}


def _finish(native: str | None, *, calls: bool) -> FinishReason:
    if native is None:
        return "unknown"
    if native in BLOCKING_REASONS:
        return "content_filter"
    if native in UNEXPLAINED_REASONS:
        return "error"
    if native == "STOP" and calls:
        return "tool_calls"
    return FINISH_REASONS.get(native, "unknown")


def _outcome(native: str | None, candidate: Mapping[str, Any], content: str, *, calls: bool) -> Outcome:
    """The outcome of a candidate without an error, by the contract's precedence.

    A finish reason that is named and not understood may be a new sort of block, so that even without text it is not
    `empty`; nor are parts that are neither text nor calls (an image, say).
    """
    if native in BLOCKING_REASONS:
        return "blocked"
    if native is not None and native not in FINISH_REASONS:
        return "unknown"
    if calls:
        return "tool_calls"
    if native in FINISH_REASONS and FINISH_REASONS[native] == "length":
        return "truncated"
    if not content:
        return "unknown" if _says_more(candidate) else "empty"
    return "answered" if native == "STOP" else "unknown"


def _says_more(candidate: Mapping[str, Any]) -> bool:
    """Whether the content has something else than text, thoughts and calls."""
    content = candidate.get("content")
    if content is not None and not isinstance(content, Mapping):
        return bool(content)
    parts = mapping(content).get("parts")
    known = list(objects(parts))
    if parts and (not isinstance(parts, list) or len(known) < len(parts)):
        return True
    return any(not part.keys() <= _TOLD or not isinstance(part.get("text", ""), str) for part in known)


def _blocked_prompt(payload: Mapping[str, Any], reason: Any, reply: Reply) -> ModelResponse:
    feedback = mapping(payload["promptFeedback"])
    native = reason if isinstance(reason, str) else str(reason)
    metadata = _metadata(payload, {}, reply)
    metadata["native_finish_reason"] = native
    metadata["finish_reason"] = "content_filter"
    metadata["outcome"] = "blocked"
    rule = PROMPT_RULES.get(native, UNSEEN_PROMPT_RULE)
    metadata["block"] = _block("prompt", feedback.get("safetyRatings"), rule, "promptFeedback.blockReason", reason)
    message = word(feedback.get("blockReasonMessage"))
    if message is not None:
        metadata["finish_message"] = message  # type: ignore[typeddict-unknown-key]  # a field of this provider's own
    return {"content": "", "response_metadata": metadata}


def _metadata(payload: Mapping[str, Any], candidate: Mapping[str, Any], reply: Reply) -> ResponseMetadata:
    metadata: dict[str, Any] = {
        "finish_reason": "unknown",
        "native_finish_reason": word(candidate.get("finishReason")),
        "request_id": word(payload.get("responseId")) or reply.headers.get("x-request-id"),
    }
    usage = payload.get("usageMetadata")
    if isinstance(usage, Mapping):
        metadata["usage"] = usage_of(usage)
    extra = {
        "model_name": word(payload.get("modelVersion")),
        "reasoning": text_of(candidate, thought=True),
        "finish_message": word(candidate.get("finishMessage")),
        "safety_ratings": list(objects(candidate.get("safetyRatings"))),
        "grounding_metadata": candidate.get("groundingMetadata"),
    }
    metadata.update((key, value) for key, value in extra.items() if value)
    return metadata  # type: ignore[return-value]  # its keys and types are those of ResponseMetadata, and the extra ones


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Tokens in the contract's names; what the provider does not say is None.

    Gemini counts thoughts beside the answer; here, as everywhere, they are part of the output.
    """
    written, thought = count(usage.get("candidatesTokenCount")), count(usage.get("thoughtsTokenCount"))
    return {
        "input_tokens": count(usage.get("promptTokenCount")),
        "output_tokens": None if written is None and thought is None else (written or 0) + (thought or 0),
        "total_tokens": count(usage.get("totalTokenCount")),
        "reasoning_tokens": thought,
        "cached_tokens": count(usage.get("cachedContentTokenCount")),
    }


def _tool_call(part: Mapping[str, Any]) -> dict[str, Any]:
    """A call in the widespread form; its thought signature has to come back with it in the next request."""
    call = mapping(part["functionCall"])
    arguments = json.dumps(call.get("args") or {}, ensure_ascii=False)
    made: dict[str, Any] = {"id": call.get("id"), "type": "function"}
    made["function"] = {"name": call.get("name"), "arguments": arguments}
    signature = word(part.get("thoughtSignature"))
    return made if signature is None else {**made, "thought_signature": signature}


def _partial(payload: Mapping[str, Any], reply: Reply) -> ModelResponse | None:
    """What was said before an error in the middle of a stream."""
    candidate = first_candidate(payload)
    content = text_of(candidate) if candidate is not None else ""
    if candidate is None or not content:
        return None
    return {"content": content, "response_metadata": _metadata(payload, candidate, reply)}


def _block(stage: Literal["prompt", "response"], ratings: Any, rule: str, path: str, value: Any) -> Block:
    return {
        "stage": stage,
        "categories": blocking_categories(ratings),
        "rule": rule,
        "evidence": {"path": path, "value": value},
    }
