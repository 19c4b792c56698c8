"""What happens to a journal when the disk, the process or the file itself does not keep up."""

import asyncio
import errno
import fcntl
import json
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hivetrace_core import ModelError, RunError
from hivetrace_core.engine.dispatch import Job
from hivetrace_core.runs.database import create_database, explain
from hivetrace_core.runs.export import export
from hivetrace_core.runs.journal import Journal
from hivetrace_core.runs.lock import RunLock
from hivetrace_core.runs.prompts import PromptRow
from hivetrace_core.runs.reader import JournalReader, ModelRow

MakeJob = Callable[..., Job]
NewJournal = Callable[..., Journal]
Query = Callable[..., list[Any]]

_RECORD_FOR_EVER = """
    import asyncio, sys
    from pathlib import Path
    from hivetrace_core.engine.dispatch import Job
    from hivetrace_core.errors import RunError
    from hivetrace_core.runs.journal import Journal
    from hivetrace_core.runs.prompts import PromptRow
    from hivetrace_core.runs.reader import ModelRow

    async def main(path):
        model = ModelRow(1, "m", "core:simulated", None, {})
        prompts = (PromptRow(f"prompt {n}") for n in range(50_000))
        journal = Journal.create(path, meta={}, models=[model], prompts=prompts)
        BEFORE_SENDING
        log = journal.log(model)
        async def worker(numbers):
            for index, prompt in numbers:
                job = Job(index, prompt)
                job.attempts = 1
                await log.started(job)
                job.result = {"content": f"to {index}", "response_metadata": {"outcome": "answered"}}
                log.finish(job)
                await journal.flush()
                print(index, flush=True)
        numbers = log.pending()
        try:
            await asyncio.gather(*(worker(numbers) for _ in range(8)))
        except RunError as exc:
            print("RunError:", exc, flush=True)
        journal.close()

    asyncio.run(main(Path(sys.argv[1])))
"""


def _start(path: Path, before_sending: str = "pass") -> "subprocess.Popen[str]":
    script = textwrap.dedent(_RECORD_FOR_EVER).replace("BEFORE_SENDING", before_sending)
    return subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)


class TestProcessEnds:
    def test_a_killed_process_loses_no_recorded_outcome_and_leaves_no_lock(self, path: Path) -> None:
        with _start(path) as process:
            assert process.stdout is not None
            told = [int(process.stdout.readline()) for _ in range(200)]
            process.send_signal(signal.SIGKILL)
            told += [int(line) for line in process.stdout if line.endswith("\n")]

        journal = Journal.open(path)
        model = journal.reader.models[0]
        recorded = {row.index: row.response["content"] for row in journal.reader.outcomes(model)}
        left = [prompt.index for prompt in journal.reader.pending(model)]
        in_doubt = journal.reader.count_in_doubt(model)
        journal.close()

        assert set(told) <= recorded.keys()
        assert all(content == f"to {index}" for index, content in recorded.items())
        assert sorted([*recorded, *left]) == list(range(50_000))
        assert in_doubt <= 8

    def test_a_process_killed_while_it_copies_prompts_leaves_nothing_half_done(self, path: Path) -> None:
        script = """
            import sys, time
            from pathlib import Path
            from hivetrace_core.runs.journal import Journal
            from hivetrace_core.runs.prompts import PromptRow

            def prompts():
                for n in range(20_000):
                    yield PromptRow("x" * 1000)
                print("there", flush=True)
                time.sleep(60)

            Journal.create(Path(sys.argv[1]), meta={}, models=[], prompts=prompts())
        """
        command = [sys.executable, "-c", textwrap.dedent(script), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "there\n"
            process.kill()

        with pytest.raises(RunError, match=r"is empty: most likely .* Delete its folder and start it anew"):
            JournalReader(path)

    def test_a_second_process_is_refused_while_the_first_one_writes(self, path: Path) -> None:
        with _start(path) as process:
            assert process.stdout is not None
            process.stdout.readline()

            with pytest.raises(RunError, match=rf"being written by another process \(process {process.pid}\)"):
                Journal.open(path)

            process.kill()
        Journal.open(path).close()

    def test_the_same_process_is_refused_too(self, new_journal: NewJournal, path: Path) -> None:
        journal = new_journal()
        with pytest.raises(RunError, match="being written by another process"):
            Journal.open(path)

        journal.close()
        Journal.open(path).close()

    def test_a_lock_file_alone_locks_nothing(self, path: Path) -> None:
        lock_file = path.with_name("run.lock")
        lock_file.write_text(" 1")

        lock = RunLock(lock_file)
        lock.release()
        lock.release()


class TestDiskFull:
    def test_a_full_disk_stops_the_run_and_loses_nothing_that_was_recorded(self, path: Path) -> None:
        limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))"
        with _start(path, limit) as process:
            output = process.communicate(timeout=60)[0].splitlines()

        assert process.returncode == 0
        told = [int(line) for line in output if line.isdigit()]
        error = next(line for line in output if line.startswith("RunError:"))
        journal = Journal.open(path)
        model = journal.reader.models[0]
        recorded = [row.index for row in journal.reader.outcomes(model)]
        journal.close()
        assert told
        assert set(told) <= set(recorded)
        assert f"Outcomes recorded before it are safe: {len(recorded)}." in error
        assert f"hivetrace resume {path.parent}" in error

    def test_after_a_failed_commit_nothing_is_written_and_everybody_is_told(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, query: Query
    ) -> None:
        async def scenario() -> None:
            journal = new_journal()
            log = journal.log(model)
            log.finish(make_job(0))
            await journal.flush()
            query(
                "CREATE TRIGGER full BEFORE INSERT ON outcomes WHEN NEW.prompt_id = 1 "
                "BEGIN SELECT RAISE(ABORT, 'no room'); END"
            )
            await log.started(make_job(1))
            log.finish(make_job(1))
            with pytest.raises(RunError, match=r"no room.* Outcomes recorded before it are safe: 1"):
                await journal.flush()
            with pytest.raises(RunError, match="no room"):
                log.finish(make_job(2))
            with pytest.raises(RunError, match="no room"):
                log.attempt_failed(make_job(2), ModelError("x"), None)
            with pytest.raises(RunError, match="no room"):
                await log.started(make_job(2))
            journal.close()

        asyncio.run(scenario())

        assert query("SELECT prompt_id FROM outcomes") == [(0,)]
        assert query("SELECT prompt_id, ended_at FROM attempts") == [(1, None)]  # still in doubt

    def test_a_value_that_no_database_takes_ends_the_waiting(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob
    ) -> None:
        async def scenario() -> None:
            with pytest.raises(RunError, match="cannot be written"):
                await new_journal().log(model).started(make_job(2**70))

        asyncio.run(scenario())

    def test_a_failure_that_nobody_has_heard_of_is_told_at_the_end(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, query: Query, path: Path
    ) -> None:
        journal = new_journal()
        query("CREATE TRIGGER full BEFORE INSERT ON outcomes BEGIN SELECT RAISE(ABORT, 'no room'); END")
        journal.log(model).finish(make_job(1))

        with pytest.raises(RunError, match="no room"):
            journal.close()
        Journal.open(path).close()


class TestWords:
    def test_a_database_that_is_full(self, path: Path) -> None:
        database = sqlite3.connect(":memory:")
        database.execute("PRAGMA max_page_count = 2")
        database.execute("CREATE TABLE t (x)")
        with pytest.raises(sqlite3.Error) as caught:
            database.execute("INSERT INTO t VALUES (zeroblob(100000))")
        database.close()

        assert explain(path, caught.value) == (
            f"{path} cannot be read or written (database or disk is full). Check the disk and its free space."
        )

    def test_a_file_that_another_program_holds(
        self, new_journal: NewJournal, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        new_journal().close()
        monkeypatch.setattr("hivetrace_core.runs.database._BUSY_S", 0.01)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")

        with pytest.raises(RunError, match=r"run.db is in use by another program\. Close it there"):
            JournalReader(path)
        holder.close()

    def test_a_file_that_cannot_be_opened(self, new_journal: NewJournal, path: Path, query: Query) -> None:
        new_journal().close()
        query("PRAGMA journal_mode=WAL")
        path.with_name("run.db-wal").mkdir()

        with pytest.raises(RunError, match=r"run.db cannot be opened \(unable to open database file\)"):
            JournalReader(path)

    def test_a_database_without_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match=r"no/run.db cannot be made: No such file or directory\."):
            create_database(tmp_path / "no" / "run.db")

    def test_a_file_system_without_locks(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def flock(*_: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", flock)

        with pytest.raises(RunError, match=r"cannot be locked: No locks available\. Keep the run in a local folder"):
            RunLock(path)

    def test_a_holder_that_left_no_note(self, path: Path) -> None:
        lock = RunLock(path)
        path.write_text("")

        with pytest.raises(RunError, match=r"is being written by another process\. Wait for its end"):
            RunLock(path)
        lock.release()


class TestFileIsNotOurs:
    def _refused(self, path: Path) -> str:
        messages = set()
        for open_it in (JournalReader, Journal.open):
            with pytest.raises(RunError) as caught:
                open_it(path)
            messages.add(str(caught.value))
        RunLock(path.with_name("run.lock")).release()  # nothing stayed locked
        assert len(messages) == 1
        return messages.pop()

    def test_no_file(self, path: Path) -> None:
        assert self._refused(path) == (
            f"There is no run in {path.parent}: run.db is missing. Name the folder of a run."
        )

    def test_a_folder_that_is_no_run_is_left_as_it_is(self, path: Path) -> None:
        with pytest.raises(RunError):
            Journal.open(path)

        assert list(path.parent.iterdir()) == []

    def test_no_database(self, path: Path) -> None:
        path.write_text("prompt,answer\n" * 100)

        assert "is not the journal of a run" in self._refused(path)

    def test_another_database(self, path: Path, query: Query) -> None:
        query("CREATE TABLE cats (name)")

        assert self._refused(path) == f"{path} is an SQLite database, but not the journal of a run."

    @pytest.mark.parametrize(
        "sql",
        [
            "DELETE FROM meta WHERE key = 'schema_version'",
            "UPDATE meta SET value = x'2278'",
            "UPDATE meta SET value = x'30'",
        ],
    )
    def test_no_version(self, new_journal: NewJournal, path: Path, query: Query, sql: str) -> None:
        new_journal().close()
        query(sql)

        assert "is damaged" in self._refused(path)

    def test_a_newer_version(self, new_journal: NewJournal, path: Path, query: Query) -> None:
        new_journal().close()
        query("UPDATE meta SET value = ? WHERE key = 'schema_version'", json.dumps(2).encode())

        assert self._refused(path) == (
            f"{path} was made by a newer hivetrace (journal version 2, this one reads 1). "
            "Upgrade: pip install -U hivetrace-core."
        )

    @pytest.mark.parametrize("table", ["models", "prompts", "outcomes", "attempts"])
    def test_a_missing_table(self, new_journal: NewJournal, path: Path, query: Query, table: str) -> None:
        new_journal().close()
        query(f"DROP TABLE {table}")

        with pytest.raises(RunError, match=rf"is damaged \(no such table: .*{table}\).*\.recover"):
            _read_all(path)

    def test_missing_prompts(self, new_journal: NewJournal, path: Path, query: Query) -> None:
        new_journal().close()
        query("DELETE FROM prompts WHERE id = 2")

        assert "3 prompts were copied into it, and the last one in it is number 1" in self._refused(path)

    def test_content_that_no_journal_has(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, path: Path, query: Query
    ) -> None:
        journal = new_journal()
        journal.log(model).finish(make_job(0))
        journal.close()
        query("UPDATE outcomes SET response = x'7b22'")

        with pytest.raises(RunError, match="is damaged"):
            _read_all(path)

    def test_a_folder_in_its_place(self, path: Path) -> None:
        path.mkdir()

        assert "run.db is missing" in self._refused(path)


def _read_all(path: Path) -> None:
    with JournalReader(path) as reader:
        for model in reader.models:
            list(reader.pending(model))
            list(reader.outcomes(model))
            reader.tally(model)
            reader.count_in_doubt(model)
    export(path.parent)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole journal, as bytes."""
    path = tmp_path_factory.mktemp("sound") / "run.db"
    model = ModelRow(1, "m", "core:simulated", None, {})
    prompts = [PromptRow(f"prompt {n}" * 50, {"n": n}) for n in range(40)]
    journal = Journal.create(path, meta={"name": "n"}, models=[model], prompts=prompts)
    for n in range(30):
        job = Job(n, "x")
        job.result = {"content": "y" * 500, "response_metadata": {"outcome": "answered"}}
        journal.log(model).finish(job)
    journal.close()
    return path.read_bytes()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_a_run_error_or_harmless(data: st.DataObject, sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    damaged = bytearray(sound)
    at = data.draw(st.integers(0, 200) | st.integers(0, len(sound) - 1), label="at")
    patch = data.draw(st.binary(min_size=1, max_size=40), label="patch")
    damaged[at : at + len(patch)] = patch
    path.write_bytes(damaged[: data.draw(st.just(len(sound)) | st.integers(1, len(sound)), label="length")])
    for rest in ("-journal", "-wal", "-shm"):
        path.with_name(f"run.db{rest}").unlink(missing_ok=True)

    errors = []
    for read in (_read_all, lambda file: Journal.open(file).close()):
        try:
            read(path)
        except RunError as error:
            errors.append(str(error))

    assert all(str(path) in error for error in errors)


def test_a_broken_page_is_found_before_anything_is_sent(sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    page = int.from_bytes(sound[16:18], "big")
    path.write_bytes(sound[:-page] + b"\xff" * page)

    with pytest.raises(RunError, match=r"is damaged \(.*Page|is damaged \(.*page"):
        Journal.open(path)


def test_sqlite_of_this_python_is_built_for_threads() -> None:
    # The journal's connections move between threads, though only one uses each at a time.
    assert sqlite3.threadsafety >= 1
