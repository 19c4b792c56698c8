"""How the cache is laid out: how many sequences, how many cells. Pure: decided before anything is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hivetrace_core import ConfigError

CACHED_PREFIXES: Final = 4
"""Sequences that hold what later prompts may begin with."""

CELL_STEP: Final = 256
"""llama.cpp rounds the number of cells up to a multiple of this."""

_SHARE: Final = 0.5
"""Of the free memory that the cache takes at most unless it is told how much."""

_MOST: Final = 0.95
"""Of the free memory that one request's cells may take; beyond it the system would kill the process."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The sequences and cells of a context.

    Attributes:
        slots: Requests that are answered at the same time.
        prefixes: Further sequences, for the prefix cache.
        cells: Of the whole context.
        window: Cells that one request may fill.
        unified: Whether all sequences share one buffer; otherwise each has `window` cells of its own.
        notes: What is not as it was asked for, and why; for the log.
    """

    slots: int
    prefixes: int
    cells: int
    window: int
    unified: bool
    notes: tuple[str, ...] = ()

    @property
    def sequences(self) -> int:
        """All of them."""
        return self.slots + self.prefixes


def lay_out(
    *,
    window: int,
    slots: int,
    cells: int | None,
    deterministic: bool,
    prefix_cache: bool,
    bytes_per_cell: int | None,
    free_bytes: int | None,
    one_sequence: str | None = None,
) -> Layout:
    """Decide the layout.

    Args:
        window: Tokens of one request.
        slots: Requests at the same time that are wanted.
        cells: For all requests together; None to take what fits.
        deterministic: Whether sequences must not influence each other's rounding.
        prefix_cache: Whether to keep beginnings of prompts.
        bytes_per_cell: What one cell takes; None where that is not known.
        free_bytes: Memory for the cells; None where that is not known.
        one_sequence: Why this model can only have one sequence; None where it can have many.

    Raises:
        ConfigError: the memory is not enough for one request.
    """
    notes: list[str] = []
    most = None
    if bytes_per_cell and free_bytes is not None:
        most = int(free_bytes * _SHARE) // bytes_per_cell
        possible = int(free_bytes * _MOST) // bytes_per_cell
        wanted = max(cells or 0, _rounded(window))
        if possible < wanted:
            raise ConfigError(
                f"Not enough memory for the cache of {wanted} tokens: it takes "
                f"{_megabytes(wanted * bytes_per_cell)} MB, and {_megabytes(free_bytes)} MB are free. Choose n_ctx or "
                f"kv_cells of at most {possible // CELL_STEP * CELL_STEP}, a smaller model, or end other programs."
            )
    if one_sequence is not None:
        notes.append(f"one prompt at a time: {one_sequence}")
        return Layout(1, 0, _rounded(window), window, unified=True, notes=tuple(notes))
    if deterministic:
        prefixes = 1 if prefix_cache else 0
        if most is not None and (slots + prefixes) * _rounded(window) > most:
            fewer = max(most // _rounded(window) - prefixes, 1)
            if fewer < slots:
                notes.append(f"{fewer} prompts at a time in place of {slots}: each takes n_ctx cells of its own")
                slots = fewer
        return Layout(slots, prefixes, _rounded(window) * (slots + prefixes), window, unified=False, notes=tuple(notes))
    if cells is None:
        cells = window * slots
        if most is not None and cells > most:
            cells = max(most, window)
            notes.append(
                f"the cache holds {cells} tokens, not n_ctx x batch_size = {window * slots}: that is what half of the "
                "free memory holds; long prompts wait for each other"
            )
    prefixes = CACHED_PREFIXES if prefix_cache else 0
    return Layout(slots, prefixes, _rounded(cells), window, unified=True, notes=tuple(notes))


def _rounded(cells: int) -> int:
    return -(-cells // CELL_STEP) * CELL_STEP


def _megabytes(size: int) -> int:
    return round(size / 1e6)
