"""Which sequence does what in the next step.

Each step computes one token for every sequence that writes, and fills the rest with pieces of prompts. Several prompts
that begin alike are not read side by side: one reads, the others wait and then begin with its cells.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from hivetrace_core import ModelError

from .cells import Cells, Extent
from .context import Context
from .prefixes import WORTH_SHARING, Prefix, PrefixCache, common_length
from .requests import Event, Finish, Request
from .sampling import GrammarError, make_sampler
from .slots import NOTHING, Slot
from .text import TextStream

FIRST_PROMISE: Final = 512
"""Cells promised to an answer without `max_tokens`; it gets more while there are any."""

FURTHER_PROMISE: Final = 128
"""Cells by which that grows."""

ABORTED: Final = 2
"""llama.cpp's code for a computation that was ended from outside."""

_UNBOUNDED: Final = 2**62

Post = Callable[[Request, Event], None]


@dataclass(slots=True)
class Statistics:
    """What was done since the start.

    Attributes:
        steps: Calls of `llama_decode`.
        tokens: Tokens that were computed.
        reused: Prompt tokens that were not, because they had been.
        generated: Tokens of answers.
        decode_s: Seconds inside `llama_decode`.
    """

    steps: int = 0
    tokens: int = 0
    reused: int = 0
    generated: int = 0
    decode_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What of a prompt has been read already, and where."""

    length: int = 0
    """Tokens that can be had now."""
    later: int = 0
    """Tokens that can be had when those that are being read are there."""
    source: Slot | Prefix | None = None


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
        self._window = layout.window
        # Sequences with buffers of their own have nothing to divide.
        self._cells = Cells(context.cells if layout.unified else _UNBOUNDED)
        self._prefixes = PrefixCache(context, self._cells, range(layout.slots, layout.sequences))
        self._shares = layout.prefixes > 0
        self._waiting: deque[Request] = deque()
        self._free = list(range(layout.slots))
        self._active: list[Slot] = []
        self._changed = False
        self._chunk = context.batch.capacity

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._active or self._waiting)

    @property
    def hungry(self) -> bool:
        """Whether another request could begin at once."""
        return bool(self._free) and not self._waiting

    def add(self, request: Request) -> None:
        """Take a request; its prompt fits the window."""
        self._waiting.append(request)
        self._changed = True

    def step(self) -> int:
        """Compute one step; returns how many answers have ended."""
        active = len(self._active)
        self._drop_cancelled()
        if self._changed and self._free and self._waiting:
            self._admit()
        if not self._active:
            if self._waiting and not self._changed:
                self._refuse_one()
            return active
        self._fill()
        if self._context.batch.size == 0:
            self._make_one_end()
        elif self._compute():
            self._advance()
        return max(active - len(self._active), 0)

    def fail_all(self, error: ModelError) -> None:
        """End everything with an error."""
        for slot in list(self._active):
            self._end(slot, error)
        while self._waiting:
            request = self._waiting.popleft()
            if not request.cancelled:
                self._post(request, error)

    # Admission

    def _admit(self) -> None:
        self._changed = False
        for request in list(islice(self._waiting, 2 * self._context.layout.slots)):
            if not self._free:
                return
            if request.cancelled:
                self._waiting.remove(request)
                continue
            beginning = self._beginning(request)
            if beginning.later - beginning.length >= WORTH_SHARING:
                continue  # somebody is reading it at this moment
            if not self._begin(request, beginning):
                return  # nobody overtakes a request that waits for cells

    def _beginning(self, request: Request) -> _Beginning:
        best = _Beginning()
        if not self._shares:
            return best
        tokens = request.tokens
        usable = len(tokens) - 1  # the last one is read in any case: its logits are wanted
        later = 0
        for slot in self._active:
            common = min(common_length(slot.request.tokens, tokens), usable)
            ready = min(common, slot.read)
            later = max(later, common)
            if ready > best.length:
                best = _Beginning(ready, 0, slot)
        for prefix in self._prefixes:
            common = min(common_length(prefix.tokens, tokens), usable)
            if common >= best.length and common:
                best = _Beginning(common, 0, prefix)
        if best.length < WORTH_SHARING:
            best = _Beginning()
        return _Beginning(best.length, max(later, best.length), best.source)

    def _begin(self, request: Request, beginning: _Beginning) -> bool:
        """Give a request a slot; False where there are not enough cells now."""
        prompt = len(request.tokens)
        limit = min(request.max_tokens or _UNBOUNDED, self._window - prompt)
        promise = prompt - beginning.length + min(limit, FIRST_PROMISE if request.max_tokens is None else limit)
        # Held from here on, so that making room does not take it away.
        base, source = self._hold(beginning)
        while not self._cells.take(promise):
            if not self._prefixes.make_room():
                self._cells.release(base)
                return False
        self._waiting.remove(request)
        vocabulary = self._context.vocabulary
        try:
            sampler = make_sampler(self._context.lib, vocabulary.native, vocabulary.size, request.sampling)
        except GrammarError as exc:
            self._cells.give_back(promise)
            self._cells.release(base)
            self._post(request, ModelError(f"{exc}. Correct `grammar` or `response_format`.", kind="bad_request"))
            return True
        sequence = self._free.pop()
        if source is not None:
            self._context.copy(source, sequence, beginning.length)
            self.statistics.reused += beginning.length
        self._active.append(
            Slot(
                sequence=sequence,
                request=request,
                sampler=sampler,
                text=TextStream(request.stops),
                limit=limit,
                cached=beginning.length,
                base=base,
                settled=beginning.length,
                promised=promise,
                read=beginning.length,
            )
        )
        return True

    def _hold(self, beginning: _Beginning) -> tuple[Extent | None, int | None]:
        source = beginning.source
        if source is None:
            return None, None
        if isinstance(source, Prefix):
            self._prefixes.touch(source)
            return self._cells.hold(source.extent, beginning.length), source.sequence
        return self._cells.hold(source.settle(self._cells), beginning.length), source.sequence

    def _refuse_one(self) -> None:
        """Nobody is at work, and the first request still got no cells: it never would."""
        request = self._waiting.popleft()
        self._changed = True
        if not request.cancelled:
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
        batch, statistics = self._context.batch, self.statistics
        began = time.perf_counter()
        code = self._context.decode()
        statistics.decode_s += time.perf_counter() - began
        if code == 0:
            statistics.steps += 1
            statistics.tokens += batch.size
            self._chunk = batch.capacity
            return True
        if code == 1:
            self._no_cells()
        elif code != ABORTED:  # the engine is closing, and ends everything itself
            self._lose_everything(code)
        return False

    def _no_cells(self) -> None:
        """llama.cpp finds no place although the accounting does: it wants them in one piece, or holds more itself."""
        if self._prefixes.make_room():
            return
        if self._chunk > 32:
            self._chunk //= 2
            return
        error = ModelError("No place in the cache of the context", kind="server", retryable=False, code="no_cells")
        self._end(self._active[-1], error)

    def _lose_everything(self, code: int) -> None:
        """The computation failed: what the sequences hold is not known any more."""
        error = ModelError(f"llama.cpp's computation failed (code {code})", kind="server", retryable=False)
        for slot in list(self._active):
            self._end(slot, error)
        self._prefixes.forget_all()
        self._context.clear()

    def _advance(self) -> None:
        native, piece_of = self._context.native, self._context.vocabulary.piece
        for slot in list(self._active):
            if slot.taken:
                slot.read += slot.taken
                self._changed = True  # what somebody waits for may be there now
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

    def _end(self, slot: Slot, event: Event | None) -> None:
        if event is not None:
            self._post(slot.request, event)
        read = min(slot.read, len(slot.request.tokens))
        if self._shares and read >= WORTH_SHARING:
            self._prefixes.keep(slot.sequence, slot.request.tokens[:read], slot.settle(self._cells))
        self._context.cut(slot.sequence)
        self._cells.give_back(slot.promised)
        self._cells.release(slot.base)
        slot.sampler.close()
        self._active.remove(slot)
        self._free.append(slot.sequence)
        self._changed = True
