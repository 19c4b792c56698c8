"""A journal with a model and some prompts, and jobs as the engine hands them over."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hivetrace_core.engine.dispatch import Job
from hivetrace_core.redaction import Redactor
from hivetrace_core.responses import Reply
from hivetrace_core.runs.journal import Journal
from hivetrace_core.runs.prompts import PromptRow
from hivetrace_core.runs.reader import ModelRow

MakeJob = Callable[..., Job]
NewJournal = Callable[..., Journal]
Query = Callable[..., list[Any]]


@pytest.fixture
def model() -> ModelRow:
    return ModelRow(1, "baseline", "hivetrace-core:simulated", "simulated", {"seed": 1})


@pytest.fixture
def make_job() -> MakeJob:
    """A job as it is when its attempt number `attempts` has been answered, or is about to be made."""

    def _make(
        index: int,
        *,
        attempts: int = 1,
        content: Any = "fine",
        outcome: str = "answered",
        reply: Reply | None = None,
        **more: Any,
    ) -> Job:
        job = Job(index, f"prompt {index}")
        job.attempts = attempts
        job.result = {"content": content, "response_metadata": {"outcome": outcome, "attempts": attempts}, **more}
        job.reply = reply
        return job

    return _make


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "a-run"
    folder.mkdir()
    return folder / "run.db"


@pytest.fixture
def new_journal(path: Path, model: ModelRow) -> Iterator[NewJournal]:
    """A journal of `prompts` prompts; closed at the end."""
    made: list[Journal] = []

    def _new(prompts: Any = 3, *, secrets: tuple[str, ...] = (), meta: dict[str, Any] | None = None) -> Journal:
        rows = [PromptRow(f"prompt {n}", {"n": n}) for n in range(prompts)] if isinstance(prompts, int) else prompts
        journal = Journal.create(path, meta=meta or {}, models=[model], prompts=rows, redactor=Redactor(secrets))
        made.append(journal)
        return journal

    yield _new
    for journal in made:
        journal.close()


@pytest.fixture
def query(path: Path) -> Query:
    """What SQL gives, asked from outside."""

    def _query(sql: str, *values: Any) -> list[Any]:
        database = sqlite3.connect(path, isolation_level=None)
        try:
            return database.execute(sql, values).fetchall()
        finally:
            database.close()

    return _query
