"""From the chunks of a stream to the payload that the whole answer would have had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hivetrace_core import Reply

from .payloads import first_candidate, mapping, parts_of, text_of, word

_APART: Final = frozenset({"candidates", "error"})


class Assembly:
    """Collects chunks.

    Args:
        status: HTTP status of the stream.
        headers: Its headers.

    Attributes:
        head: Status and headers.
        text: Text of the answer received so far.
        failed: Whether a chunk carried an error.
    """

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self.head = (status, headers)
        self._top: dict[str, Any] = {}
        self._candidate: dict[str, Any] = {}
        self._content: dict[str, Any] = {}
        self._parts: list[tuple[dict[str, Any], list[str]]] = []
        self._error: Any = None
        self.text = ""

    @property
    def failed(self) -> bool:
        """Whether a chunk carried an error."""
        return self._error is not None

    @property
    def complete(self) -> bool:
        """Whether somebody meant it to end: a finish reason, a blocked prompt, or an error.

        The format has no end mark, and a finish reason may come before more text: only the end of the body ends it.
        """
        blocked = mapping(self._top.get("promptFeedback")).get("blockReason")
        return self.failed or bool(blocked) or word(self._candidate.get("finishReason")) is not None

    def add(self, chunk: Any) -> str:
        """Take a chunk in; returns the text that it adds."""
        found = mapping(chunk)
        self._top.update((key, value) for key, value in found.items() if key not in _APART and value is not None)
        if found.get("error"):
            self._error = found["error"]
        candidate = first_candidate(found)
        if candidate is None:
            return ""
        # The last word counts: a filter's reason comes after what looked like an end.
        self._candidate.update(
            (key, value) for key, value in candidate.items() if key != "content" and value is not None
        )
        content = mapping(candidate.get("content"))
        self._content.update((key, value) for key, value in content.items() if key != "parts")
        for part in parts_of(candidate):
            self._add_part(part)
        added = text_of(candidate)
        self.text += added
        return added

    def reply(self) -> Reply:
        """The whole, as if it had come in one piece."""
        payload = dict(self._top)
        if self._candidate or self._parts:
            parts = [{**part, "text": "".join(pieces)} if pieces else part for part, pieces in self._parts]
            content = {**self._content, "parts": parts} if parts else self._content
            payload["candidates"] = [{**self._candidate, "content": content} if content else self._candidate]
        if self._error is not None:
            payload["error"] = self._error
        return Reply(payload, *self.head)

    def partial(self) -> dict[str, Any] | None:
        """What was received, for the error of a stream that broke off."""
        if not self.text:
            return None
        return {"content": self.text, "response_metadata": {"model_name": self._top.get("modelVersion")}}

    def _add_part(self, part: Mapping[str, Any]) -> None:
        """Pieces of one text become one part again; anything else stays by itself."""
        text = part.get("text")
        if not isinstance(text, str):
            self._parts.append((dict(part), []))
            return
        others = {key: value for key, value in part.items() if key != "text"}
        last, pieces = self._parts[-1] if self._parts else ({}, [])
        if pieces and last.get("thought") == part.get("thought"):
            pieces.append(text)
            last.update(others)
        else:
            self._parts.append((others, [text]))
