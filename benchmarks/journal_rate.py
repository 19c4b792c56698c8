"""How many outcomes a second the journal of a run takes.

Answers of 1 KB, 64 in flight, in a real file under the current folder; before each outcome its intent is committed and
waited for. What makes the answers costs nothing here. Beside it: the same bytes given to SQLite ready-made, in
transactions of 64, and a whole `run`.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hivetrace_core import Reply, run
from hivetrace_core.engine.dispatch import Job
from hivetrace_core.redaction import Redactor
from hivetrace_core.runs.journal import Journal, ModelLog
from hivetrace_core.runs.prompts import PromptRow
from hivetrace_core.runs.reader import ModelRow

from ._measure import Figure, Rounds, Settings, report

WIDTH = 64
BOUND = 10_000
TEXT = "An answer of one thousand bytes. " * 31
MODEL = ModelRow(1, "bench", "hivetrace-core:simulated", "simulated", {})
SECRET = "a-secret-of-an-ordinary-length-0123456789"


def create(folder: str, count: int, secrets: list[str]) -> Journal:
    rows = (PromptRow(f"prompt {number}", {"category": "x"}) for number in range(count))
    return Journal.create(Path(folder, "run.db"), meta={}, models=[MODEL], prompts=rows, redactor=Redactor(secrets))


def _silent(_what: str, _index: int) -> None:
    pass


def answered(job: Job, *, raw: bool) -> None:
    usage = {"input_tokens": 12, "output_tokens": 250, "total_tokens": 262}
    metadata = {"model_name": "m", "provider": "p", "finish_reason": "stop", "native_finish_reason": "stop"}
    facts = {
        "outcome": "answered",
        "usage": usage,
        "attempts": 1,
        "latency_s": 0.5,
        "request_id": "r",
        "index": job.index,
    }
    job.result = {"content": TEXT, "response_metadata": {**metadata, **facts}}
    job.reply = Reply({"model": "m", "text": TEXT, "usage": usage}) if raw else None


async def work(log: ModelLog, *, raw: bool, said: Callable[[str, int], None] = _silent) -> None:
    """Intent and outcome for every prompt, 64 at a time, from one shared source."""
    source = log.pending()

    async def worker() -> None:
        for index, prompt in source:
            job = Job(index, prompt)
            job.attempts = 1
            await log.started(job)
            said("started", index)
            answered(job, raw=raw)
            log.finish(job)
            said("finished", index)

    await asyncio.gather(*(worker() for _ in range(WIDTH)))


def rate(count: int, secrets: list[str], *, raw: bool, clock: Callable[[], float] = time.perf_counter) -> float:
    """Outcomes a second, until the last one is committed."""

    async def drive(journal: Journal) -> float:
        began = clock()
        await work(journal.log(MODEL), raw=raw)
        await journal.flush()
        return count / (clock() - began)

    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        journal = create(folder, count, secrets)
        try:
            return asyncio.run(drive(journal))
        finally:
            journal.close()


def sqlite_rate(count: int) -> float:
    """Rows a second of bare SQLite: an intent and an outcome each, nothing to encode and nobody who waits."""
    job = Job(0, "")
    answered(job, raw=False)
    blob = json.dumps(job.result).encode()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        database = sqlite3.connect(Path(folder, "bare.db"), isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        database.execute("CREATE TABLE intents (id INTEGER PRIMARY KEY, at REAL)")
        database.execute("CREATE TABLE outcomes (id INTEGER PRIMARY KEY, response BLOB)")
        began = time.perf_counter()
        for first in range(0, count, WIDTH):
            numbers = range(first, min(first + WIDTH, count))
            for table, value in (("intents", began), ("outcomes", blob)):
                database.execute("BEGIN")
                database.executemany(f"INSERT INTO {table} VALUES (?, ?)", [(number, value) for number in numbers])
                database.execute("COMMIT")
        took = time.perf_counter() - began
        database.close()
    return count / took


def run_rate(count: int) -> float:
    """Outcomes a second of a whole `run`: prompts copied, engine, simulated target, journal."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        params = {"rules": [{"text": TEXT}], "batch_size": WIDTH}
        prompts = [f"prompt {number}" for number in range(count)]
        began = time.perf_counter()
        result = run(
            {
                "name": "benchmark",
                "models": [{"name": "simulated", "params": params}],
                "prompts": prompts,
                "output": {"dir": folder, "formats": ["jsonl"]},
            }
        )
        assert result.exit_code == 0
        return count / (time.perf_counter() - began)


def measure(settings: Settings) -> list[Figure]:
    count, rounds = (5_000, 3) if settings.quick else (30_000, 7)
    subjects: dict[str, Callable[[], float]] = {
        "intents and outcomes": partial(rate, count, [], raw=False),
        "the same, by CPU time": partial(rate, count, [], raw=False, clock=time.process_time),
        "the same with raw replies, a secret looked for in all of it": partial(rate, count, [SECRET], raw=True),
        "bare SQLite, rows ready-made": partial(sqlite_rate, count),
        "a whole run on simulated, from the config to the export": partial(run_rate, count // 3),
    }
    taken = Rounds(subjects, rounds=rounds)
    bounds = {} if settings.quick else {"intents and outcomes": BOUND}
    return [Figure(name, taken.median(name), "/s", bounds.get(name), at_least=True) for name in subjects]


if __name__ == "__main__":
    report(__doc__.splitlines()[0], measure)
