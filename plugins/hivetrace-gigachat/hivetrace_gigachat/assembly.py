"""From the chunks of a stream to the payload that the whole answer would have had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hivetrace_core import Reply

from .failures import error_of
from .payloads import first_choice, mapping, text


class Assembly:
    """Collects chunks.

    Args:
        status: HTTP status of the stream.
        headers: Its headers.

    Attributes:
        text: Content received so far.
        ended: Whether the end mark has come.
    """

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self._status = status
        self._headers = headers
        self._top: dict[str, Any] = {}
        self._choice: dict[str, Any] = {}
        self._message: dict[str, Any] = {}
        self._reasoning: list[str] = []
        self._error: Mapping[str, Any] = {}
        self.text = ""
        self.ended = False

    @property
    def failed(self) -> bool:
        """Whether a chunk carried an error."""
        return bool(self._error)

    @property
    def complete(self) -> bool:
        """Whether the answer came to an end that somebody meant: an end mark, a finish reason, or an error."""
        return self.ended or self.failed or self._choice.get("finish_reason") is not None

    def add(self, chunk: Any) -> str:
        """Take a chunk in; returns the text that it adds."""
        found = mapping(chunk)
        self._error = error_of(found) or self._error
        self._top.update(
            (key, value) for key, value in found.items() if key not in ("choices", "error") and value is not None
        )
        choice = first_choice(found)
        if choice is None:
            return ""
        # A late chunk may take back what an early one said: the filter's word comes after the text.
        self._choice.update((key, value) for key, value in choice.items() if key != "delta" and value is not None)
        delta = mapping(choice.get("delta"))
        self._reasoning.append(text(delta.get("reasoning_content")))
        for key in ("function_call", "functions_state_id", "refusal"):
            if delta.get(key):
                self._message[key] = delta[key]
        added = text(delta.get("content"))
        self.text += added
        return added

    def reply(self) -> Reply:
        """The whole, as if it had come in one piece."""
        message = {"role": "assistant", "content": self.text, **self._message}
        if any(self._reasoning):
            message["reasoning_content"] = "".join(self._reasoning)
        payload = {**self._top, "object": "chat.completion", "choices": [{**self._choice, "message": message}]}
        if self._error:
            payload["error"] = self._error
        return Reply(payload, self._status, self._headers)

    def partial(self) -> dict[str, Any] | None:
        """What was received, for the error of a stream that broke off."""
        if not self.text:
            return None
        return {"content": self.text, "response_metadata": {"model_name": self._top.get("model")}}
