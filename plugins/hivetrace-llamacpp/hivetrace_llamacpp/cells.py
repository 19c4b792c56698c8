"""Who holds how many cells of the cache of keys and values.

Sequences may share cells: a system prompt is stored once, whoever reads it. Counting each sequence for itself would
admit too few; forgetting the shared part would admit too many, and llama.cpp would run out of cells in mid-answer. So
what has been read and may be shared is an `Extent`: one edge of a tree of beginnings, counted once and given back with
its last holder.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class Extent:
    """Cells that several sequences may hold, on top of another extent.

    Attributes:
        end: Cells from the beginning of the sequence to the end of this extent.
        parent: What comes before, or None.
        holders: Slots, cached prefixes and further extents that hold it.
    """

    end: int
    parent: Extent | None
    holders: int = 1

    @property
    def start(self) -> int:
        """Cells before it."""
        return 0 if self.parent is None else self.parent.end


class Cells:
    """The cells of one context.

    Args:
        capacity: How many there are.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.used = 0

    @property
    def free(self) -> int:
        """Cells that nobody holds and nobody was promised."""
        return self.capacity - self.used

    def take(self, count: int) -> bool:
        """Promise cells to somebody; False where there are not as many."""
        if count > self.free:
            return False
        self.used += count
        return True

    def give_back(self, count: int) -> None:
        """End a promise."""
        self.used -= count

    def share(self, end: int, parent: Extent | None) -> Extent:
        """Turn promised cells into an extent; its holder held the parent, and holds the extent from now on."""
        return Extent(end, parent)

    def hold(self, extent: Extent | None, length: int) -> Extent | None:
        """One more holder of the first cells up to a length; an extent that goes beyond it is split there."""
        while extent is not None and extent.start >= length:
            extent = extent.parent
        if extent is None:
            return None
        if extent.end > length:
            front = Extent(length, extent.parent)  # held by the rest, which has the other holders
            extent.parent = front
            extent = front
        extent.holders += 1
        return extent

    def release(self, extent: Extent | None) -> None:
        """One holder less; the last one gives the cells back."""
        while extent is not None:
            extent.holders -= 1
            if extent.holders:
                return
            self.used -= extent.end - extent.start
            extent = extent.parent
