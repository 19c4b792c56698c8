"""The lines of a stream, and the JSON in them.

Chunks come as server-sent events. An error in the middle may come as bare JSON over several lines, and a gateway may
answer with one JSON object or list in place of events; a parser of events alone would overlook both.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from hivetrace_core import ModelError

_FIELD: Final = re.compile(r"(?:event|id|retry)?:")
_decode: Final = json.JSONDecoder(parse_constant=str).decode


class StreamLines:
    """Takes the lines of a stream in, one after the other.

    Attributes:
        events: How many chunks have come as events.
    """

    def __init__(self) -> None:
        self._pending: list[str] = []
        self._bare: list[str] = []
        self.events = 0

    def feed(self, line: str) -> list[Any]:
        """The chunks that are complete with this line.

        Raises:
            ModelError: kind `response_format`; an event is not JSON.
        """
        if not line.startswith("data:"):
            if not _FIELD.match(line):
                self._bare.append(line)
            return []
        data = line[5:].strip()
        self._pending.append(data)
        try:
            chunk = _decode("\n".join(self._pending))
        except (ValueError, RecursionError):
            # An event may go on over several lines. One that is followed by a whole one was none.
            if len(self._pending) > 1 and _is_object(data):
                raise self._not_json() from None
            return []
        self._pending.clear()
        self.events += 1
        return [chunk]

    def end(self) -> list[Any]:
        """What came as bare JSON, decoded: the chunks of a list, or one; nothing where it is no JSON.

        Raises:
            ModelError: kind `response_format`; the last event is not even the beginning of an object.
        """
        if self._pending and not self._pending[0].startswith("{"):
            raise self._not_json()
        whole = self.bare()
        return whole if isinstance(whole, list) else [] if whole is None or isinstance(whole, str) else [whole]

    def bare(self) -> Any:
        """The lines that belong to no event: decoded JSON, or their text, or None where there is none."""
        text = "\n".join(self._bare)
        if not text:
            return None
        try:
            return _decode(text)
        except (ValueError, RecursionError):
            return text

    def _not_json(self) -> ModelError:
        return ModelError(f"The stream has an event that is not JSON: {self._pending[0][:200]}", kind="response_format")


def _is_object(text: str) -> bool:
    try:
        return isinstance(_decode(text), dict)
    except (ValueError, RecursionError):
        return False
