"""From a whole answer to the server-sent events that it would have been."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hivetrace_core.mockserver import words_of

from .payloads import first_candidate, mapping, parts_of


def events_of(payload: Mapping[str, Any], *, until: int | None = None) -> list[bytes]:
    """The events of a stream, one piece each; the last one says how it ends.

    Args:
        payload: A whole answer, or a prompt's block, or an error.
        until: The text stops after so many pieces and nothing ends it; None for all of it.
    """
    return [event(chunk) for chunk in _chunks(payload, until)]


def event(chunk: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(chunk)}\r\n\r\n".encode()


def bare(payload: Mapping[str, Any]) -> bytes:
    """JSON in the middle of a stream that is no event, over several lines."""
    return json.dumps(payload, indent=2).encode() + b"\n"


def _chunks(payload: Mapping[str, Any], until: int | None) -> Iterator[dict[str, Any]]:
    candidate = first_candidate(payload)
    if candidate is None:
        yield dict(payload)
        return
    base = {key: value for key, value in payload.items() if key not in ("candidates", "usageMetadata")}
    role = mapping(candidate.get("content")).get("role", "model")
    for number, part in enumerate(_pieces(candidate)):
        if until is not None and number >= until:
            return
        yield {"candidates": [{"content": {"parts": [part], "role": role}, "index": 0}], **base}
    if until is None:
        end = {key: value for key, value in candidate.items() if key != "content"}
        yield {"candidates": [end], **base, "usageMetadata": payload.get("usageMetadata")}


def _pieces(candidate: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for part in parts_of(candidate):
        words = words_of(part["text"]) if "text" in part else []
        if len(words) < 2:
            yield part
        else:
            yield from ({**part, "text": word} for word in words)
