"""From a whole completion to the server-sent events that it would have been."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hivetrace_core.mockserver import words_of

from .payloads import first_choice, mapping, sequence, text

_DONE: Final = b"data: [DONE]\n\n"


def pieces_of(
    payload: Mapping[str, Any], *, usage: bool, comment: str | None = None, until: int | None = None
) -> list[bytes]:
    """The events of a stream, one piece each.

    Args:
        payload: A whole completion, or an error object that comes where its first chunk should.
        usage: Whether the tokens are told in a chunk of their own.
        comment: What a router says while it waits.
        until: The text stops after so many pieces; what ends the completion follows at once.
    """
    pieces = [f": {comment}\n\n".encode()] if comment else []
    pieces.extend(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in _chunks(payload, usage=usage, until=until))
    choice = mapping(first_choice(payload))
    if not payload.get("error") and not choice.get("error"):
        pieces.append(_DONE)
    return pieces


def _chunks(payload: Mapping[str, Any], *, usage: bool, until: int | None) -> Iterator[dict[str, Any]]:
    once = ("choices", "usage", "error", "object", "prompt_filter_results")
    base = {key: value for key, value in payload.items() if key not in once} | {"object": "chat.completion.chunk"}
    if "prompt_filter_results" in payload:
        yield {**base, "choices": [], "prompt_filter_results": payload["prompt_filter_results"]}
    choice = first_choice(payload)
    if choice is None:
        yield {**base, "choices": [], "error": payload.get("error")}
        return
    message = mapping(choice.get("message"))
    index = choice.get("index", 0)
    for number, delta in enumerate(_deltas(message)):
        if until is not None and number > until:  # the first one has the role and no text
            break
        yield {**base, "choices": [{"index": index, "delta": delta, "finish_reason": None}]}
    last = {key: value for key, value in choice.items() if key not in ("message", "error")}
    end: dict[str, Any] = {**base, "choices": [{**last, "delta": {}}]}
    if choice.get("error"):
        end["error"] = choice["error"]
    yield end
    if usage and not choice.get("error"):
        yield {**base, "choices": [], "usage": payload.get("usage")}


def _deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for key in ("reasoning", "reasoning_content", "content", "refusal"):
        for word in words_of(text(message.get(key))):
            yield {key: word}
    for number, call in enumerate(sequence(message.get("tool_calls"))):
        function = call["function"]
        yield {"tool_calls": [{**call, "index": number, "function": {"name": function["name"], "arguments": ""}}]}
        for half in _halves(function["arguments"]):
            yield {"tool_calls": [{"index": number, "function": {"arguments": half}}]}
    if message.get("function_call"):
        yield {"function_call": message["function_call"]}


def _halves(arguments: str) -> tuple[str, str]:
    middle = len(arguments) // 2
    return arguments[:middle], arguments[middle:]
