"""Reading JSON that may have any shape: nothing here raises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from hivetrace_core import BlockCategory

_HARMLESS: Final = frozenset({None, "NEGLIGIBLE", "HARM_PROBABILITY_UNSPECIFIED", "HARM_SEVERITY_NEGLIGIBLE"})


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> Sequence[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else ()


def objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """The objects of a list; what else it has, and what is no list, is left out."""
    return (item for item in sequence(value) if isinstance(item, Mapping))


def word(value: Any) -> str | None:
    """The value where it is a text with something in it."""
    return value if isinstance(value, str) and value else None


def count(value: Any) -> int | None:
    """The value where it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def first_candidate(payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The first candidate of an answer or of a chunk."""
    return next(objects(payload.get("candidates")), None)


def parts_of(candidate: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The parts of a candidate's content."""
    return objects(mapping(candidate.get("content")).get("parts"))


def text_of(candidate: Mapping[str, Any], *, thought: bool = False) -> str:
    """The text of a candidate: the answer's, or that of its thoughts."""
    return "".join(
        part["text"]
        for part in parts_of(candidate)
        if isinstance(part.get("text"), str) and (part.get("thought") is True) is thought
    )


def blocking_categories(ratings: Any) -> list[BlockCategory]:
    """The categories of safety ratings that speak for a block.

    Those that are marked as blocked; where none is, those that are more than negligible, because older models do not
    mark them.
    """
    rated = list(objects(ratings))
    marked = [rating for rating in rated if rating.get("blocked") is True]
    found = marked or [rating for rating in rated if _severity(rating) not in _HARMLESS]
    return [
        {"name": name, "severity": _severity(rating)}
        for rating in found
        if (name := word(rating.get("category"))) is not None
    ]


def _severity(rating: Mapping[str, Any]) -> str | None:
    """How likely the harm is; how severe, where only that is said."""
    return word(rating.get("probability")) or word(rating.get("severity"))
