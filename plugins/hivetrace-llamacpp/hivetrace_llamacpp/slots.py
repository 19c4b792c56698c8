"""One sequence that is being read or written."""

from __future__ import annotations

from dataclasses import dataclass, field

from .cells import Cells, Extent
from .requests import Answer, Finish, Request
from .sampling import Sampler
from .text import TextStream

NOTHING = -1


@dataclass(eq=False, slots=True)
class Slot:
    """A sequence and the request that it answers.

    Attributes:
        sequence: Its id.
        request: What it answers.
        sampler: Chooses its tokens.
        text: What it has written.
        limit: Tokens that the answer may have, by `max_tokens` and by the window.
        cached: Prompt tokens that it did not have to read.
        base: The cells that others may hold, too.
        settled: How many those are.
        promised: Cells beyond those.
        read: Cells that are filled.
        next_token: Chosen, not yet computed.
        row: Whose logits it waits for, in the step that is being made.
        taken: Prompt tokens of it in that step.
        output: What it has generated.
    """

    sequence: int
    request: Request
    sampler: Sampler
    text: TextStream
    limit: int
    cached: int
    base: Extent | None
    settled: int
    promised: int
    read: int
    next_token: int = NOTHING
    row: int = NOTHING
    taken: int = 0
    output: list[int] = field(default_factory=list)

    @property
    def unread(self) -> int:
        """Prompt tokens that are still to be read."""
        return max(len(self.request.tokens) - self.read, 0)

    @property
    def has_room(self) -> bool:
        """Whether it may fill one more cell."""
        return self.read < self.settled + self.promised

    def settle(self, cells: Cells) -> Extent | None:
        """Make what it has read of the prompt an extent that others can hold; returns all of that."""
        ready = min(self.read, len(self.request.tokens))
        if ready > self.settled:
            self.base = cells.share(ready, self.base)
            self.promised -= ready - self.settled
            self.settled = ready
        return self.base

    def answer(self, finish: Finish) -> Answer:
        """What it has written, as a finished answer."""
        return Answer(self.text.text, finish, self.output, len(self.request.tokens), self.cached)
