"""Which waiting request begins next, and with what of others' work.

Several prompts that begin alike are not read side by side: one reads, the others wait and then begin with its cells.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from hivetrace_core import ModelError

from .cells import Cells, Extent
from .context import Context
from .prefixes import WORTH_SHARING, Prefix, PrefixCache, common_length
from .requests import Event, Request
from .sampling import GrammarError, make_sampler
from .slots import Slot
from .statistics import Statistics
from .text import TextStream

FIRST_PROMISE: Final = 512
"""Cells promised to an answer without `max_tokens`; it gets more while there are any."""

UNBOUNDED: Final = 2**62

Post = Callable[[Request, Event], None]


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What of a prompt has been read already, and where."""

    length: int = 0
    """Tokens that can be had now."""
    later: int = 0
    """Tokens that can be had when those that are being read are there."""
    source: Slot | Prefix | None = None


class Admission:
    """The queue in front of the slots.

    Args:
        context: Where the sequences are.
        cells: Their accounting.
        prefixes: Beginnings that are kept.
        post: Takes errors of requests that cannot begin.
        statistics: Where reused tokens are counted.
        free: Sequences of slots that nobody has.
    """

    def __init__(
        self,
        context: Context,
        cells: Cells,
        prefixes: PrefixCache,
        post: Post,
        statistics: Statistics,
        free: list[int],
    ) -> None:
        self._context = context
        self._cells = cells
        self._prefixes = prefixes
        self._post = post
        self._statistics = statistics
        self._waiting: deque[Request] = deque()
        self._free = free
        self._changed = False

    @property
    def waiting(self) -> int:
        """Requests that have not begun."""
        return len(self._waiting)

    @property
    def free(self) -> int:
        """Slots that nobody has."""
        return len(self._free)

    @property
    def stuck(self) -> bool:
        """Whether requests wait and nothing has happened since the last look at them."""
        return bool(self._waiting) and not self._changed

    def add(self, request: Request) -> None:
        """Queue a request; its prompt fits the window."""
        self._waiting.append(request)
        self._changed = True

    def look_again(self) -> None:
        """Something has changed that a request may have waited for."""
        self._changed = True

    def leave(self, sequence: int) -> None:
        """A slot's sequence is empty and can be had by the next request."""
        self._free.append(sequence)
        self._changed = True

    def take_first(self) -> Request | None:
        """Give up the first request in the queue; None where it is empty."""
        self._changed = True
        return self._waiting.popleft() if self._waiting else None

    def admit(self, active: list[Slot]) -> None:
        """Let requests begin, as many as there are slots and cells for.

        Args:
            active: Who is at work already; those who begin are added.
        """
        if not (self._changed and self._free and self._waiting):
            return
        self._changed = False
        # Beyond some places nobody overtakes: the order of the starts stays that of the requests.
        for request in list(islice(self._waiting, 2 * self._context.layout.slots)):
            if not self._free:
                return
            if request.cancelled:
                self._waiting.remove(request)
                continue
            beginning = self._beginning(request, active)
            if beginning.later - beginning.length >= WORTH_SHARING:
                continue  # somebody is reading it at this moment
            if not self._begin(request, beginning, active):
                return  # nobody overtakes a request that waits for cells

    def _beginning(self, request: Request, active: Sequence[Slot]) -> _Beginning:
        best = _Beginning()
        if not self._context.layout.prefixes:
            return best
        tokens = request.tokens
        usable = len(tokens) - 1  # the last one is read in any case: its logits are wanted
        later = 0
        for slot in active:
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

    def _begin(self, request: Request, beginning: _Beginning, active: list[Slot]) -> bool:
        """Give a request a slot; False where there are not enough cells now."""
        context = self._context
        prompt = len(request.tokens)
        limit = min(request.max_tokens or UNBOUNDED, context.layout.window - prompt)
        promise = prompt - beginning.length + min(limit, FIRST_PROMISE if request.max_tokens is None else limit)
        # Held from here on, so that making room does not take it away.
        base, source = self._hold(beginning)
        while not self._cells.take(promise):
            if not self._prefixes.make_room():
                self._cells.release(base)
                return False
        vocabulary = context.vocabulary
        try:
            sampler = make_sampler(context.lib, vocabulary.native, vocabulary.size, request.sampling)
        except GrammarError as exc:
            self._cells.give_back(promise)
            self._cells.release(base)
            self._waiting.remove(request)
            self._post(request, ModelError(f"{exc}. Correct `grammar` or `response_format`.", kind="bad_request"))
            return True
        sequence = self._free.pop()
        if source is not None:
            context.copy(source, sequence, beginning.length)
            self._statistics.reused += beginning.length
        # Always in the queue or at work: whatever fails here, who asked hears of it.
        self._waiting.remove(request)
        active.append(
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
