"""What a run tells whoever watches it: a progress bar, a notebook, a log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ..responses import ErrorInfo
from .summary import ModelSummary

_log = logging.getLogger("hivetrace_core.runs")


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """What is about to be done with one model.

    Attributes:
        label: Its name in the run.
        how: One sentence on how its name was resolved.
        to_send: Prompts that will be sent to it now.
        in_doubt: Of all its prompts, those that were under way when a process ended; sent again or left, as was asked.
        counts: Outcomes that are recorded already, by outcome.
    """

    label: str
    how: str
    to_send: int
    in_doubt: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The journal is there, nothing has been sent yet in this process.

    Attributes:
        folder: Of the run.
        name: As in the config.
        prompts: How many the run has.
        models: In the order of the config.
        resumed: Whether an earlier process began it.
    """

    folder: Path
    name: str
    prompts: int
    models: tuple[ModelPlan, ...]
    resumed: bool


@dataclass(frozen=True, slots=True)
class OutcomeRecorded:
    """One prompt has its outcome.

    Attributes:
        label: The model.
        index: The prompt's row number, from 0.
        outcome: One of `responses.OUTCOMES`.
        error: Why, where it has failed.
        attempts: Requests sent for it in this process.
        in_doubt: It was sent again after a process had ended in the middle of it.
        latency_s: Seconds of the last attempt, where one was made.
        input_tokens: As far as the provider said; else 0.
        output_tokens: The same.
        counts: The model's recorded outcomes by now, those of earlier processes included; not the failed ones that
            are being sent again.
    """

    label: str
    index: int
    outcome: str
    error: ErrorInfo | None
    attempts: int
    in_doubt: bool
    latency_s: float | None
    input_tokens: int
    output_tokens: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Retrying:
    """A request has failed and will be sent again.

    Attributes:
        label: The model.
        index: The prompt's row number.
        attempt: The one that failed, counted in this process.
        delay_s: Seconds until the next.
        error: Why.
    """

    label: str
    index: int
    attempt: int
    delay_s: float
    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class ModelFinished:
    """Nothing more will be sent to a model; `summary.stopped` says why, where prompts are left over."""

    summary: ModelSummary


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run has ended.

    Attributes:
        folder: Of the run.
        exit_code: 0 done; 2 degraded (more failures than `max_failure_rate` allows); 3 stopped early by the breaker,
            can be resumed; 130 interrupted, can be resumed.
        models: In the order of the config.
        exports: The files that were written.
    """

    folder: Path
    exit_code: int
    models: tuple[ModelSummary, ...]
    exports: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The last event, also of an interrupted run."""

    result: RunResult


RunEvent: TypeAlias = RunStarted | OutcomeRecorded | Retrying | ModelFinished | RunFinished

Listener: TypeAlias = Callable[[RunEvent], object]
"""Called in the thread that does the work, while that waits: be quick. What it raises is logged and changes nothing."""


def tell(listener: Listener | None, event: RunEvent) -> None:
    """Call the listener, where there is one."""
    if listener is None:
        return
    try:
        listener(event)
    except Exception:  # noqa: BLE001  # the caller's code
        _log.exception("The listener failed on %s", type(event).__name__)
