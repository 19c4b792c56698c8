"""Request headers: which are valid, and which are the transport's own business."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")

_TRANSPORT_OWN: Final = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that describe the message or the connection itself: another value than the transport's breaks it."""


def check_header(where: str, name: str, value: str) -> None:
    """Refuse what HTTP cannot carry.

    Raises:
        ValueError: with the sentence for the user; the value, which may be a key, is not in it.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{where}: {name!r} is no name for a header")
    if name.lower() in _TRANSPORT_OWN:
        raise ValueError(f"{where}: the header {name} is set by the transport and cannot be replaced")
    if _FORBIDDEN.search(value) is not None:
        raise ValueError(
            f"{where}: the value of {name} contains a line break or control character; check what was pasted"
        )


def lower_names(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Response headers as a dict, names in lower case; values of a repeated one joined by commas (RFC 9110, 5.3)."""
    lowered: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        lowered[key] = f"{lowered[key]}, {value}" if key in lowered else value
    return lowered


def merged(*layers: Mapping[str, str]) -> dict[str, str]:
    """Request headers, later layers over earlier ones whatever the case of their names."""
    names: dict[str, str] = {}
    values: dict[str, str] = {}
    for layer in layers:
        for name, value in layer.items():
            values[names.setdefault(name.lower(), name)] = value
    return values
