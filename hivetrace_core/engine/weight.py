"""Rough bytes of what an open prompt holds, for the bound on memory."""

from __future__ import annotations

from collections.abc import Mapping
from sys import getsizeof
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..responses import Reply


def weigh(value: Any) -> int:
    """Bytes of a prompt or a payload: its strings, at any depth. Total: also where a list contains itself."""
    total = 0
    stack = [value]
    seen: set[int] = set()
    while stack:
        value = stack.pop()
        if isinstance(value, (str, bytes, bytearray)):
            total += getsizeof(value)
        elif not isinstance(value, (list, tuple, Mapping)):
            total += 32
        elif id(value) not in seen:
            seen.add(id(value))
            total += 64
            stack.extend(value.values() if isinstance(value, Mapping) else value)
    return total


def weigh_result(result: Any, reply: Reply | None) -> int:
    """Bytes of a response and of the raw reply that is kept with it."""
    content = result.get("content") if isinstance(result, Mapping) else result
    size = 512 + (getsizeof(content) if type(content) is str else weigh(content))
    return size if reply is None else size + weigh(reply.payload)
