"""What the journal keeps, and when."""

import asyncio
import json
import math
import stat
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivetrace_core import ConfigError, ModelError, RunError
from hivetrace_core.engine.dispatch import Job
from hivetrace_core.redaction import Redactor
from hivetrace_core.responses import Reply
from hivetrace_core.runs import reader as reader_module
from hivetrace_core.runs.blobs import decode, encode
from hivetrace_core.runs.journal import Journal
from hivetrace_core.runs.prompts import PromptRow
from hivetrace_core.runs.reader import JournalReader, ModelRow, Wanted

MakeJob = Callable[..., Job]
NewJournal = Callable[..., Journal]
Query = Callable[..., list[Any]]

SECRET = "sk-0123456789abcdef"


def pending(journal: Journal, model: ModelRow, wanted: Wanted | None = None) -> list[int]:
    return [prompt.index for prompt in journal.reader.pending(model, wanted or Wanted())]


async def record(journal: Journal, model: ModelRow, *jobs: Job) -> None:
    log = journal.log(model)
    for job in jobs:
        await log.started(job)
        log.finish(job)
    await journal.flush()


class TestWriting:
    def test_an_intent_is_committed_before_the_request_may_go(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, query: Query
    ) -> None:
        async def scenario() -> list[Any]:
            await new_journal().log(model).started(make_job(1))
            return query("SELECT model_id, prompt_id, attempt, ended_at, error FROM attempts")

        assert asyncio.run(scenario()) == [(1, 1, 1, None, None)]

    def test_an_outcome_comes_with_its_response_and_the_raw_reply(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, query: Query
    ) -> None:
        usage = {"input_tokens": 3, "output_tokens": 4}
        job = make_job(2, attempts=2, reply=Reply({"id": 7}, 200, {"x-request-id": "r"}))
        job.result["response_metadata"] |= {"outcome": "blocked", "usage": usage}

        asyncio.run(record(new_journal(), model, job))

        rows = query("SELECT * FROM outcomes")
        assert [row[:6] for row in rows] == [(1, 2, "blocked", None, 2, 0)]
        assert rows[0][7:9] == (3, 4)
        assert decode(rows[0][9]) == job.result
        assert decode(rows[0][10]) == {"status": 200, "headers": {"x-request-id": "r"}, "payload": {"id": 7}}
        assert query("SELECT attempt, ended_at IS NULL FROM attempts") == [(2, 0)]

    def test_failed_attempts_keep_their_errors(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, query: Query
    ) -> None:
        async def scenario() -> None:
            journal = new_journal()
            log = journal.log(model)
            job = make_job(0)
            await log.started(job)
            log.attempt_failed(job, ModelError("try later", kind="rate_limit", status=429, retry_after=2.0), 2.0)
            job.attempts = 2
            await log.started(job)
            log.attempt_failed(job, ModelError("broken", kind="server", status=500), None)
            job.result = {"content": "", "error": {"kind": "server", "message": "broken"}}
            log.finish(job)
            await journal.flush()

        asyncio.run(scenario())

        errors = [decode(blob) for (blob,) in query("SELECT error FROM attempts ORDER BY attempt")]
        assert [(error["kind"], error["status"], error.get("retry_after")) for error in errors] == [
            ("rate_limit", 429, 2.0),
            ("server", 500, None),
        ]
        assert query("SELECT count(*) FROM attempts WHERE ended_at IS NULL") == [(0,)]
        assert query("SELECT outcome, error_kind, attempts, raw FROM outcomes") == [("failed", "server", 2, None)]

    def test_a_prompt_that_was_never_sent_can_have_an_outcome(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, query: Query
    ) -> None:
        async def scenario() -> None:
            journal = new_journal()
            journal.log(model).finish(make_job(0, attempts=0, outcome="failed"))
            await journal.flush()

        asyncio.run(scenario())

        assert query("SELECT outcome, attempts FROM outcomes") == [("failed", 0)]
        assert query("SELECT count(*) FROM attempts") == [(0,)]

    def test_many_at_once_are_all_kept(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, query: Query
    ) -> None:
        async def scenario() -> None:
            journal = new_journal(500)
            await asyncio.gather(*(record(journal, model, make_job(n)) for n in range(500)))

        asyncio.run(scenario())

        assert query("SELECT count(*), count(DISTINCT prompt_id) FROM outcomes") == [(500, 500)]

    def test_several_event_loops_may_write(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, query: Query
    ) -> None:
        journal = new_journal(40)
        jobs = [make_job(n) for n in range(40)]
        threads = [
            threading.Thread(target=lambda part=part: asyncio.run(record(journal, model, *part)))
            for part in (jobs[:20], jobs[20:])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert query("SELECT count(*) FROM outcomes") == [(40,)]

    def test_what_waits_when_the_journal_is_closed_is_still_written(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, query: Query
    ) -> None:
        journal = new_journal()
        log = journal.log(model)
        for n in range(3):
            log.finish(make_job(n))
        journal.close()
        journal.close()

        assert query("SELECT count(*) FROM outcomes") == [(3,)]
        with pytest.raises(RunError, match="has been closed"):
            log.finish(make_job(0))

    def test_an_intent_that_was_cancelled_in_time_is_forgotten(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, query: Query
    ) -> None:
        async def scenario() -> None:
            journal = new_journal()
            task = asyncio.ensure_future(journal.log(model).started(make_job(0)))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await journal.flush()

        asyncio.run(scenario())

        assert query("SELECT count(*) FROM attempts") == [(0,)]


class TestFiles:
    def test_the_file_is_for_its_owner_and_plain_when_closed(self, new_journal: NewJournal, path: Path) -> None:
        journal = new_journal()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        journal.close()

        assert set(modes) == {"run.db", "run.db-wal", "run.db-shm", "run.lock"}
        assert set(modes.values()) == {0o600}
        assert {file.name for file in path.parent.iterdir()} == {"run.db", "run.lock"}
        assert path.read_bytes()[18:20] == b"\x01\x01"  # not in the mode that needs files beside it

    def test_it_can_be_read_while_it_is_written(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, path: Path
    ) -> None:
        async def scenario() -> list[int]:
            journal = new_journal()
            await record(journal, model, make_job(1))
            with JournalReader(path) as other:
                return [recorded.index for recorded in other.outcomes(model)]

        assert asyncio.run(scenario()) == [1]

    def test_prompts_that_cannot_be_read_leave_no_file(self, new_journal: NewJournal, path: Path) -> None:
        def broken() -> Iterator[PromptRow]:
            yield PromptRow("a")
            raise ConfigError("row 2 is wrong")

        with pytest.raises(ConfigError, match="row 2 is wrong"):
            new_journal(broken())

        assert not path.exists()
        new_journal()  # and nothing is locked

    def test_an_existing_file_is_not_touched(self, new_journal: NewJournal, path: Path) -> None:
        path.write_text("mine")

        with pytest.raises(RunError, match="exists already"):
            new_journal()
        assert path.read_text() == "mine"

    def test_a_folder_that_does_not_exist(self, model: ModelRow, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="cannot be made"):
            Journal.create(tmp_path / "no" / "run.db", meta={}, models=[model], prompts=[PromptRow("a")])

    def test_copying_prompts_takes_no_memory(self, new_journal: NewJournal) -> None:
        tracemalloc.start()
        new_journal(PromptRow("x" * 1000) for _ in range(10_000))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert peak < 2_000_000


class TestReading:
    def test_prompts_models_and_meta_come_back(self, new_journal: NewJournal, path: Path, model: ModelRow) -> None:
        messages = [{"role": "user", "content": "\ud800"}]
        rows = [PromptRow("a\0", {"x": 1}), PromptRow(messages, {"y": None}), PromptRow("ж" * 5_000_000)]
        new_journal(rows, meta={"name": "n", "list": [1]}).close()

        with JournalReader(path) as reader:
            assert reader.meta["name"] == "n"
            assert reader.meta["list"] == [1]
            assert reader.models == [model]
            assert reader.prompts == 3
            assert reader.columns == ["x", "y"]
            assert [prompt.prompt for prompt in reader.pending(model)] == ["a\0", messages, "ж" * 5_000_000]

    def test_every_state_of_a_prompt_is_told_apart(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob
    ) -> None:
        async def scenario() -> Journal:
            journal = new_journal(5)
            log = journal.log(model)
            await record(journal, model, make_job(0), make_job(1, outcome="failed"))
            await log.started(make_job(2))  # in doubt
            await log.started(make_job(3))
            log.attempt_failed(make_job(3), ModelError("x", kind="server"), 1.0)  # was waiting for its next attempt
            await journal.flush()
            return journal

        journal = asyncio.run(scenario())

        found = [(p.index, p.prompt, p.attempts, p.in_doubt) for p in journal.reader.pending(model)]
        assert found == [(2, "prompt 2", 1, True), (3, "prompt 3", 1, False), (4, "prompt 4", 0, False)]
        assert pending(journal, model, Wanted(in_doubt=False)) == [3, 4]
        assert pending(journal, model, Wanted(failed_before=math.inf)) == [1, 2, 3, 4]
        assert pending(journal, model, Wanted(failed_before=1.0)) == [2, 3, 4]
        assert journal.reader.count_pending(model) == 3
        assert journal.reader.count_pending(model, Wanted(in_doubt=False, failed_before=math.inf)) == 3
        assert journal.reader.count_in_doubt(model) == 1

    def test_pages_are_bounded_by_rows_and_by_bytes(
        self, new_journal: NewJournal, model: ModelRow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = new_journal([PromptRow("x" * 1000)] * 10)
        monkeypatch.setattr(reader_module, "PAGE_ROWS", 3)
        assert pending(journal, model) == list(range(10))

        monkeypatch.setattr(reader_module, "PAGE_BYTES", 1)
        assert pending(journal, model) == list(range(10))

    def test_large_prompts_are_not_all_in_memory(self, new_journal: NewJournal, model: ModelRow) -> None:
        journal = new_journal(PromptRow("x" * 1_000_000) for _ in range(40))
        tracemalloc.start()
        for _ in journal.reader.pending(model):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert peak < 25_000_000

    def test_outcomes_recorded_meanwhile_do_not_disturb_the_reading(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader_module, "PAGE_ROWS", 2)

        async def scenario() -> list[int]:
            journal = new_journal(7)
            found = []
            for prompt in journal.reader.pending(model):
                found.append(prompt.index)
                await record(journal, model, make_job(prompt.index))
            return found

        assert asyncio.run(scenario()) == list(range(7))

    def test_outcomes_come_in_the_order_of_the_prompts(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob
    ) -> None:
        async def scenario() -> list[tuple[int, Any, Any]]:
            journal = new_journal(4)
            await record(journal, model, *(make_job(n, content=f"to {n}") for n in (3, 0, 2)))
            return [(r.index, r.prompt, r.response["content"]) for r in journal.reader.outcomes(model)]

        assert asyncio.run(scenario()) == [(0, "prompt 0", "to 0"), (2, "prompt 2", "to 2"), (3, "prompt 3", "to 3")]

    def test_the_tally(self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob) -> None:
        jobs = [make_job(n, outcome=outcome) for n, outcome in enumerate(["answered", "blocked", "answered"])]
        for job in jobs:
            job.result["response_metadata"]["usage"] = {"input_tokens": 2, "output_tokens": None, "x": "y"}

        async def scenario() -> Any:
            journal = new_journal()
            await record(journal, model, *jobs)
            return journal.reader.tally(model)

        tally = asyncio.run(scenario())

        assert tally.counts == {"answered": 2, "blocked": 1}
        assert (tally.input_tokens, tally.output_tokens, tally.resent_in_doubt) == (6, 0, 0)

    def test_models_do_not_mix(self, path: Path, make_job: MakeJob) -> None:
        models = [ModelRow(n, f"m{n}", "core:simulated", None, {}) for n in (1, 2)]

        async def scenario() -> Journal:
            prompts = [PromptRow("a"), PromptRow("b")]
            journal = Journal.create(path, meta={}, models=models, prompts=prompts)
            await record(journal, models[0], make_job(0))
            await record(journal, models[1], make_job(1))
            return journal

        journal = asyncio.run(scenario())

        assert [pending(journal, one) for one in models] == [[1], [0]]
        journal.close()


class TestGoingOn:
    def test_attempts_are_numbered_on_and_what_was_in_doubt_is_marked(
        self, new_journal: NewJournal, path: Path, model: ModelRow, make_job: MakeJob, query: Query
    ) -> None:
        async def first() -> None:
            journal = new_journal()
            log = journal.log(model)
            await log.started(make_job(0))
            log.attempt_failed(make_job(0), ModelError("x", kind="server"), 0.0)
            await log.started(make_job(0, attempts=2))
            journal.close()

        async def second() -> list[bool]:
            journal = Journal.open(path)
            log = journal.log(model)
            marks = []
            for index, _ in log.pending():
                job = make_job(index)
                await log.started(job)
                log.attempt_failed(job, ModelError("x", kind="server"), 0.0)
                job.attempts = 2
                await log.started(job)
                marks.append(log.finish(job))
            journal.close()
            return marks

        asyncio.run(first())
        marks = asyncio.run(second())

        assert marks == [True, False, False]
        assert query("SELECT prompt_id, attempts, in_doubt FROM outcomes") == [(0, 4, 1), (1, 2, 0), (2, 2, 0)]
        attempts = query("SELECT attempt, ended_at IS NULL, error IS NULL FROM attempts WHERE prompt_id = 0")
        assert attempts == [(1, 0, 0), (2, 1, 1), (3, 0, 0), (4, 0, 1)]

    def test_a_replaced_outcome_is_kept_in_the_history(
        self, new_journal: NewJournal, path: Path, model: ModelRow, make_job: MakeJob, query: Query
    ) -> None:
        async def scenario() -> None:
            journal = new_journal()
            await record(journal, model, make_job(0, outcome="failed", content="first"), make_job(1))
            log = journal.log(model)
            for index, _ in log.pending(Wanted(failed_before=math.inf)):
                if index == 0:
                    await log.started(make_job(0))
                    log.finish(make_job(0, content="second"))
            await journal.flush()

        asyncio.run(scenario())

        kept = query("SELECT prompt_id, outcome, attempts FROM outcomes ORDER BY prompt_id")
        assert kept == [(0, "answered", 2), (1, "answered", 1)]
        ((outcome, response),) = query("SELECT outcome, response FROM history")
        assert outcome == "failed"
        assert decode(response)["content"] == "first"


class TestSecrets:
    def test_nothing_that_is_written_holds_one(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, path: Path
    ) -> None:
        reply = Reply({"echo": f"key {SECRET}", SECRET: 1}, 400, {"set-cookie": "session=abc", "x": SECRET})
        job = make_job(0, content=f"your key is {SECRET}", reply=reply, rubbish={SECRET, 1}, bytes=SECRET.encode())

        async def scenario() -> None:
            journal = new_journal(secrets=(SECRET,), meta={"config": {"x": [SECRET]}})
            log = journal.log(model)
            await log.started(job)
            log.attempt_failed(job, ModelError(f"refused {SECRET}", kind="server"), None)
            log.finish(job)
            journal.close()

        asyncio.run(scenario())

        content = path.read_bytes()
        assert SECRET.encode() not in content
        assert b"session=abc" not in content
        assert content.count(b"***") >= 6

    def test_params_are_masked_by_their_names(self, path: Path) -> None:
        model = ModelRow(1, "m", "core:x", None, {"api_key": "short", "headers": {"authorization": "abc"}, "seed": 1})
        Journal.create(path, meta={}, models=[model], prompts=[PromptRow("a")]).close()

        with JournalReader(path) as reader:
            assert reader.models[0].params == {"api_key": "***", "headers": {"authorization": "***"}, "seed": 1}

    def test_prompts_are_sent_as_they_are(self, new_journal: NewJournal, model: ModelRow) -> None:
        journal = new_journal([PromptRow(f"is {SECRET} your key?")], secrets=(SECRET,))

        assert [prompt.prompt for prompt in journal.reader.pending(model)] == [f"is {SECRET} your key?"]

    @settings(max_examples=50, deadline=None)
    @given(st.text(['"', "\\", "\n", "ж", "a", "\x1f", "/"], min_size=6, max_size=10))
    def test_a_secret_is_found_however_often_it_was_escaped(self, inner: str) -> None:
        secret = f"a{inner}z"
        redactor = Redactor([secret])
        for text in (secret, json.dumps(secret), json.dumps(secret, ensure_ascii=False)):
            blob = encode({"content": f"-{text}-"}, redactor)

            assert decode(blob) == redactor.data({"content": f"-{text}-"})
            assert secret not in decode(blob)["content"]


class TestBlobs:
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
            max_leaves=10,
        )
    )
    def test_json_comes_back_as_it_was(self, value: Any) -> None:
        assert decode(encode(value)) == value

    def test_lone_surrogates_come_back(self) -> None:
        assert decode(encode(["\ud800", "\udfff x \ud83d"])) == ["\ud800", "\udfff x \ud83d"]

    def test_what_json_cannot_say_becomes_text(self) -> None:
        class Odd:
            def __repr__(self) -> str:
                return "an odd thing"

        value = {
            "nan": math.nan,
            "inf": [math.inf, -math.inf],
            "set": {1},
            "tuple": (1, 2),
            "bytes": b"\xff",
            "odd": Odd(),
            "date": date(2026, 11, 23),
            "flag": True,
            ("a", 1): None,
        }

        assert decode(encode(value)) == {
            "nan": "NaN",
            "inf": ["Infinity", "-Infinity"],
            "set": [1],
            "tuple": [1, 2],
            "bytes": "b'\\xff'",
            "odd": "an odd thing",
            "date": "2026-11-23",
            "flag": True,
            "('a', 1)": None,
        }

    def test_rubbish_is_never_an_error(self) -> None:
        class Mean:
            def __repr__(self) -> str:
                raise RuntimeError("no")

        endless: list[Any] = []
        endless.append(endless)
        deep: Any = 1
        for _ in range(5000):
            deep = [deep]

        blobs = [encode(value) for value in (Mean(), endless, deep, {"n": 10**5000})]

        assert all(isinstance(json.loads(blob), (str, list, dict)) for blob in blobs)

    @pytest.mark.parametrize("blob", [None, "{}", b"{", b"\xff", b"[" * 100_000])
    def test_what_was_not_encoded_is_not_decoded(self, blob: Any) -> None:
        with pytest.raises(ValueError, match=r"."):
            decode(blob)
