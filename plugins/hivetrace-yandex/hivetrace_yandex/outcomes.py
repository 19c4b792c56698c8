"""What a reply means: pure functions from the raw reply to a response, or the `ModelError` that it amounts to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hivetrace_core import Block, ModelError, ModelResponse, Outcome, Reply, Usage

from . import failures
from .payloads import completion_of, count, first_alternative, mapping, sequence, text
from .signals import CANNED_TEXTS, FINISH_REASONS, PARTIAL

CONTENT_FILTER_RULE = "yandex.content_filter"
CANNED_TEXT_RULE = "yandex.canned_text"


def classify(reply: Reply) -> ModelResponse:
    """What a reply of the completion endpoint, or the reading of an operation that is done, means.

    Raises:
        ModelError: it is an error. A block is not, and no error is a block.
    """
    payload = reply.payload
    completion, path = completion_of(payload)
    failed = reply.status >= 400 or bool(mapping(payload).get("error"))
    if completion is None:
        raise failures.model_error(reply)
    response = _response(completion, path, reply)
    if failed:
        raise failures.model_error(reply, partial=response if response["content"] else None)
    metadata = response["response_metadata"]
    if metadata["finish_reason"] == "error":
        raise ModelError(
            f"{failures.SERVICE} ended the answer with the status {metadata['native_finish_reason']}",
            kind="connection" if metadata["native_finish_reason"] == PARTIAL else "server",
            status=reply.status,
            request_id=metadata["request_id"],
            response=response if response["content"] else None,
        )
    return response


def _response(completion: Mapping[str, Any], path: str, reply: Reply) -> ModelResponse:
    alternative = first_alternative(completion)
    message = mapping(mapping(alternative).get("message"))
    content = text(message.get("text"))
    native = mapping(alternative).get("status")
    tool_calls = list(sequence(mapping(message.get("toolCallList")).get("toolCalls")))
    usage = _usage(mapping(completion.get("usage")))
    block = _block(content, native, f"{path}alternatives[0].", usage)
    finish = FINISH_REASONS.get(native, "unknown") if isinstance(native, str) else "unknown"
    metadata: dict[str, Any] = {
        "finish_reason": "content_filter" if block is not None else finish,
        "native_finish_reason": native if isinstance(native, str) else None,
        "outcome": "unknown" if alternative is None else _outcome(finish, block, bool(tool_calls), content),
        "request_id": reply.headers.get("x-request-id"),
        "usage": usage,
    }
    if block is not None:
        metadata["block"] = block
    if tool_calls:
        metadata["tool_calls"] = tool_calls
    if version := text(completion.get("modelVersion")):
        metadata["model_version"] = version
    if path == "response.":
        metadata["operation"] = {"id": text(mapping(reply.payload).get("id"))}
    return {"content": content, "response_metadata": metadata}  # type: ignore[typeddict-item]  # built key by key


def _outcome(finish: str, block: Block | None, tools: bool, content: str) -> Outcome:
    """By the contract's precedence."""
    if block is not None:
        return "blocked"
    if finish == "tool_calls" or tools:
        return "tool_calls"
    if finish == "length":
        return "truncated"
    if not content:
        return "empty"
    return "answered" if finish == "stop" else "unknown"


def _block(content: str, native: Any, path: str, usage: Usage) -> Block | None:
    """The service's own word, or its canned text in place of an answer."""
    finish = FINISH_REASONS.get(native) if isinstance(native, str) else None
    if finish == "content_filter":
        # Where not a single token was counted nothing was generated: the prompt itself was stopped.
        stopped = usage["input_tokens"] == usage["output_tokens"] == usage["total_tokens"] == 0
        return {
            "stage": "prompt" if stopped else "unspecified",
            "categories": [],
            "rule": CONTENT_FILTER_RULE,
            "evidence": {"path": f"{path}status", "value": native},
        }
    if finish == "stop" and content.strip() in CANNED_TEXTS:
        return {
            "stage": "unspecified",
            "categories": [],
            "rule": CANNED_TEXT_RULE,
            "evidence": {"path": f"{path}message.text", "value": content},
        }
    return None


def _usage(usage: Mapping[str, Any]) -> Usage:
    """Tokens in the contract's names; what the service does not say is None."""
    return {
        "input_tokens": count(usage.get("inputTextTokens")),
        "output_tokens": count(usage.get("completionTokens")),
        "total_tokens": count(usage.get("totalTokens")),
        "reasoning_tokens": count(mapping(usage.get("completionTokensDetails")).get("reasoningTokens")),
        "cached_tokens": None,
    }
