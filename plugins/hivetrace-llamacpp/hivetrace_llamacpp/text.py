"""From the bytes of tokens to text: letters that span tokens, and stop texts that do."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """The text of one answer as it grows.

    Text that may turn out to be the beginning of a stop text is held back until that is decided. Bytes that are no
    UTF-8 become U+FFFD.

    Args:
        stops: Texts that end the answer.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self.stopped = False
        """Whether a stop text has come; nothing is taken any more."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = stops
        self._held = ""
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        """All that has been let out."""
        return "".join(self._parts)

    def feed(self, raw: bytes) -> str:
        """Take a token's bytes; returns the text that is certain by now."""
        return self._take(self._decoder.decode(raw))

    def finish(self) -> str:
        """The answer ends here: what was held back, with U+FFFD for half a letter."""
        rest = self._take(self._decoder.decode(b"", final=True)) + self._held
        if self._held:
            self._parts.append(self._held)
            self._held = ""
        return rest

    def _take(self, new: str) -> str:
        if self.stopped or not new:
            return ""
        if self._stops:
            new = self._held + new
            ends = [at for stop in self._stops if (at := new.find(stop)) >= 0]
            if ends:
                self.stopped = True
                self._held = ""
                new = new[: min(ends)]
            else:
                undecided = max(_overlap(new, stop) for stop in self._stops)
                self._held = new[len(new) - undecided :]
                new = new[: len(new) - undecided]
        if new:
            self._parts.append(new)
        return new


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of the text with which the stop text begins."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if stop.startswith(text[-length:]):
            return length
    return 0
