"""From the lines of a stream to the payload that the whole answer would have had."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from hivetrace_core import ModelError, Reply

from .payloads import items, mapping, text

_PARTS: Final = frozenset({"message", "done", "error"})


class Assembly:
    """Collects the objects of a stream.

    Args:
        status: HTTP status of the stream.
        headers: Its headers.

    Attributes:
        over: Whether the last object has come: `done: true`, or an error.
    """

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self._status = status
        self._headers = headers
        self._top: dict[str, Any] = {}
        self._content: list[str] = []
        self._thinking: list[str] = []
        self._tool_calls: list[Any] = []
        self._logprobs: list[Any] = []
        self.over = False

    def add(self, line: str) -> str:
        """Take a line in; returns the text that it adds to the answer.

        Raises:
            ModelError: it is broken off in the middle (`connection`), or no part of an answer (`response_format`).
        """
        found = mapping(_decoded(line))
        if not found.keys() & _PARTS:
            raise ModelError(
                f"The stream has a line that is no part of an answer: {line[:200]}", kind="response_format"
            )
        # A late object may say what an early one did not know; the message comes in pieces.
        self._top.update((key, value) for key, value in found.items() if key not in ("message", "logprobs"))
        self._logprobs.extend(items(found.get("logprobs")))
        message = mapping(found.get("message"))
        self._thinking.append(text(message.get("thinking")))
        self._tool_calls.extend(items(message.get("tool_calls")))
        self.over = found.get("done") is True or bool(found.get("error"))
        added = text(message.get("content"))
        self._content.append(added)
        return added

    def partial(self) -> dict[str, Any] | None:
        """What was received, for the error of a stream that broke off; None where that is no text."""
        content = "".join(self._content)
        return {"content": content, "response_metadata": {"model_name": self._top.get("model")}} if content else None

    def reply(self) -> Reply:
        """The whole, as if it had come in one piece; `done` is False where the end is missing."""
        if not self._content and "ndjson" not in self._headers.get("content-type", ""):
            return Reply(None, self._status, self._headers)  # an empty body, and not from Ollama
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._content)}
        thinking = "".join(self._thinking)
        if thinking:
            message["thinking"] = thinking
        if self._tool_calls:
            message["tool_calls"] = self._tool_calls
        payload = {**self._top, "message": message, "done": self._top.get("done") is True}
        if self._logprobs:
            payload["logprobs"] = self._logprobs
        return Reply(payload, self._status, self._headers)


def _decoded(line: str) -> Any:
    try:
        # Some servers write NaN among log probabilities; as a word the payload stays JSON-ready.
        return json.loads(line, parse_constant=str)
    except (ValueError, RecursionError):
        if line.startswith("{"):
            raise ModelError("Ollama's stream broke off in the middle of a line", kind="connection") from None
        raise ModelError(f"The stream has a line that is not JSON: {line[:200]}", kind="response_format") from None
