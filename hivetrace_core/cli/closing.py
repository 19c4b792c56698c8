"""What a run came to: the table at its end, what is worth knowing about it, and what to do next."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..runs.events import RunResult
from ..runs.visible import visible
from .progress import ModelProgress, Progress
from .terminal import console, one_line

if TYPE_CHECKING:
    from rich.table import Table

    from ..runs.summary import ModelSummary

DEGRADED: Final = 2

_ALWAYS: Final = ("answered", "blocked", "failed")
_OUTCOMES: Final = ("answered", "truncated", "refused", "blocked", "tool_calls", "empty", "failed", "unknown")

_BLOCK_RATE: Final = "BLOCK RATE [95 %]"

_LONGEST_MESSAGE: Final = 200

_LABEL_WIDTH: Final = 40

_WIDE: Final = 110
"""Columns from which on counts and rates stand side by side."""


def show_closing(result: RunResult, progress: Progress, *, again: str) -> None:
    """Print table, remarks, files and the next command to standard output.

    Args:
        result: How the run has ended.
        progress: What was seen of it; knows the errors.
        again: The command that goes on with the run.
    """
    out = console()
    if out.width < _WIDE:
        out.print(_table(result.models, _counts(result)))
        out.print(_table(result.models, _RATES))
    else:
        out.print(_table(result.models, {**_counts(result), **_RATES}))
    for remark in remarks(result, progress, again=again):
        out.print(visible(remark), soft_wrap=True)


def _table(models: Sequence[ModelSummary], columns: Mapping[str, Callable[[ModelSummary], str]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("MODEL", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", overflow="fold", no_wrap=name == _BLOCK_RATE)
    for model in models:
        table.add_row(one_line(model.label, _LABEL_WIDTH), *(show(model) for show in columns.values()))
    return table


def _counts(result: RunResult) -> dict[str, Callable[[ModelSummary], str]]:
    """A column per outcome; those that no model has are left out, except the three that matter most."""
    seen = {outcome for model in result.models for outcome in model.counts}
    outcomes = [outcome for outcome in _OUTCOMES if outcome in _ALWAYS or outcome in seen]

    def count_of(outcome: str) -> Callable[[ModelSummary], str]:
        return lambda model: f"{model.counts.get(outcome, 0):,}"

    return {outcome.upper().replace("_", " "): count_of(outcome) for outcome in outcomes}


def _block_rate(model: ModelSummary) -> str:
    rate = model.block_rate
    if rate.value is None or rate.interval is None:
        return "-"
    low, high = rate.interval
    return f"{rate.value:.1%} [{low:.1%}, {high:.1%}] of {rate.n:,}"


_RATES: Final[Mapping[str, Callable[[ModelSummary], str]]] = {
    _BLOCK_RATE: _block_rate,
    "FAILURE RATE": lambda model: f"{model.failure_rate:.1%}",
    "TOKENS IN + OUT": lambda model: f"{model.input_tokens:,} + {model.output_tokens:,}",
}


def remarks(result: RunResult, progress: Progress, *, again: str) -> Iterator[str]:
    """What the table does not say, one line each."""
    for model in result.models:
        for remark in _remarks_on(model, progress.models.get(model.label)):
            yield f"{one_line(model.label, _LABEL_WIDTH)}: {remark}"
    if result.exit_code == DEGRADED:
        yield "More prompts have failed than max_failure_rate allows."
    for path in result.exports or (result.folder,):
        yield f"Results: {display(path)}"
    if any(model.pending for model in result.models):
        yield f"Go on with: {again}"
    elif any(model.failed for model in result.models):
        yield f"Send the failed ones again with: {again} --retry-failed"


def _remarks_on(model: ModelSummary, seen: ModelProgress | None) -> Iterator[str]:
    if seen is not None and seen.failures:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in seen.failures.most_common())
        yield f"failed: {kinds}; for example: {one_line(seen.example, _LONGEST_MESSAGE)}"
    if model.pending:
        doubt = f", {model.in_doubt:,} of them were under way when the run was interrupted" if model.in_doubt else ""
        why = f"; stopped early: {one_line(model.stopped, _LONGEST_MESSAGE)}" if model.stopped is not None else ""
        yield f"{model.pending:,} left{doubt}{why}"
    if model.resent_in_doubt:
        yield f"{model.resent_in_doubt:,} may have been sent twice (marked in_doubt)"


def resume_command(folder: Path, *, env_file: Path | None = None, config: Path | None = None) -> str:
    """The command that goes on with a run, as it is typed in a shell."""
    words = [*_program(), "resume", display(folder)]
    for option, value in (("--config", config), ("--env-file", env_file)):
        if value is not None:
            words += [option, str(value)]
    return shlex.join(words)


def display(path: Path) -> str:
    """The path from here, where that is shorter."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)


def _program() -> list[str]:
    """How this command was called, so that its next one can be copied: by name, by path, or as a module."""
    script = Path(sys.argv[0])
    if script.stem != "hivetrace":
        return [display(Path(sys.executable)), "-m", "hivetrace_core"]
    found = shutil.which(script.name)
    return [script.name if found is not None and Path(found).samefile(script) else display(script)]
