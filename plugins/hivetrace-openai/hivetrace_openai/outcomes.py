"""What a raw reply means: pure functions over status, headers and payload, one named rule per signal.

The journal keeps the raw reply, so that a run can be classified again when a rule is mended (`signals.RULES_VERSION`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from hivetrace_core import Block, BlockCategory, FinishReason, ModelResponse, Outcome, Reply, ResponseMetadata, Usage

from . import cloudru, failures
from .payloads import count, first_choice, mapping, sequence, text, triggered_categories
from .signals import BLOCKING_NATIVE_REASONS, FINISH_REASONS

_NOTHING: Final = {"message": "neither text nor a finish reason; nothing was generated", "code": "server"}
_PASSED_ON: Final = (
    ("model_name", "model"),
    ("system_fingerprint", "system_fingerprint"),
    ("service_tier", "service_tier"),
    ("upstream_provider", "provider"),
)
"""What a payload says as a whole: under which key of the metadata, and of the payload."""

_UNEXPLAINED: Final = {"message": "the answer ended with the finish reason 'error' and no explanation"}

Stage = Literal["prompt", "response", "unspecified"]


def classify_openai(reply: Reply) -> ModelResponse:
    """What a reply of OpenAI, Azure OpenAI or a compatible server means.

    Raises:
        ModelError: it is an error. A block is not.
    """
    return _classify(reply, "OpenAI")


def classify_openrouter(reply: Reply) -> ModelResponse:
    """What a reply of OpenRouter means.

    Raises:
        ModelError: it is an error. A block is not.
    """
    response = _classify(reply, "OpenRouter")
    metadata = response["response_metadata"]
    if metadata["outcome"] == "empty" and metadata.get("native_finish_reason") is None:
        # A model that was still starting: nothing was generated, nothing is billed, and another attempt may help.
        raise failures.model_error(reply, "OpenRouter", error=_NOTHING, partial=None)
    return response


def classify_sbercloud(reply: Reply) -> ModelResponse:
    """What a reply of Cloud.ru Foundation Models means.

    Raises:
        ModelError: it is an error. A block is not.
    """
    payload = reply.payload
    if isinstance(payload, Mapping) and first_choice(payload) is None:
        error = failures.error_of(payload)
        block = failures.block_of(error, reply.status) or cloudru.filter_named(error, reply.status)
        if block is not None:
            return _blocked_prompt(payload, block, reply, failures.code_of(error))
    return cloudru.with_canned_text(_classify(reply, "Cloud.ru"))


def _classify(reply: Reply, service: str) -> ModelResponse:
    payload = reply.payload
    if isinstance(payload, (dict, Mapping)):  # the dict first: asking an abstract class takes ten times as long
        choice = first_choice(payload)
        if choice is not None:
            response = _completion(payload, choice, reply, service)
            # Also inside a 400: a gateway of Azure's was seen to answer a filtered completion that way.
            if reply.status < 400 or response["response_metadata"]["outcome"] == "blocked":
                return response
            raise failures.model_error(reply, service, partial=response)
        error = failures.error_of(payload)
        block = failures.block_of(error, reply.status)
        if block is not None:
            return _blocked_prompt(payload, block, reply, failures.code_of(error))
    raise failures.model_error(reply, service)


def _completion(payload: Mapping[str, Any], choice: Mapping[str, Any], reply: Reply, service: str) -> ModelResponse:
    message = mapping(choice.get("message"))
    refusal = text(message.get("refusal"))
    content = text(message.get("content"))
    error = choice.get("error") or payload.get("error")
    metadata = _metadata(payload, choice, reply)
    native = choice.get("finish_reason")
    if native == "error" or (error is not None and isinstance(error, Mapping)):
        response: ModelResponse = {"content": content, "response_metadata": metadata}
        return _broken(response, failures.wrapped(error) or _UNEXPLAINED, reply, service)
    tool_calls = message.get("tool_calls") or ([message["function_call"]] if message.get("function_call") else [])
    if tool_calls:
        metadata["tool_calls"] = list(tool_calls) if isinstance(tool_calls, list) else [tool_calls]
    reasoning = text(message.get("reasoning_content")) or text(message.get("reasoning"))
    if reasoning:
        metadata["reasoning"] = reasoning
    outcome, block = _verdict(payload, choice, metadata, refusal=refusal, empty=not content, tools=bool(tool_calls))
    metadata["outcome"] = outcome
    if block is not None:
        metadata["block"] = block
    if outcome == "blocked":
        metadata["finish_reason"] = "content_filter"
    return {"content": refusal if outcome == "refused" else content, "response_metadata": metadata}


def _verdict(
    payload: Mapping[str, Any],
    choice: Mapping[str, Any],
    metadata: ResponseMetadata,
    *,
    refusal: str,
    empty: bool,
    tools: bool,
) -> tuple[Outcome, Block | None]:
    """The outcome of a completion without an error, by the contract's precedence."""
    finish = metadata["finish_reason"]
    upstream = choice.get("native_finish_reason")
    if finish == "content_filter":
        return "blocked", _filtered(payload, choice)
    if isinstance(upstream, str) and upstream.upper() in BLOCKING_NATIVE_REASONS:
        path = "choices[0].native_finish_reason"
        return "blocked", _block("response", [], "openrouter.native_finish_reason", path, upstream)
    if refusal:
        return "refused", _block("response", [], "openai.refusal", "choices[0].message.refusal", refusal)
    if finish == "tool_calls" or tools:
        return "tool_calls", None
    if finish == "length":
        return "truncated", None
    if empty:
        return "empty", None
    return ("answered" if finish == "stop" else "unknown"), None


def _broken(response: ModelResponse, error: Mapping[str, Any], reply: Reply, service: str) -> ModelResponse:
    """A completion that ended in an error of the provider's: a block or a refusal after all, or a failure."""
    metadata = response["response_metadata"]
    block = failures.block_of(error, reply.status)
    if block is None:
        raise failures.model_error(reply, service, error=error, partial=response)
    refused = block["rule"] == failures.REFUSAL_RULE
    metadata["outcome"] = "refused" if refused else "blocked"
    metadata["finish_reason"] = metadata["finish_reason"] if refused else "content_filter"
    metadata["block"] = {**block, "stage": "response"}
    return response


def _blocked_prompt(payload: Mapping[str, Any], block: Block, reply: Reply, code: str | None) -> ModelResponse:
    metadata = _metadata(payload, {}, reply)
    metadata["native_finish_reason"] = code
    metadata["block"] = block
    refused = block["rule"] == failures.REFUSAL_RULE
    metadata["outcome"] = "refused" if refused else "blocked"
    metadata["finish_reason"] = "stop" if refused else "content_filter"
    return {"content": "", "response_metadata": metadata}


def _filtered(payload: Mapping[str, Any], choice: Mapping[str, Any]) -> Block:
    """Which filter it was, where the payload says so."""
    results = mapping(choice.get("content_filter_results"))
    triggered = list(triggered_categories(results))
    if triggered:
        path = "choices[0].content_filter_results"
        return _block("response", triggered, "azure.completion_filter", path, results)
    for number, item in enumerate(sequence(payload.get("prompt_filter_results"))):
        found = mapping(mapping(item).get("content_filter_results"))
        triggered = list(triggered_categories(found))
        if triggered:
            path = f"prompt_filter_results[{number}].content_filter_results"
            return _block("prompt", triggered, "azure.prompt_filter", path, found)
    native = choice.get("finish_reason")
    rule = "gigachat.blacklist" if native == "blacklist" else "openai.finish_reason"
    return _block("response", [], rule, "choices[0].finish_reason", native)


def _metadata(payload: Mapping[str, Any], choice: Mapping[str, Any], reply: Reply) -> ResponseMetadata:
    native = choice.get("finish_reason")
    finish: FinishReason = FINISH_REASONS.get(native, "unknown") if isinstance(native, str) else "unknown"
    metadata: dict[str, Any] = {
        "finish_reason": finish,
        "native_finish_reason": choice.get("native_finish_reason") or native,
        "request_id": reply.headers.get("x-request-id") or payload.get("id"),
    }
    usage = payload.get("usage")
    if isinstance(usage, (dict, Mapping)):
        metadata["usage"] = usage_of(usage)
        if isinstance(usage.get("cost"), (int, float)):
            metadata["cost"] = usage["cost"]
    for name, key in _PASSED_ON:
        if value := payload.get(key):
            metadata[name] = value
    if logprobs := choice.get("logprobs"):
        metadata["logprobs"] = logprobs
    return metadata  # type: ignore[return-value]  # its keys and types are those of ResponseMetadata, and the extra ones


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Tokens in the contract's names; what the provider does not say is None."""
    read = mapping(usage.get("prompt_tokens_details"))
    written = mapping(usage.get("completion_tokens_details"))
    return {
        "input_tokens": count(usage.get("prompt_tokens")),
        "output_tokens": count(usage.get("completion_tokens")),
        "total_tokens": count(usage.get("total_tokens")),
        "reasoning_tokens": count(written.get("reasoning_tokens")),
        "cached_tokens": count(read.get("cached_tokens")),
    }


def _block(stage: Stage, categories: list[BlockCategory], rule: str, path: str, value: Any) -> Block:
    return {"stage": stage, "categories": categories, "rule": rule, "evidence": {"path": path, "value": value}}
