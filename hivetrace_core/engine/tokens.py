"""Estimates of tokens, for the limit on tokens per minute. The provider's own count replaces them afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

BYTES_PER_TOKEN: Final = 4
"""A common rule of thumb for English; two bytes a letter make it cautious enough for Cyrillic."""

EXPECTED_ANSWER: Final = 256
"""Tokens set aside for an answer whose length nobody limited."""

_NOT_TEXT: Final = frozenset({"role", "type", "data", "url"})


def estimate_tokens(prompt: Any, *, answer: int = EXPECTED_ANSWER) -> int:
    """Tokens that a prompt and its answer may use together.

    Args:
        prompt: A prompt or a list of messages.
        answer: Tokens to set aside for the answer.
    """
    return _bytes(prompt) // BYTES_PER_TOKEN + 4 + answer


def used_tokens(response: Mapping[str, Any]) -> int | None:
    """Tokens that a response says it used; None where it does not say."""
    metadata = response.get("response_metadata")
    usage = metadata.get("usage") if isinstance(metadata, Mapping) else None
    if not isinstance(usage, Mapping):
        return None
    total = usage.get("total_tokens")
    if isinstance(total, int):
        return total
    parts = [usage.get(key) for key in ("input_tokens", "output_tokens")]
    known = [part for part in parts if isinstance(part, int)]
    return sum(known) if known else None


def _bytes(value: Any) -> int:
    """Bytes of the text inside a prompt."""
    if type(value) is str:
        return _length(value)
    if type(value) is list:
        # The common prompt, a few messages of plain text, costs no walk through it.
        total = 0
        for message in value:
            content = message.get("content") if type(message) is dict and len(message) == 2 else None
            if type(content) is not str or "role" not in message:
                return _deep_bytes(value)
            total += _length(content)
        return total
    return _deep_bytes(value)


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _deep_bytes(value: Any) -> int:
    """Bytes of the text inside, at any depth; also of a custom model's odd prompts, which may contain themselves."""
    total = 0
    stack = [value]
    seen: set[int] = set()
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            total += _length(value)
        elif isinstance(value, (list, tuple, Mapping)) and id(value) not in seen:
            seen.add(id(value))
            if isinstance(value, Mapping):
                stack.extend(item for key, item in value.items() if key not in _NOT_TEXT)
            else:
                stack.extend(value)
    return total
