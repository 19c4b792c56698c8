"""The journal of a run, open for writing: every attempt before it is made, every outcome after it.

An attempt is committed before its request is sent. So whatever ends the process, the file knows for each prompt whether
it was never sent, has its outcome, or is in doubt (sent, and nobody heard how it ended).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import ModelError, RunError
from ..redaction import Redactor, mask_params
from ..responses import Reply, error_info, outcome_of
from .blobs import encode
from .database import SCHEMA_VERSION, create_database, open_database, put_meta, sqlite_errors, write_ahead
from .facts import error_of, tokens_of
from .lock import RunLock
from .prompts import PromptRow
from .reader import JournalReader, ModelRow, PendingPrompt, Wanted
from .writer import Row, Write, Writer

if TYPE_CHECKING:
    import sqlite3

    from ..engine.dispatch import Job

LOCK_NAME: Final = "run.lock"


class Journal:
    """The one writer of a run. Made by `create` or `open`; always `close` it.

    Everything but the prompts passes the redactor on its way in: prompts are what was asked, to the letter.

    Attributes:
        reader: Reads the same file; for the thread that drives the run.
    """

    def __init__(self, path: Path, database: sqlite3.Connection, lock: RunLock, redactor: Redactor) -> None:
        self.path = path
        self._lock = lock
        self._redactor = redactor
        try:
            self.reader = JournalReader(path)
        except BaseException:
            database.close()
            raise
        self._writer = Writer(database, path)

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        meta: Mapping[str, Any],
        models: Sequence[ModelRow],
        prompts: Iterable[PromptRow],
        redactor: Redactor | None = None,
    ) -> Journal:
        """Make the file and copy the prompts into it, all or none of them.

        Args:
            path: The file; its folder exists.
            meta: What else to keep; JSON-ready.
            models: The models that will be asked.
            prompts: Read once, one at a time.
            redactor: Takes secrets out of what is written.

        Raises:
            RunError: the file cannot be made or written.
            ConfigError: whatever reading the prompts raises; there is no file then.
        """
        redactor = redactor or Redactor()
        lock = RunLock(path.with_name(LOCK_NAME))
        try:
            database = create_database(path)
            try:
                with sqlite_errors(path):
                    for model in models:
                        params = encode(mask_params(model.params), redactor)
                        row = (model.id, model.label, model.qualified, model.model_id, params)
                        database.execute("INSERT INTO models VALUES (?, ?, ?, ?, ?)", row)
                    copy = _Copy(prompts)
                    database.executemany("INSERT INTO prompts VALUES (?, ?, ?)", copy)
                    own = {"schema_version": SCHEMA_VERSION, "prompts": copy.count, "columns": list(copy.columns)}
                    for key, value in {**meta, **own}.items():
                        put_meta(database, key, redactor.data(value))
                    database.execute("COMMIT")
                    write_ahead(database)
            except BaseException:
                database.close()
                path.unlink(missing_ok=True)
                raise
            return cls(path, database, lock, redactor)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, path: Path, *, redactor: Redactor | None = None) -> Journal:
        """Go on with a run.

        Raises:
            RunError: another process is at it, or as `open_database`.
        """
        if not path.is_file():
            raise RunError(f"There is no run in {path.parent}: {path.name} is missing. Name the folder of a run.")
        lock = RunLock(path.with_name(LOCK_NAME))
        try:
            return cls(path, open_database(path, write=True), lock, redactor or Redactor())
        except BaseException:
            lock.release()
            raise

    def log(self, model: ModelRow) -> ModelLog:
        """Where one model's attempts and outcomes go."""
        return ModelLog(model, self.reader, self._writer, self._redactor)

    async def flush(self) -> None:
        """Return when all that was recorded so far is committed.

        Raises:
            RunError: it could not be; what had been committed before is safe.
        """
        await self._writer.commit()

    def close(self) -> None:
        """Commit what is left and let go of the run. A second call does nothing.

        Raises:
            RunError: something could not be written, and nothing has said so yet.
        """
        self.reader.close()
        try:
            self._writer.stop()
        finally:
            self._lock.release()


class ModelLog:
    """The attempts and outcomes of one model; an executor's `Recorder`. For one event loop at a time."""

    def __init__(self, model: ModelRow, reader: JournalReader, writer: Writer, redactor: Redactor) -> None:
        self.model = model
        self._reader = reader
        self._writer = writer
        self._redactor = redactor
        self._earlier: dict[int, PendingPrompt] = {}

    def pending(self, wanted: Wanted | None = None) -> Iterator[tuple[int, Any]]:
        """Row number and prompt of what is still to be sent (`JournalReader.pending`)."""
        for prompt in self._reader.pending(self.model, wanted or Wanted()):
            if prompt.attempts or prompt.failed:
                self._earlier[prompt.index] = replace(prompt, prompt=None)
            yield prompt.index, prompt.prompt

    async def started(self, job: Job) -> None:
        """Commit the intent to send an attempt. Numbers go on where an earlier process stopped."""
        number = self._number(job)
        try:
            await self._writer.commit((Write.INTENT, (self.model.id, job.index, number, time.time())))
        except asyncio.CancelledError:
            # It will not be sent, so nothing about it is in doubt.
            with contextlib.suppress(RunError):  # nothing can be written any more: who cancels knows it already
                self._writer.put((Write.FORGET, (self.model.id, job.index, number)))
            raise

    def attempt_failed(self, job: Job, error: ModelError, retry_in: float | None) -> None:
        """Record how an attempt failed."""
        blob = encode(error_info(error), self._redactor)
        self._writer.put((Write.FAILED_ATTEMPT, (time.time(), blob, self.model.id, job.index, self._number(job))))

    def finish(self, job: Job) -> bool:
        """Record the outcome of a prompt: its response, and the raw reply where there is one.

        Returns:
            Whether the prompt was in doubt before: it may have been sent (and answered) once more than is known.

        Raises:
            RunError: the journal takes nothing any more.
        """
        number = self._number(job)
        earlier = self._earlier.pop(job.index, None)
        in_doubt = earlier is not None and earlier.in_doubt
        now = time.time()
        response: Mapping[str, Any] = job.result
        error = error_of(response)
        outcome = (
            self.model.id,
            job.index,
            outcome_of(response),
            error and error["kind"],
            number,
            in_doubt,
            now,
            *tokens_of(response),
            encode(response, self._redactor),
            None if job.reply is None else encode(_raw(job.reply), self._redactor),
        )
        rows: list[Row] = [(Write.OUTCOME, outcome)]
        if job.attempts:
            rows.append((Write.ENDED_ATTEMPT, (now, self.model.id, job.index, number)))
        if earlier is not None and earlier.failed:
            rows += [(what, (self.model.id, job.index)) for what in (Write.KEEP_REPLACED, Write.DROP_REPLACED)]
        self._writer.put(*rows)
        return in_doubt

    def _number(self, job: Job) -> int:
        earlier = self._earlier.get(job.index)
        return job.attempts + (earlier.attempts if earlier is not None else 0)


class _Copy:
    """Prompts on their way into the table, counted, with the names of their other columns."""

    def __init__(self, prompts: Iterable[PromptRow]) -> None:
        self._prompts = prompts
        self.count = 0
        self.columns: dict[str, None] = {}

    def __iter__(self) -> Iterator[tuple[int, bytes, bytes]]:
        for row in self._prompts:
            for column in row.extra:
                self.columns[column] = None
            yield self.count, encode(row.prompt), encode(row.extra)
            self.count += 1


def _raw(reply: Reply) -> dict[str, Any]:
    return {"status": reply.status, "headers": mask_params(reply.headers), "payload": reply.payload}
