"""Rough bytes of what an open prompt holds, for the bound on memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ..responses import Reply

_PLAIN: Final = frozenset({int, float, bool, type(None)})  # asking an abstract class takes ten times as long


def weigh(value: Any) -> int:
    """Bytes of a prompt or a payload: its strings, at any depth. Total: also where a list contains itself."""
    total = 0
    stack: list[Iterable[Any]] = [(value,)]
    seen: set[int] = set()
    while stack:
        for item in stack.pop():
            kind = type(item)
            if kind is str:
                total += getsizeof(item)
            elif kind in _PLAIN:
                total += 32
            elif isinstance(item, (dict, list, tuple, Mapping)):
                if id(item) not in seen:
                    seen.add(id(item))
                    total += 64
                    stack.append(item.values() if isinstance(item, (dict, Mapping)) else item)
            else:
                total += getsizeof(item) if isinstance(item, (str, bytes, bytearray)) else 32
    return total


_SMALL_BODY: Final = 4096
_OBJECTS_PER_BODY: Final = 4
"""A body of JSON takes about four times its bytes as objects. For small ones that will do: a walk through each of them
would cost more than all else that the window does with it."""


def weigh_result(result: Any, reply: Reply | None) -> int:
    """Bytes of a response and of the raw reply that is kept with it."""
    content = result.get("content") if isinstance(result, (dict, Mapping)) else result
    size = 512 + (getsizeof(content) if type(content) is str else weigh(content))
    if reply is None:
        return size
    if reply.size is not None and reply.size <= _SMALL_BODY:
        return size + _OBJECTS_PER_BODY * reply.size
    return size + weigh(reply.payload)
