"""Operations of the mock server. It keeps no state: an operation's id holds all that its readings will say."""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from hivetrace_core.mockserver import WireReply, json_reply

from .dialect_signals import Course
from .payloads import mapping

SLOW_S: Final = 0.15
"""How long an operation that does not end at once takes, or shows itself, or cannot be read."""

_PREFIX: Final = "mock"
_GONE: Final = {"code": 5, "message": "Operation is not found", "details": []}
_BUSY: Final = {"code": 14, "message": "The service is unavailable", "details": []}


class _Packed(NamedTuple):
    """What an id says."""

    begun: float
    course: Course
    end: Mapping[str, Any]


def begun(course: Course, end: Mapping[str, Any]) -> WireReply:
    """The reply to a submission.

    Args:
        course: How the operation goes.
        end: `response` or `error`, as the last reading has it.
    """
    packed = json.dumps([time.time(), course, end], separators=(",", ":"))
    packed_id = base64.urlsafe_b64encode(zlib.compress(packed.encode(), 1)).decode().rstrip("=")
    return json_reply(_operation(f"{_PREFIX}{packed_id}", None))


def reading(operation_id: str) -> WireReply:
    """The reply to a reading of an operation; 404 where the id is not one of ours."""
    found = _unpacked(operation_id)
    if found is None:
        return json_reply(_GONE, 404)
    early = time.time() < found.begun + SLOW_S
    if found.course == "vanished" and not early:
        return json_reply(_GONE, 404)
    if found.course == "flaky" and early:
        return json_reply(_BUSY, 503)
    waiting = found.course == "never" or (found.course in ("slow", "vanished") and early)
    return json_reply(_operation(operation_id, None if waiting else found.end))


def _operation(operation_id: str, end: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "id": operation_id,
        "description": "Async GPT Completion",
        "createdAt": "2026-01-01T00:00:00Z",
        "createdBy": "mock",
        "done": end is not None,
        "metadata": None,
        **(end or {}),
    }


def _unpacked(operation_id: str) -> _Packed | None:
    packed = operation_id.removeprefix(_PREFIX)
    try:
        raw = zlib.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
        started, course, end = json.loads(raw)
    except (ValueError, zlib.error):
        return None
    return _Packed(float(started), course, mapping(end))
