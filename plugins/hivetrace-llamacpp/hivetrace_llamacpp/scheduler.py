"""Which sequence does what in the next step.

Each step computes one token for every sequence that writes, and fills the rest with pieces of prompts.
"""

from __future__ import annotations

from typing import Final

from hivetrace_core import ModelError

from .admission import UNBOUNDED, Admission, Post
from .cells import Cells
from .context import Context
from .prefixes import WORTH_SHARING, PrefixCache
from .requests import Event, Finish, Request
from .sampling import GrammarError
from .slots import NOTHING, Slot
from .statistics import Statistics

FURTHER_PROMISE: Final = 128
"""Cells by which the promise to an answer without `max_tokens` grows."""

NO_CELLS: Final = 1
"""llama.cpp's code for a step that found no place in the cache; nothing has changed then."""

ABORTED: Final = 2
"""llama.cpp's code for a computation that was ended from outside."""

LEAST_CHUNK: Final = 32
"""Prompt tokens to which a step is cut down when it finds no place in one piece."""


class Scheduler:
    """Answers requests on one context. Belongs to the engine's thread.

    Args:
        context: Loaded, with nothing in it.
        post: Takes pieces of text and results.
    """

    def __init__(self, context: Context, post: Post) -> None:
        layout = context.layout
        self.statistics = Statistics()
        self._context = context
        self._post = post
        # Sequences with buffers of their own have nothing to divide.
        self._cells = Cells(context.cells if layout.unified else UNBOUNDED)
        self._prefixes = PrefixCache(context, self._cells, range(layout.slots, layout.slots + layout.prefixes))
        self._free = list(range(layout.slots))
        self._admission = Admission(context, self._cells, self._prefixes, post, self.statistics, self._free)
        self._active: list[Slot] = []
        self._chunk = context.batch.capacity
        self._broken = False

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._active or self._admission.waiting)

    @property
    def hungry(self) -> bool:
        """Whether another request could begin at once."""
        return bool(self._admission.free) and not self._admission.waiting

    def add(self, request: Request) -> None:
        """Take a request; its prompt fits the window."""
        self._admission.add(request)

    def step(self) -> int:
        """Compute one step; returns how many answers have ended.

        Raises:
            ModelError: the context failed, was made again, and failed at once.
        """
        active = len(self._active)
        self._drop_cancelled()
        self._admission.admit(self._active)
        if not self._active:
            if self._admission.stuck:
                self._refuse_one()
            return active
        self._fill()
        if self._context.batch.size == 0:
            self._make_one_end()
        elif self._compute():
            self._advance()
        return max(active - len(self._active), 0)

    def fail_all(self, error: ModelError) -> None:
        """End everything with an error, for good: the context is given up, and may be what failed."""
        for slot in self._active:
            slot.sampler.close()
            self._post(slot.request, error)
        self._active.clear()
        while (request := self._admission.take_first()) is not None:
            if not request.cancelled:
                self._post(request, error)

    def _refuse_one(self) -> None:
        """Nobody is at work, and the first request still got no cells: it never would."""
        request = self._admission.take_first()
        if request is not None and not request.cancelled:
            error = ModelError("The cache of the context is too small for this prompt", kind="server", retryable=False)
            self._post(request, error)

    # One step

    def _fill(self) -> None:
        batch = self._context.batch
        batch.clear()
        for slot in self._active:
            slot.row, slot.taken = NOTHING, 0
            if slot.next_token != NOTHING and (slot.has_room or self._grow(slot)):
                slot.row = batch.add_token(slot.next_token, slot.read, slot.sequence)
        left = min(batch.room, self._chunk)
        for slot in self._active:
            if slot.unread and left:
                slot.taken = min(slot.unread, left)
                left -= slot.taken
                part = slot.request.tokens[slot.read : slot.read + slot.taken]
                last = slot.taken == slot.unread
                row = batch.add_prompt(part, slot.read, slot.sequence, last=last)
                slot.row = row if last else NOTHING

    def _grow(self, slot: Slot) -> bool:
        more = min(FURTHER_PROMISE, max(slot.limit - len(slot.output), 1))
        while not self._cells.take(more):
            if not self._prefixes.make_room():
                return False
        slot.promised += more
        return True

    def _make_one_end(self) -> None:
        """All answers wait for cells that only an end would free: the longest one ends here."""
        slot = max(self._active, key=lambda slot: len(slot.output))
        self._finish(slot, "memory")

    def _compute(self) -> bool:
        """Whether the step succeeded; otherwise what could be done about it is done."""
        statistics, tokens = self.statistics, self._context.batch.size
        code = self._context.decode(statistics, spare_cell=self._cells.free > 0)
        if code == 0:
            statistics.steps += 1
            statistics.tokens += tokens
            statistics.most_cells = max(statistics.most_cells, self._cells.used)
            self._chunk = self._context.batch.capacity
            self._broken = False
            return True
        if code == NO_CELLS:
            self._no_cells()
        elif code != ABORTED:  # the engine is closing, and ends everything itself
            self._start_again(code)
        return False

    def _no_cells(self) -> None:
        """llama.cpp finds no place although the accounting does: it wants them in one piece, or holds more itself."""
        if self._prefixes.make_room():
            return
        if self._chunk > LEAST_CHUNK:
            self._chunk //= 2
            return
        error = ModelError("No place in the cache of the context", kind="server", retryable=False, code="no_cells")
        self._end(self._active[-1], error)

    def _start_again(self, code: int) -> None:
        """The computation failed: what the sequences hold is not known any more, and a new context holds nothing."""
        error = ModelError(f"llama.cpp's computation failed (code {code})", kind="server", retryable=False)
        for slot in list(self._active):
            self._end(slot, error, keep=False)
        self._prefixes.forget_all()
        if self._broken:  # the new one fails, too: so would every further one
            raise error
        self._broken = True
        self._context.renew()

    def _advance(self) -> None:
        native, piece_of = self._context.native, self._context.vocabulary.piece
        for slot in list(self._active):
            if slot.taken:
                slot.read += slot.taken
                self._admission.look_again()  # what somebody waits for may be there now
            elif slot.row != NOTHING:
                slot.read += 1
            if slot.row == NOTHING:
                continue
            try:
                token = slot.sampler.sample(native, slot.row)
            except GrammarError as exc:
                self._end(slot, ModelError(f"Not answered: {exc}.", kind="bad_request"))
                continue
            slot.next_token = token
            piece = piece_of(token)
            if piece is None:
                self._finish(slot, "eos")
                continue
            slot.output.append(token)
            self.statistics.generated += 1
            new = slot.text.feed(piece) if piece else ""
            if slot.text.stopped:
                self._finish(slot, "stop", new)
            elif len(slot.output) >= slot.limit:
                self._finish(slot, "max_tokens" if slot.limit == slot.request.max_tokens else "context", new)
            elif new and slot.request.streams:
                self._post(slot.request, new)

    # Ends

    def _drop_cancelled(self) -> None:
        for slot in [slot for slot in self._active if slot.request.cancelled]:
            self._end(slot, None)

    def _finish(self, slot: Slot, finish: Finish, new: str = "") -> None:
        new += slot.text.finish()
        if new and slot.request.streams:
            self._post(slot.request, new)
        self._end(slot, slot.answer(finish))

    def _end(self, slot: Slot, event: Event | None, *, keep: bool = True) -> None:
        if event is not None:
            self._post(slot.request, event)
        read = min(slot.read, len(slot.request.tokens))
        if keep and self._context.layout.prefixes and read >= WORTH_SHARING:
            self._prefixes.keep(slot.sequence, slot.request.tokens[:read], slot.settle(self._cells))
        self._context.cut(slot.sequence)
        self._cells.give_back(slot.promised)
        self._cells.release(slot.base)
        slot.sampler.close()
        self._active.remove(slot)
        self._admission.leave(slot.sequence)
