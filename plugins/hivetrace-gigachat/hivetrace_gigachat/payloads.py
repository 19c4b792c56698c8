"""Reading JSON that may have any shape: nothing here raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> Sequence[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else ()


def count(value: Any) -> int | None:
    """The value where it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text(content: Any) -> str:
    """Text of a `content`: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in sequence(content) if isinstance(mapping(part).get("text"), str))


def first_choice(payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The first choice of a completion or of a chunk."""
    return next((choice for choice in sequence(payload.get("choices")) if isinstance(choice, Mapping)), None)
