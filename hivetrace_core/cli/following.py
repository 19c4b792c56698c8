"""A run from its start to its closing table, whatever ends it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, TypeAlias

import click

from ..runs.events import Listener, RunEvent, RunResult, RunStarted
from .closing import display, resume_command, show_closing
from .environment import env_file_of
from .progress import Progress
from .terminal import complain, one_line
from .watching import watching

INTERRUPTED: Final = 130

NEW_OBJECTS: Final = 10_000
"""Python looks for cyclic garbage whenever there are so many new objects. Its own 700 (2,000 from 3.13 on) are there
with a few prompts in flight: it would walk through them again and again, and they are freed without it."""

Start: TypeAlias = Callable[[Listener], RunResult]


def follow(ctx: click.Context, start: Start, *, config: Path | None = None, retry_failed: bool = False) -> int:
    """Show a run while it goes on and what it came to; returns the exit code.

    Args:
        ctx: The command's.
        start: Starts it with a listener and returns when it has ended.
        config: Given on the command line in place of the run's own; the next command names it again.
        retry_failed: Whether failed prompts are sent again.
    """
    progress = Progress(retry_failed=retry_failed)
    shown = ExitStack()

    def listen(event: RunEvent) -> None:
        progress(event)
        if isinstance(event, RunStarted):
            _announce(event)
            shown.enter_context(watching(progress))

    def again() -> str:
        folder = progress.started.folder if progress.started is not None else Path()
        return resume_command(folder, config=config, env_file=env_file_of(ctx))

    try:
        with shown, _seldom_collecting():
            result = start(listen)
    except KeyboardInterrupt:
        if progress.started is None:
            complain("interrupted; nothing was sent")
        elif progress.result is None:
            complain(f"interrupted; go on with: {again()}")
        else:
            complain("interrupted")
            show_closing(progress.result, progress, again=again())
        return INTERRUPTED
    except Exception as error:
        if progress.started is not None:
            error.add_note(f"What was recorded is kept. Go on with: {again()}")
        raise
    show_closing(result, progress, again=again())
    return result.exit_code


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """This process does nothing but the run, so the collector may be told what suits it."""
    first, *others = gc.get_threshold()
    gc.set_threshold(max(first, NEW_OBJECTS) if first else 0, *others)
    try:
        yield
    finally:
        gc.set_threshold(first, *others)


def _announce(event: RunStarted) -> None:
    what = "resumed" if event.resumed else "started"
    complain(f"{one_line(event.name)} {what}: {event.prompts:,} prompts, results in {display(event.folder)}")
    for model in event.models:
        complain(f"  {one_line(model.label, 40)}: {one_line(model.how, 200)}")
        if model.to_send < event.prompts:
            doubt = f", {model.in_doubt:,} of them in doubt" if model.in_doubt else ""
            complain(f"    {model.to_send:,} to send{doubt}")
