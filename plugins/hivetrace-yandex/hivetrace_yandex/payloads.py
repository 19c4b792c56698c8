"""Reading JSON that may have any shape: nothing here raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_LONGEST_NUMBER: Final = 18
"""Digits of a count; int() of a much longer text is slow, and raises."""


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> Sequence[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else ()


def count(value: Any) -> int | None:
    """A whole number, which the service writes as a string; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text(value: Any) -> str:
    """The value where it is text, else none."""
    return value if isinstance(value, str) else ""


def completion_of(payload: Any) -> tuple[Mapping[str, Any] | None, str]:
    """The completion in a payload, and the path to it: under `result`, in an operation under `response`, or bare."""
    found = mapping(payload)
    for key in ("result", "response"):
        if isinstance(found.get(key), Mapping):
            return found[key], f"{key}."
    return (found, "") if "alternatives" in found else (None, "")


def first_alternative(completion: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The first alternative of a completion; the service generates no more than one."""
    return next((item for item in sequence(completion.get("alternatives")) if isinstance(item, Mapping)), None)
