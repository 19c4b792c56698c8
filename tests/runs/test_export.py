"""Exports: lossless as JSON lines, safe as CSV, whole or not at all."""

import asyncio
import csv
import io
import json
import os
import stat
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core import ConfigError, RunError, export
from hivetrace_core.engine.dispatch import Job
from hivetrace_core.runs.journal import Journal
from hivetrace_core.runs.prompts import PromptRow
from hivetrace_core.runs.reader import ModelRow
from hivetrace_core.runs.rows import CSV_FIELDS, _iso, column_names
from hivetrace_core.runs.visible import spreadsheet_cell, visible

MakeJob = Callable[..., Job]
NewJournal = Callable[..., Journal]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


@pytest.fixture
def recorded(path: Path, make_job: MakeJob) -> Callable[..., Path]:
    """The folder of a run of two models with these prompts and jobs."""

    def _recorded(prompts: list[PromptRow], *jobs: Job) -> Path:
        models = [ModelRow(n, f"m{n}", "core:simulated", "sim", {}) for n in (1, 2)]
        journal = Journal.create(path, meta={}, models=models, prompts=prompts)
        for model in models:
            log = journal.log(model)
            for job in jobs:
                log.finish(job)
        journal.close()
        return path.parent

    return _recorded


class TestJsonLines:
    def test_rows_come_model_by_model_in_the_order_of_the_prompts(
        self, recorded: Callable[..., Path], make_job: MakeJob
    ) -> None:
        prompts = [PromptRow(f"prompt {n}", {"category": f"c{n}"}) for n in range(4)]
        folder = recorded(prompts, make_job(2), make_job(0))

        (file,) = export(folder, formats=["jsonl"])

        assert file == folder / "responses.jsonl"
        assert [(row["model"], row["index"], row["prompt"], row["category"]) for row in lines(file)] == [
            (model, n, f"prompt {n}", f"c{n}") for model in ("m1", "m2") for n in (0, 2)
        ]

    def test_prompt_and_response_are_kept_to_the_letter(self, recorded: Callable[..., Path], make_job: MakeJob) -> None:
        nasty = "\ud800 \x1b[2J\x7f\x00\u202e ж 😀 \u2028\r\n"
        messages = [{"role": "user", "content": [{"type": "text", "text": nasty}]}]
        job = make_job(0, content=nasty, error={"kind": "server", "message": nasty}, outcome="failed")
        folder = recorded([PromptRow(messages, {"note": nasty})], job)

        row = lines(export(folder)[0])[0]

        assert row["prompt"] == messages
        assert row["note"] == row["content"] == row["error"]["message"] == nasty
        assert row["response"] == job.result
        assert (row["outcome"], row["attempts"], row["in_doubt"]) == ("failed", 1, False)
        assert row["finished_at"].startswith("20")

    def test_nothing_in_the_file_acts_on_a_terminal(self, recorded: Callable[..., Path], make_job: MakeJob) -> None:
        every = "".join(map(chr, range(0x300)))
        folder = recorded([PromptRow(every, {every: every})], make_job(0, content=every))

        content = export(folder)[0].read_bytes()

        assert not {byte for byte in content if byte < 32 or byte > 126} - {10}

    def test_an_answer_has_no_error(self, recorded: Callable[..., Path], make_job: MakeJob) -> None:
        assert "error" not in lines(export(recorded([PromptRow("a")], make_job(0)))[0])[0]


def test_a_time_is_that_of_the_clock_to_the_millisecond() -> None:
    assert _iso(1_700_000_000.123) == "2023-11-14T22:13:20.123+00:00"
    assert _iso(1_699_999_999.9999999) == "2023-11-14T22:13:20.000+00:00"


class TestCsv:
    def test_the_columns(self, recorded: Callable[..., Path], make_job: MakeJob) -> None:
        job = make_job(0, content="sorry", outcome="blocked")
        job.result["response_metadata"] |= {
            "model_name": "sim-1",
            "provider": "simulated",
            "finish_reason": "content_filter",
            "native_finish_reason": "filter",
            "block": {"stage": "prompt", "rule": "r1", "categories": [{"name": "hate"}, {"name": "self-harm"}]},
            "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
            "latency_s": 0.25,
            "request_id": "req",
        }
        folder = recorded([PromptRow([{"role": "user", "content": "ж"}], {"n": 7, "none": None})], job)

        row = table(export(folder, formats=["csv"])[0])[0]

        finished_at = row.pop("finished_at")
        assert finished_at.startswith("20")
        assert row == {
            "model": "m1",
            "index": "0",
            "prompt": '[{"role": "user", "content": "ж"}]',
            "n": "7",
            "none": "",
            "outcome": "blocked",
            "content": "sorry",
            "finish_reason": "content_filter",
            "native_finish_reason": "filter",
            "block_stage": "prompt",
            "block_rule": "r1",
            "block_categories": "hate, self-harm",
            "error_kind": "",
            "error_message": "",
            "error_status": "",
            "model_name": "sim-1",
            "provider": "simulated",
            "attempts": "1",
            "in_doubt": "false",
            "latency_s": "0.25",
            "input_tokens": "1",
            "output_tokens": "2",
            "total_tokens": "3",
            "request_id": "req",
        }

    def test_a_failure_says_why(self, recorded: Callable[..., Path], make_job: MakeJob) -> None:
        error = {"kind": "rate_limit", "message": "slow down", "status": 429}

        row = table(export(recorded([PromptRow("a")], make_job(0, outcome="failed", error=error)))[1])[0]

        assert (row["error_kind"], row["error_message"], row["error_status"]) == ("rate_limit", "slow down", "429")

    def test_metadata_of_any_shape_is_no_fault(self, recorded: Callable[..., Path], make_job: MakeJob) -> None:
        job = make_job(0, content={"a": ["ж"]}, error="text")
        job.result["response_metadata"] |= {"block": {"categories": 5}, "usage": "many", "request_id": ["x"]}
        other = make_job(1)
        other.result["response_metadata"] = None
        other.result["model"] = "top"

        rows = table(export(recorded([PromptRow("a"), PromptRow("b")], job, other))[1])

        assert rows[0]["content"] == '{"a": ["ж"]}'
        assert rows[0]["request_id"] == '["x"]'
        assert rows[1]["model_name"] == "top"

    def test_a_spreadsheet_sees_utf_8_and_no_formula(self, recorded: Callable[..., Path], make_job: MakeJob) -> None:
        folder = recorded(
            [PromptRow("=1+1", {"=x": "@SUM(A1)", "n": -5, "s": "-5"})], make_job(0, content='=HYPERLINK("http://x")')
        )

        file = export(folder)[1]

        assert file.read_bytes().startswith(b"\xef\xbb\xbf")
        row = table(file)[0]
        assert row["prompt"] == "'=1+1"
        assert row["'=x"] == "'@SUM(A1)"
        assert row["content"] == '\'=HYPERLINK("http://x")'
        assert (row["n"], row["s"]) == ("-5", "-5")

    def test_every_cell_stays_in_its_row(self, recorded: Callable[..., Path], make_job: MakeJob) -> None:
        text = 'a"b,c\r\nd\re;f\n'
        folder = recorded([PromptRow(text, {"x": text})], make_job(0, content=text))

        rows = table(export(folder)[1])

        assert len(rows) == 2
        assert rows[0]["prompt"] == rows[0]["x"] == rows[0]["content"] == 'a"b,c\nd\\x0de;f\n'


class TestColumns:
    def test_a_taken_name_gets_a_prefix(self, recorded: Callable[..., Path], make_job: MakeJob) -> None:
        extra = {"model": "mine", "prompt_model": "too", "category": "c"}
        folder = recorded([PromptRow("a", extra)], make_job(0))

        as_json, as_csv = (read(file)[0] for read, file in zip((lines, table), export(folder), strict=True))

        for row in (as_json, as_csv):
            assert row["model"] == "m1"
            assert row["prompt_prompt_model"] == "mine"
            assert row["prompt_model"] == "too"
            assert row["category"] == "c"

    @given(st.lists(st.sampled_from([*CSV_FIELDS, "prompt_model", "prompt_prompt_model", "x", ""]), unique=True))
    def test_names_are_never_shared(self, columns: list[str]) -> None:
        names = column_names(columns, CSV_FIELDS)

        assert list(names) == columns
        assert len({*names.values(), *CSV_FIELDS}) == len(columns) + len(CSV_FIELDS)

    def test_columns_that_only_some_rows_have(self, recorded: Callable[..., Path], make_job: MakeJob) -> None:
        rows = table(
            export(recorded([PromptRow("a", {"x": 1}), PromptRow("b", {"y": 2})], make_job(0), make_job(1)))[1]
        )

        assert [(row["x"], row["y"]) for row in rows[:2]] == [("1", ""), ("", "2")]


class TestFiles:
    def test_both_formats_by_default_for_the_owner_only(self, recorded: Callable[..., Path], make_job: MakeJob) -> None:
        folder = recorded([PromptRow("a")], make_job(0))

        files = export(folder)

        assert [file.name for file in files] == ["responses.jsonl", "responses.csv"]
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
        assert {file.name for file in folder.iterdir()} == {"run.db", "run.lock", "responses.jsonl", "responses.csv"}

    def test_another_folder_is_made(self, recorded: Callable[..., Path], make_job: MakeJob, tmp_path: Path) -> None:
        (file,) = export(
            str(recorded([PromptRow("a")], make_job(0))), formats=("csv", "csv"), output_dir=str(tmp_path / "x" / "y")
        )

        assert file == tmp_path / "x" / "y" / "responses.csv"

    def test_an_unknown_format(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="no export format 'xlsx'; formats are jsonl, csv"):
            export(tmp_path, formats=["xlsx"])

    def test_no_run(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="There is no run in"):
            export(tmp_path)

    def test_a_file_in_the_way_of_the_folder(
        self, recorded: Callable[..., Path], make_job: MakeJob, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("x")

        with pytest.raises(RunError, match=r"jsonl cannot be written: (Not a directory|File exists)\. Choose"):
            export(recorded([PromptRow("a")], make_job(0)), output_dir=tmp_path / "file")

    def test_an_export_that_fails_leaves_the_old_one(
        self, recorded: Callable[..., Path], make_job: MakeJob, query: Callable[..., Any]
    ) -> None:
        folder = recorded([PromptRow("a"), PromptRow("b")], make_job(0), make_job(1))
        (file,) = export(folder, formats=["jsonl"])
        before = file.read_bytes()
        query("UPDATE outcomes SET response = x'00' WHERE prompt_id = 1")

        with pytest.raises(RunError, match="is damaged"):
            export(folder, formats=["jsonl"])

        assert file.read_bytes() == before
        assert {entry.name for entry in folder.iterdir()} == {"run.db", "run.lock", "responses.jsonl"}

    def test_a_run_that_goes_on_can_be_exported(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, path: Path
    ) -> None:
        async def scenario() -> None:
            journal = new_journal()
            journal.log(model).finish(make_job(1))
            await journal.flush()

        asyncio.run(scenario())

        assert [row["index"] for row in lines(export(path.parent)[0])] == [1]

    def test_a_folder_that_is_read_only_can_be_read(
        self, recorded: Callable[..., Path], make_job: MakeJob, tmp_path: Path
    ) -> None:
        folder = recorded([PromptRow("a")], make_job(0))
        before = {entry: os.stat(entry).st_mtime_ns for entry in [folder, *folder.iterdir()]}  # noqa: PTH116

        export(folder, output_dir=tmp_path / "out")

        assert {entry: os.stat(entry).st_mtime_ns for entry in [folder, *folder.iterdir()]} == before  # noqa: PTH116

    def test_memory_does_not_grow_with_the_run(
        self, new_journal: NewJournal, model: ModelRow, make_job: MakeJob, path: Path
    ) -> None:
        journal = new_journal(400)
        log = journal.log(model)
        for n in range(400):
            log.finish(make_job(n, content="x" * 20_000))
        journal.close()
        tracemalloc.start()
        export(path.parent)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert peak < 2_000_000


class TestVisible:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("plain ж 😀\ttab\nline", "plain ж 😀\ttab\nline"),
            ("\x1b[2J\x07\x00", "\\x1b[2J\\x07\\x00"),
            ("a\r\nb\rc", "a\nb\\x0dc"),
            ("\x7f\x9b31m", "\\x7f\\x9b31m"),
            ("a\u202eb\u2066c\u200f", "a\\u202eb\\u2066c\\u200f"),
            ("\ud800", "\\ud800"),
        ],
    )
    def test_what_acts_is_written_out(self, text: str, shown: str) -> None:
        assert visible(text) == shown

    @given(st.text(st.characters()))
    def test_it_can_always_be_printed(self, text: str) -> None:
        shown = visible(text)

        shown.encode("utf-8")
        assert visible(shown) == shown

    @pytest.mark.parametrize(
        "text",
        ["=", "=1", "+1+1", "-x", "@a", "\t=1", "\tx", " =1", "\n=1", "\uff1d1", "\uff20a", "-1-1", "--5", "+e5"],
    )
    def test_formulas_are_disarmed(self, text: str) -> None:
        assert spreadsheet_cell(text) == f"'{text}"

    def test_a_carriage_return_in_front_is_written_out(self) -> None:
        assert spreadsheet_cell("\r=1") == "\\x0d=1"

    @pytest.mark.parametrize("text", ["", "a=1", "-5", "+5.25", "-1e-9", "-.5", "1+1", "'=1", "5."])
    def test_the_rest_is_left_alone(self, text: str) -> None:
        assert spreadsheet_cell(text) == text
