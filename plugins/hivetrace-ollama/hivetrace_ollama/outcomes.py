"""What a raw reply means: pure functions over status, headers and payload.

The journal keeps the raw reply, so that a run can be classified again when a rule is mended (`signals.RULES_VERSION`).
Ollama has no filter and marks no refusals: nothing here is ever `blocked` or `refused`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hivetrace_core import FinishReason, ModelError, ModelResponse, Outcome, Reply, ResponseMetadata, Usage

from . import failures
from .payloads import count, items, text
from .signals import BROKEN_OFF, FINISH_REASONS, NO_ANSWER_REASONS

_DURATIONS: Final = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
_NANOSECONDS: Final = 1_000_000_000
_KEPT: Final = ("created_at", "logprobs", "remote_model", "remote_host")


def classify_ollama(reply: Reply) -> ModelResponse:
    """What a reply of `/api/chat` means.

    Raises:
        ModelError: it is an error, or an answer that was broken off.
    """
    payload = reply.payload
    message = payload.get("message") if isinstance(payload, Mapping) else None
    if not isinstance(message, Mapping) or reply.status >= 400:
        raise failures.model_error(reply)
    response = _answer(payload, message, reply)
    if payload.get("error"):
        raise failures.model_error(reply, partial=_partial(response))
    native = payload.get("done_reason")
    if payload.get("done") is False or native == BROKEN_OFF:
        raise failures.broken_off(_partial(response))
    if isinstance(native, str) and native in NO_ANSWER_REASONS:
        raise ModelError(
            f"Ollama answered only that {NO_ANSWER_REASONS[native]}, as if the request had no messages; "
            "check what stands between here and the server",
            kind="response_format",
            status=reply.status,
        )
    return response


def _answer(payload: Mapping[str, Any], message: Mapping[str, Any], reply: Reply) -> ModelResponse:
    content = text(message.get("content"))
    native = payload.get("done_reason")
    metadata: dict[str, Any] = {"native_finish_reason": native, "request_id": reply.headers.get("x-request-id")}
    tool_calls = items(message.get("tool_calls"))
    if tool_calls:
        metadata["tool_calls"] = tool_calls
    if text(message.get("thinking")):
        metadata["reasoning"] = message["thinking"]
    finish, outcome = _verdict(native, tools=bool(tool_calls), empty=not content)
    metadata.update(finish_reason=finish, outcome=outcome, usage=usage_of(payload))
    if text(payload.get("model")):
        metadata["model_name"] = payload["model"]
    for name in _DURATIONS:
        duration = count(payload.get(name))
        if duration is not None:
            metadata[f"{name}_s"] = duration / _NANOSECONDS
    metadata.update((name, payload[name]) for name in _KEPT if payload.get(name))
    return {"content": content, "response_metadata": _typed(metadata)}


def _verdict(native: Any, *, tools: bool, empty: bool) -> tuple[FinishReason, Outcome]:
    """Finish reason and outcome of an answer without an error, by the contract's precedence."""
    finish: FinishReason = FINISH_REASONS.get(native, "unknown") if isinstance(native, str) else "unknown"
    if tools:
        return ("tool_calls" if finish == "stop" else finish), "tool_calls"
    if finish == "length":
        return finish, "truncated"
    if empty:
        return finish, "empty"
    return finish, ("answered" if finish == "stop" else "unknown")


def usage_of(payload: Mapping[str, Any]) -> Usage:
    """Tokens in the contract's names; what the server does not say is None. The answer's include its reasoning."""
    read, written = count(payload.get("prompt_eval_count")), count(payload.get("eval_count"))
    return {
        "input_tokens": read,
        "output_tokens": written,
        "total_tokens": read + written if read is not None and written is not None else None,
        "reasoning_tokens": None,
        "cached_tokens": count(payload.get("prompt_eval_cached_count")),
    }


def _partial(response: ModelResponse) -> ModelResponse | None:
    """What was received before an error; None where that is nothing."""
    metadata = response["response_metadata"]
    return response if response["content"] or metadata.get("reasoning") or metadata.get("tool_calls") else None


def _typed(metadata: dict[str, Any]) -> ResponseMetadata:
    return metadata  # type: ignore[return-value]  # its keys and types are those of ResponseMetadata, and the extra ones
