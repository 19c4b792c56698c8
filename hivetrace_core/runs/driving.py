"""One model of a run at work: prompts out of the journal, through its executor, outcomes into the journal."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from ..contract import DEFAULT_BATCH_SIZE, executor_of, model_name_of
from ..engine.breaker import TRIP_AFTER
from ..errors import ModelError
from ..messages import with_system
from ..provider import ProviderModel
from ..redaction import Redactor
from ..responses import error_info, metadata_of, outcome_of
from .events import Listener, ModelFinished, OutcomeRecorded, Retrying, tell
from .facts import error_of, tokens_of
from .summary import summarize

if TYPE_CHECKING:
    from ..config.models import ConfiguredModel
    from ..contract import Model
    from ..engine.dispatch import Job
    from ..engine.executor import Executor
    from .journal import Journal
    from .reader import ModelRow, Wanted


class ModelDriver:
    """Sends one model what is wanted, and records what comes of it. Also its executor's recorder.

    Args:
        configured: The model's configuration.
        model: An instance of it.
        row: Its row in the journal.
        journal: The run's.
        system_prompt: Put in front of every prompt that brings none of its own.
        redactor: Knows the secrets of the whole run.
        listener: Told of what happens.
    """

    def __init__(
        self,
        configured: ConfiguredModel,
        model: Model,
        row: ModelRow,
        journal: Journal,
        *,
        system_prompt: str | None,
        redactor: Redactor,
        listener: Listener | None,
    ) -> None:
        self._model = model
        self._row = row
        self._journal = journal
        self._log = journal.log(row)
        self._system_prompt = system_prompt
        self._redactor = redactor
        self._listener = listener
        self._counts = Counter(journal.reader.tally(row).counts)
        self._executor = _executor(configured, model, redactor)
        self._width = _width(configured, model)
        self._cut_short = False
        self.stopped: str | None = None
        """Why the breaker stopped the sending; None while it has not."""

    async def drive(self, wanted: Wanted) -> None:
        """Send all of it, unless the breaker trips: then the rest stays pending.

        Raises:
            RunError: the journal cannot be written.
        """
        if wanted.failed_before:
            del self._counts["failed"]  # they are sent again, and counted when they end
        try:
            while True:
                await self._pass(wanted)
                await self._journal.flush()
                reason = self._executor.breaker.tripped
                if reason is not None or not self._cut_short:
                    break
                # An answer that was under way when the breaker tripped has closed it again: go on with the rest.
        finally:
            if isinstance(self._model, ProviderModel):
                await self._model.aclose()
        if reason is not None and self._cut_short:
            self.stopped = reason.message
        tell(self._listener, ModelFinished(summarize(self._journal.reader, self._row, stopped=self.stopped)))

    async def started(self, job: Job) -> None:
        """Part of `Recorder`."""
        # The worker that comes here may have finished another prompt just now. That outcome is recorded first,
        # so that a process that dies leaves no more prompts in doubt than it had requests in flight.
        await asyncio.sleep(0)
        await self._log.started(job)

    def attempt_failed(self, job: Job, error: ModelError, retry_in: float | None) -> None:
        """Part of `Recorder`."""
        self._log.attempt_failed(job, error, retry_in)
        if retry_in is not None and self._listener is not None:
            event = Retrying(self._row.label, job.index, job.attempts, retry_in, error_info(error))
            tell(self._listener, event)

    async def _pass(self, wanted: Wanted) -> None:
        self._cut_short = False
        jobs = self._executor.jobs(
            self._prompts(wanted), width=self._width, ordered=False, recorder=self, numbered=True, canary=True
        )
        async with aclosing(jobs):
            async for job in jobs:
                if self._stays_pending(job):
                    self._cut_short = True
                else:
                    self._finish(job)

    def _prompts(self, wanted: Wanted) -> Iterator[tuple[int, Any]]:
        for index, prompt in self._log.pending(wanted):
            if self._executor.breaker.tripped is not None:
                self._cut_short = True
                return
            yield index, with_system(prompt, self._system_prompt)

    def _stays_pending(self, job: Job) -> bool:
        """Whether it was not sent, or failed for the reason that stopped everything: a resume then sends it again."""
        error = job.result.get("error")
        kind = error.get("kind") if isinstance(error, Mapping) else None
        return kind == "not_sent" or (self._executor.breaker.tripped is not None and kind in TRIP_AFTER)

    def _finish(self, job: Job) -> None:
        in_doubt = self._log.finish(job)
        response: Mapping[str, Any] = job.result
        outcome = outcome_of(response)
        self._counts[outcome] += 1
        if self._listener is None:
            return
        metadata = metadata_of(response)
        tokens_in, tokens_out = tokens_of(response)
        event = OutcomeRecorded(
            label=self._row.label,
            index=job.index,
            outcome=outcome,
            error=self._redactor.data(error_of(response)),
            attempts=job.attempts,
            in_doubt=in_doubt,
            latency_s=metadata.get("latency_s"),
            input_tokens=tokens_in or 0,
            output_tokens=tokens_out or 0,
            counts=dict(self._counts),
        )
        tell(self._listener, event)


def _executor(configured: ConfiguredModel, model: Model, redactor: Redactor) -> Executor:
    limits = configured.limits
    given = {} if limits.max_attempts is None else {"max_attempts": limits.max_attempts}
    return executor_of(
        model,
        provider=configured.resolved.name,
        model_name=configured.resolved.id or model_name_of(model),
        batch_size=limits.batch_size,
        rpm=limits.rpm,
        tpm=limits.tpm,
        timeout=limits.timeout,
        deadline=limits.deadline,
        observers=configured.observers,
        redactor=redactor,
        **given,
    )


def _width(configured: ConfiguredModel, model: Model) -> int:
    if isinstance(model, ProviderModel):
        return int(model.options.batch_size)
    return configured.limits.batch_size or DEFAULT_BATCH_SIZE
