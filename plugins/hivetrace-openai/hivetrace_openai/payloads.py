"""Reading JSON that may have any shape: nothing here raises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hivetrace_core import BlockCategory


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is an object, else an empty one."""
    # Decoded JSON is of the plain types, and asking an abstract class takes ten times as long.
    return value if type(value) is dict or isinstance(value, Mapping) else {}


def sequence(value: Any) -> Sequence[Any]:
    """The value where it is a list, else an empty one."""
    return value if type(value) is list or (isinstance(value, Sequence) and not isinstance(value, (str, bytes))) else ()


def count(value: Any) -> int | None:
    """The value where it is a whole number."""
    return value if type(value) is int else None


def text(content: Any) -> str:
    """Text of a `content`: a string, or the text parts of a list."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part["text"] for part in sequence(content) if isinstance(mapping(part).get("text"), str))


def first_choice(payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The first choice of a completion or of a chunk."""
    for choice in sequence(payload.get("choices")):
        if type(choice) is dict or isinstance(choice, Mapping):
            return choice
    return None


def triggered_categories(results: Mapping[str, Any]) -> Iterator[BlockCategory]:
    """The categories of a content-filter result that were filtered (its annotations of harmless text are not)."""
    for name, verdict in results.items():
        found = mapping(verdict)
        if found.get("filtered") is True:
            severity = found.get("severity")
            yield {"name": str(name), "severity": str(severity) if severity is not None else None}
