"""What a raw reply means: pure functions over status, headers and payload, one named rule per signal.

The journal keeps the raw reply, so that a run can be classified again when a rule is mended (`signals.RULES_VERSION`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from hivetrace_core import Block, FinishReason, ModelResponse, Outcome, Reply, ResponseMetadata, Usage

from . import failures
from .completion import Completion, read_completion
from .payloads import count, mapping
from .signals import CANNED_TEXTS, FINISH_REASONS, filter_stage

_BROKEN: Final = {"message": "the model ended with an error: it wrote arguments of a function that cannot be read"}


def classify(reply: Reply) -> ModelResponse:
    """What a reply means.

    Raises:
        ModelError: it is an error. A block is not.
    """
    payload = reply.payload
    found = read_completion(payload) if isinstance(payload, Mapping) else None
    if found is None:
        raise failures.model_error(reply)
    metadata = _metadata(payload, found, reply)
    if payload.get("error") or found.finish == "error":
        partial: ModelResponse = {"content": found.content, "response_metadata": metadata}
        raise failures.model_error(reply, error=failures.error_of(payload) or _BROKEN, partial=partial)
    outcome, block = _verdict(found, metadata["finish_reason"])
    if reply.status >= 400 and block is None:
        raise failures.model_error(reply)  # what a gateway sends with an error is no answer, whatever it looks like
    metadata["outcome"] = outcome
    if block is not None:
        metadata["block"] = block
    if outcome == "blocked":
        metadata["finish_reason"] = "content_filter"
    return {"content": found.refusal if outcome == "refused" else found.content, "response_metadata": metadata}


def _verdict(found: Completion, finish: FinishReason) -> tuple[Outcome, Block | None]:
    """The outcome of an answer without an error, by the contract's precedence."""
    block = _block_of(found)
    if block is not None:
        return "blocked", block
    if found.refusal:
        return "refused", _block("response", "gigachat.refusal", "choices[0].message.refusal", found.refusal)
    if finish == "tool_calls" or found.function_call:
        return "tool_calls", None
    if finish == "length":
        return "truncated", None
    if not found.content:
        return "empty", None
    return ("answered" if finish == "stop" else "unknown"), None


def _block_of(found: Completion) -> Block | None:
    """The filter's signal, wherever it shows."""
    finish = found.finish
    stage = filter_stage(finish) if isinstance(finish, str) else None
    if stage is not None:
        rule = "gigachat.blacklist" if finish == "blacklist" else "gigachat.filter_reason"
        return _block(stage, rule, found.finish_path, finish)
    if found.censored:
        return _block("response", "gigachat.tool_censored", "messages[].content[].tool_execution.censored", True)
    if finish in (None, "", "stop") and " ".join(found.content.split()) in CANNED_TEXTS:
        return _block("unspecified", "gigachat.canned_text", "choices[0].message.content", found.content)
    return None


def _block(stage: Literal["prompt", "response", "unspecified"], rule: str, path: str, value: Any) -> Block:
    return {"stage": stage, "categories": [], "rule": rule, "evidence": {"path": path, "value": value}}


def _metadata(payload: Mapping[str, Any], found: Completion, reply: Reply) -> ResponseMetadata:
    native = found.finish
    metadata: dict[str, Any] = {
        "finish_reason": FINISH_REASONS.get(native, "unknown") if isinstance(native, str) else "unknown",
        "native_finish_reason": native,
        "request_id": reply.headers.get("x-request-id"),
    }
    usage = payload.get("usage")
    if isinstance(usage, Mapping):
        metadata["usage"] = usage_of(usage)
    extra = {
        "model_name": payload.get("model"),
        "reasoning": found.reasoning,
        "tool_calls": [found.function_call] if found.function_call else None,
        "functions_state_id": found.function_state,
        "session_id": reply.headers.get("x-session-id"),
    }
    metadata.update((key, value) for key, value in extra.items() if value)
    return metadata  # type: ignore[return-value]  # its keys and types are those of ResponseMetadata, and the extra ones


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Tokens in the contract's names; what the service does not say is None.

    The service counts `total_tokens` without those that it had cached from earlier requests of the session.
    """
    written = usage.get("completion_tokens", usage.get("output_tokens"))
    return {
        "input_tokens": count(usage.get("prompt_tokens", usage.get("input_tokens"))),
        "output_tokens": count(written),
        "total_tokens": count(usage.get("total_tokens")),
        "reasoning_tokens": count(mapping(usage.get("completion_tokens_details")).get("reasoning_tokens")),
        "cached_tokens": count(usage.get("precached_prompt_tokens")),
    }
