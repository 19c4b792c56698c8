"""Beginnings of prompts that have been read and are kept: a system prompt is computed once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from .cells import Cells, Extent
from .context import Context
from .requests import Tokens

WORTH_SHARING: Final = 32
"""Fewer tokens than this are read again: copying and holding back cost more."""


def common_length(one: Tokens, other: Tokens) -> int:
    """How many tokens two prompts begin with in common."""
    shorter = min(len(one), len(other))
    different = np.flatnonzero(one[:shorter] != other[:shorter])
    return int(different[0]) if len(different) else shorter


@dataclass(eq=False, slots=True)
class Prefix:
    """A kept beginning.

    Attributes:
        sequence: Where it is.
        tokens: What it is.
        extent: The cells it holds.
        used: When it was last of use, on the cache's own clock.
    """

    sequence: int
    tokens: Tokens
    extent: Extent | None
    used: int


class PrefixCache:
    """A few sequences that hold beginnings; the one that was of no use for longest goes first.

    Args:
        context: Where the sequences are.
        cells: Their accounting.
        sequences: Ids that belong to the cache.
    """

    def __init__(self, context: Context, cells: Cells, sequences: range) -> None:
        self._context = context
        self._cells = cells
        self._free = list(sequences)
        self._kept: list[Prefix] = []
        self._clock = 0

    def __iter__(self) -> Iterator[Prefix]:
        return iter(self._kept)

    def touch(self, prefix: Prefix) -> None:
        """It was of use."""
        self._clock += 1
        prefix.used = self._clock

    def keep(self, sequence: int, tokens: Tokens, extent: Extent | None) -> None:
        """Keep what a sequence has read, unless most of it is kept already.

        Args:
            sequence: Has read the tokens; may be emptied afterwards.
            tokens: From its beginning.
            extent: The cells of exactly these tokens.
        """
        if len(tokens) < WORTH_SHARING or not (self._free or self._kept):
            return
        known = max(self._kept, key=lambda prefix: common_length(prefix.tokens, tokens), default=None)
        shared = common_length(known.tokens, tokens) if known is not None else 0
        if known is not None and shared == len(known.tokens) < len(tokens):
            self.drop(known)  # a conversation that has grown
        elif len(tokens) - shared < max(shared, WORTH_SHARING):
            return
        if not self._free:
            self.drop(min(self._kept, key=lambda prefix: prefix.used))
        target = self._free.pop()
        self._context.copy(sequence, target, len(tokens))
        prefix = Prefix(target, tokens, self._cells.hold(extent, len(tokens)), 0)
        self._kept.append(prefix)
        self.touch(prefix)

    def make_room(self) -> bool:
        """Drop the oldest beginning whose cells nobody else holds; False where there is none."""
        idle = [prefix for prefix in self._kept if prefix.extent is None or prefix.extent.holders == 1]
        if not idle:
            return False
        self.drop(min(idle, key=lambda prefix: prefix.used))
        return True

    def drop(self, prefix: Prefix) -> None:
        """Forget one."""
        self._kept.remove(prefix)
        self._context.cut(prefix.sequence)
        self._cells.release(prefix.extent)
        self._free.append(prefix.sequence)

    def forget_all(self) -> None:
        """Forget all."""
        for prefix in list(self._kept):
            self.drop(prefix)
