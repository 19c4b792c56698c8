"""From the chunks of a stream to the payload that the whole answer would have had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hivetrace_core import Reply

from .payloads import first_choice, mapping, sequence, text


class Assembly:
    """Collects chunks.

    Args:
        status: HTTP status of the stream.
        headers: Its headers.

    Attributes:
        text: Content received so far.
        ended: Whether the end mark has come.
        failed: Whether a chunk carried an error.
    """

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self._status = status
        self._headers = headers
        self._top: dict[str, Any] = {}
        self._choice: dict[str, Any] = {}
        self._parts: dict[str, list[str]] = {}
        self._tools: dict[int, dict[str, Any]] = {}
        self._error: Any = None
        self.text = ""
        self.ended = False

    @property
    def failed(self) -> bool:
        """Whether a chunk carried an error."""
        return self._error is not None

    @property
    def complete(self) -> bool:
        """Whether the answer came to an end that somebody meant: an end mark, a finish reason, or an error."""
        return self.ended or self.failed or self._choice.get("finish_reason") is not None

    def add(self, chunk: Any) -> str:
        """Take a chunk in; returns the text that it adds."""
        found = mapping(chunk)
        self._top.update(
            (key, value) for key, value in found.items() if key not in ("choices", "error") and value is not None
        )
        if found.get("error"):
            self._error = found["error"]
        choice = first_choice(found)
        if choice is None:
            return ""
        if choice.get("error"):
            self._error = choice["error"]
        # A late chunk may take back what an early one said: the filter's word comes after `stop`.
        self._choice.update((key, value) for key, value in choice.items() if key != "delta" and value is not None)
        delta = mapping(choice.get("delta"))
        for key in ("refusal", "reasoning", "reasoning_content"):
            if isinstance(delta.get(key), str):
                self._parts.setdefault(key, []).append(delta[key])
        for call in sequence(delta.get("tool_calls")):
            self._add_tool_call(mapping(call))
        added = text(delta.get("content"))
        self.text += added
        return added

    def reply(self) -> Reply:
        """The whole, as if it had come in one piece."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        message.update((key, "".join(pieces)) for key, pieces in self._parts.items())
        if self._tools:
            message["tool_calls"] = [self._tools[index] for index in sorted(self._tools)]
        payload = {**self._top, "object": "chat.completion", "choices": [{**self._choice, "message": message}]}
        if self._error is not None:
            payload["choices"][0]["error"] = self._error
        return Reply(payload, self._status, self._headers)

    def partial(self) -> dict[str, Any] | None:
        """What was received, for the error of a stream that broke off."""
        return (
            {"content": self.text, "response_metadata": {"model_name": self._top.get("model")}} if self.text else None
        )

    def _add_tool_call(self, piece: Mapping[str, Any]) -> None:
        index = piece.get("index")
        call = self._tools.setdefault(
            index if isinstance(index, int) else len(self._tools),
            {"id": None, "type": "function", "function": {"name": "", "arguments": ""}},
        )
        if piece.get("id"):
            call["id"] = piece["id"]
        function = mapping(piece.get("function"))
        for key in ("name", "arguments"):
            if isinstance(function.get(key), str):
                call["function"][key] += function[key]
