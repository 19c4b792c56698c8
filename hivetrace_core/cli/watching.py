"""A run's progress while it goes on: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from .progress import ModelProgress, Progress
from .terminal import complain, console, one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

REFRESHES_PER_S: Final = 8

LINES_EVERY_S: Final = 10.0

_NARROW: Final = 100
"""Columns of a terminal below which a bar has less beside it."""

_ECHO: Final = 3
"""Columns left free at the right: the terminal writes `^C` there, and a line break would leave a bar behind."""

_LABEL_WIDTH: Final = 24
_NARROW_LABEL: Final = 16


@contextmanager
def watching(progress: Progress, *, every_s: float = LINES_EVERY_S) -> Iterator[None]:
    """Show the progress on standard error as long as the block runs; bars disappear with it.

    Args:
        progress: What to show; the run has started.
        every_s: Seconds between two rounds of lines.
    """
    terminal = console(stderr=True)
    if not terminal.is_terminal or terminal.is_dumb_terminal:
        with _lines(progress, every_s):
            yield
        return
    from rich.live import Live

    with Live(
        console=terminal,
        get_renderable=lambda: bars(progress, width=terminal.width),
        refresh_per_second=REFRESHES_PER_S,
        transient=True,
        redirect_stdout=False,
    ):
        yield


def bars(progress: Progress, *, width: int) -> RenderableType:
    """One bar per model."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    now = time.monotonic()
    narrow = width < _NARROW
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.width = width - _ECHO
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1, min_width=8)
    for _ in range(4 if narrow else 6):
        grid.add_column(no_wrap=True, justify="right")
    for model in progress.models.values():
        completed = model.done if model.total else 1
        rate, blocked, failed, tokens, ends = _facts(model, now)
        facts = [blocked, failed, ends] if narrow else [rate, blocked, failed, tokens, ends]
        grid.add_row(
            one_line(model.label, _NARROW_LABEL if narrow else _LABEL_WIDTH),
            ProgressBar(total=max(1, model.total), completed=completed, finished_style="green"),
            f"{model.done:,}/{model.total:,}",
            *facts,
        )
    return grid


@contextmanager
def _lines(progress: Progress, every_s: float) -> Iterator[None]:
    over = threading.Event()

    def report() -> None:
        while not over.wait(every_s):
            for model in list(progress.models.values()):
                if not model.finished:
                    complain(line(model))

    thread = threading.Thread(target=report, name="hivetrace-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def line(model: ModelProgress) -> str:
    """Where a model stands, in a line."""
    facts = ", ".join(fact for fact in _facts(model, time.monotonic()) if fact)
    return f"{one_line(model.label)}: {model.done:,}/{model.total:,}, {facts}"


def _facts(model: ModelProgress, now: float) -> list[str]:
    """Rate, blocks, failures, tokens, remaining time or what is being waited for."""
    rate = model.rate(now)
    left = model.total - model.done
    ends = "" if model.finished else f"ETA {_duration(left / rate)}" if rate and left else "ETA -"
    return [
        f"{rate:,.1f}/s" if rate < 100 else f"{rate:,.0f}/s",
        f"{model.counts['blocked']:,} blocked",
        f"{model.counts['failed']:,} failed",
        f"{_short(model.tokens)} tokens",
        model.wait(now) or ends,
    ]


def _short(number: int) -> str:
    for unit, size in (("M", 1_000_000), ("k", 10_000)):
        if number >= size:
            return f"{number / (size if unit == 'M' else 1000):.1f}{unit}"
    return f"{number:,}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
