"""Where a run stands, by its events."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from ..runs.events import ModelFinished, OutcomeRecorded, Retrying, RunEvent, RunFinished, RunResult, RunStarted

_RATE_WINDOW_S: Final = 30.0
"""Rates and remaining times are those of the last half minute: an average over everything is slow to see a change."""

_NOTEWORTHY_WAIT_S: Final = 2.0


@dataclass
class ModelProgress:
    """One model.

    Attributes:
        label: Its name in the run.
        total: Prompts that are to have an outcome in the end: those recorded before, and those to be sent now.
        counts: Recorded outcomes, those of earlier processes included.
        tokens: Used in this process, prompt and answer together.
        failures: In this process, by kind.
        example: Message of the last failure.
        waiting: Why a request waits to be sent again, until when (monotonic).
        finished: Nothing more will be sent.
    """

    label: str
    total: int
    counts: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    example: str = ""
    waiting: tuple[str, float] | None = None
    finished: bool = False
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def done(self) -> int:
        """Prompts that need nothing more."""
        return self.counts.total()

    def rate(self, now: float) -> float:
        """Outcomes per second, of late. Each call is also a measurement."""
        seen = self._seen
        seen.append((now, self.done))
        while len(seen) > 2 and seen[1][0] <= now - _RATE_WINDOW_S:
            seen.popleft()
        (began, before), (until, after) = seen[0], seen[-1]
        return max(0.0, (after - before) / (until - began)) if until > began else 0.0

    def wait(self, now: float) -> str:
        """What is being waited for; nothing where it is not for long."""
        if self.finished or self.waiting is None or self.waiting[1] <= now:
            return ""
        return f"{self.waiting[0]}: waits {self.waiting[1] - now:.0f} s"


class Progress:
    """The listener of a run. The thread that does the work calls it; others read what it holds.

    Args:
        retry_failed: Prompts that have failed are sent again, and get another outcome in place of the one they have.
    """

    def __init__(self, *, retry_failed: bool = False) -> None:
        self._retry_failed = retry_failed
        self.started: RunStarted | None = None
        self.result: RunResult | None = None
        self.models: dict[str, ModelProgress] = {}

    def __call__(self, event: RunEvent) -> None:
        """Take note of an event."""
        match event:
            case OutcomeRecorded():
                self._recorded(self.models[event.label], event)
            case Retrying():
                if event.delay_s >= _NOTEWORTHY_WAIT_S:
                    self.models[event.label].waiting = (event.error["kind"], time.monotonic() + event.delay_s)
            case RunStarted():
                self._start(event)
            case ModelFinished():
                self.models[event.summary.label].finished = True
            case RunFinished():
                self.result = event.result

    def _start(self, event: RunStarted) -> None:
        now = time.monotonic()
        for plan in event.models:
            counts = Counter(plan.counts)
            if self._retry_failed:
                del counts["failed"]
            model = ModelProgress(plan.label, counts.total() + plan.to_send, counts, finished=plan.to_send == 0)
            model.rate(now)
            self.models[plan.label] = model
        self.started = event

    def _recorded(self, model: ModelProgress, event: OutcomeRecorded) -> None:
        model.counts[event.outcome] += 1
        model.tokens += event.input_tokens + event.output_tokens
        if event.error is not None:
            model.failures[event.error["kind"]] += 1
            model.example = event.error["message"]
