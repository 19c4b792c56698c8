"""From the lines of a stream to the payload that the whole answer would have had.

Each line has the whole text so far, not what is new. A filter may replace all of it: then what was handed on cannot be
taken back, and the metadata of the last chunk say what the answer is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hivetrace_core import ModelError, ModelResponse, Reply

from .failures import error_of
from .payloads import completion_of, first_alternative, mapping
from .signals import PARTIAL


class Assembly:
    """Collects the lines of one stream.

    Args:
        status: HTTP status of the stream.
        headers: Its headers.

    Attributes:
        shown: The text that was handed on.
        failed: Whether a line was an error.
    """

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self._status = status
        self._headers = headers
        self._last: Any = None
        self._result: dict[str, Any] = {}
        self.shown = ""
        self.failed = False

    @property
    def complete(self) -> bool:
        """Whether somebody meant the end: a status other than PARTIAL, an error, or something that is no stream."""
        if self.failed or not self._result:
            return True
        return bool(mapping(first_alternative(self._result)).get("status") != PARTIAL)

    def add(self, line: str) -> str:
        """Take a line in; returns the text to hand on, which is nothing where the text so far was replaced.

        Raises:
            ModelError: kind `response_format`; the line is not JSON.
        """
        try:
            self._last = json.loads(line)
        except ValueError:
            raise ModelError(f"The stream has a line that is not JSON: {line[:200]}", kind="response_format") from None
        completion, _ = completion_of(self._last)
        if mapping(self._last).get("error") or (completion is None and error_of(self._last)):
            self.failed = True
        if completion is None or self.failed:
            return ""
        self._result.update(completion)
        text = self._text()
        if not text.startswith(self.shown):
            return ""
        added = text[len(self.shown) :]
        self.shown = text
        return added

    def reply(self) -> Reply:
        """The whole, as if it had come in one piece."""
        if self.failed and self._result:
            return Reply({"error": error_of(self._last), "result": self._result}, self._status, self._headers)
        return Reply({"result": self._result} if self._result else self._last, self._status, self._headers)

    def partial(self) -> dict[str, Any] | None:
        """What was received, for the error of a stream that broke off."""
        return {"content": self.shown} if self.shown else None

    def settle(self, response: ModelResponse) -> None:
        """Say in the metadata of the whole answer what the chunks could not: that the text was replaced.

        `replacement_text` is then the answer, in place of all that was handed on.
        """
        metadata = response["response_metadata"]
        if response["content"] == self.shown:
            return
        metadata["replacement_text"] = response["content"]  # type: ignore[typeddict-unknown-key]  # a field of our own
        block = metadata.get("block")
        if block is not None and self.shown:
            block["stage"] = "response"

    def _text(self) -> str:
        text = mapping(mapping(first_alternative(self._result)).get("message")).get("text")
        return text if isinstance(text, str) else ""
