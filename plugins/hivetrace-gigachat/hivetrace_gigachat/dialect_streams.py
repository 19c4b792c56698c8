"""From a whole completion to the server-sent events that it would have been."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hivetrace_core.mockserver import words_of

from .payloads import first_choice, mapping, text

_DONE: Final = b"data: [DONE]\n\n"


def pieces_of(
    payload: Mapping[str, Any], *, error: Mapping[str, Any] | None = None, until: int | None = None
) -> list[bytes]:
    """The events of a stream, one piece each.

    Args:
        payload: A whole completion of v1.
        error: An error object that ends the stream in place of its last chunk.
        until: The text stops after so many pieces; what ends the completion follows at once.
    """
    chunks = list(_chunks(payload, until=until, ends=error is None))
    if error is not None:
        chunks.append(dict(error))
    pieces = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
    return pieces if error is not None else [*pieces, _DONE]


def _chunks(payload: Mapping[str, Any], *, until: int | None, ends: bool) -> Iterator[dict[str, Any]]:
    base = {key: value for key, value in payload.items() if key not in ("choices", "usage", "object")}
    base["object"] = "chat.completion"
    choice = mapping(first_choice(payload))
    message = mapping(choice.get("message"))
    for number, delta in enumerate(_deltas(message)):
        if until is not None and number >= until:
            break
        yield {**base, "choices": [{"index": 0, "delta": delta}]}
    if ends:
        # The last chunk: no text, but the finish reason and the tokens.
        others = {key: value for key, value in message.items() if key not in ("content", "reasoning_content", "role")}
        last = {"index": 0, "delta": {"content": "", **others}, "finish_reason": choice.get("finish_reason")}
        yield {**base, "choices": [last], "usage": payload.get("usage")}


def _deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key in ("reasoning_content", "content"):
        for word in words_of(text(message.get(key))):
            yield {"role": "assistant", key: word}
