import io
import os
import pty
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from hivetrace_core.cli.closing import remarks, resume_command, show_closing
from hivetrace_core.cli.progress import Progress
from hivetrace_core.cli.watching import bars, line, watching
from hivetrace_core.errors import ErrorKind
from hivetrace_core.runs.events import (
    ModelFinished,
    ModelPlan,
    OutcomeRecorded,
    Retrying,
    RunFinished,
    RunResult,
    RunStarted,
)
from hivetrace_core.runs.summary import ModelSummary


def begun(counts: Mapping[str, int] | None = None, to_send: int = 10, *, retry_failed: bool = False) -> Progress:
    progress = Progress(retry_failed=retry_failed)
    plan = ModelPlan("m", "is m", to_send, 0, counts or {})
    progress(RunStarted(Path("runs/x"), "x", 10, (plan,), resumed=bool(counts)))
    return progress


def recorded(progress: Progress, outcome: str = "answered", *, kind: ErrorKind | None = None, tokens: int = 0) -> None:
    error = None if kind is None else {"kind": kind, "message": f"no {kind}", "retryable": False}
    progress(
        OutcomeRecorded("m", 0, outcome, error, 1, False, 0.1, tokens, tokens, {})  # type: ignore[arg-type]  # a literal dict
    )


def test_outcomes_failures_and_tokens_are_counted() -> None:
    progress = begun()
    recorded(progress, tokens=5)
    recorded(progress, "blocked")
    recorded(progress, "failed", kind="server")
    recorded(progress, "failed", kind="timeout")

    model = progress.models["m"]
    assert (model.done, model.total) == (4, 10)
    assert model.counts == {"answered": 1, "blocked": 1, "failed": 2}
    assert model.tokens == 10
    assert model.failures == {"server": 1, "timeout": 1}
    assert model.example == "no timeout"
    assert not model.finished


def test_what_earlier_processes_recorded_counts_as_done() -> None:
    model = begun({"answered": 4, "failed": 2}, to_send=4).models["m"]

    assert (model.done, model.total) == (6, 10)


def test_what_is_left_alone_is_not_waited_for() -> None:
    """In doubt and skipped: the bar still ends full."""
    model = begun({"answered": 4}, to_send=4).models["m"]

    assert (model.done, model.total) == (4, 8)


def test_failed_prompts_that_are_sent_again_are_not_done() -> None:
    progress = begun({"answered": 8, "failed": 2}, to_send=2, retry_failed=True)
    recorded(progress)

    model = progress.models["m"]
    assert (model.done, model.total) == (9, 10)
    assert model.counts["failed"] == 0


def test_a_model_with_nothing_to_send_is_finished() -> None:
    assert begun({"answered": 10}, to_send=0).models["m"].finished


def test_the_end_is_noted() -> None:
    progress = begun()
    result = RunResult(Path("runs/x"), 0, ())
    progress(ModelFinished(ModelSummary("m", "core:m", "m", 10)))
    progress(RunFinished(result))

    assert progress.models["m"].finished
    assert progress.result is result


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    model = begun().models["m"]
    now = time.monotonic()
    for second in range(1, 61):
        model.counts["answered"] += 100 if second <= 30 else 1
        model.rate(now + second)

    assert model.rate(now + 60) == pytest.approx(1.0, rel=0.05)


def test_a_long_wait_is_shown_and_a_short_one_is_not() -> None:
    progress = begun()
    progress(Retrying("m", 0, 1, 0.5, {"kind": "server", "message": "", "retryable": True}))
    short = line(progress.models["m"])
    progress(Retrying("m", 0, 1, 60.0, {"kind": "rate_limit", "message": "", "retryable": True}))
    long = line(progress.models["m"])
    progress(ModelFinished(ModelSummary("m", "core:m", "m", 10)))
    over = line(progress.models["m"])

    assert "server" not in short
    assert "ETA -" in short
    assert "rate_limit: waits 60 s" in long
    assert "rate_limit" not in over
    assert "ETA" not in over


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_bars_keep_to_their_lines_at_any_width(width: int) -> None:
    progress = begun()
    hostile = "[red]\x1b[31m" + "label " * 20
    progress.models["m"].label = hostile
    recorded(progress, "blocked", tokens=6_000)
    out = io.StringIO()
    console = Console(file=out, width=width, markup=False, highlight=False)

    console.print(bars(progress, width=width))

    (shown,) = out.getvalue().splitlines()
    assert len(shown) <= width - 2
    assert "[red]\\x1b" in shown or width < 80
    assert "\x1b" not in shown
    assert ("12.0k tokens" in shown) == (width >= 100)


def test_without_a_terminal_a_line_is_written_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    progress = begun()
    with watching(progress, every_s=0.02):
        recorded(progress)
        time.sleep(0.3)
        progress(ModelFinished(ModelSummary("m", "core:m", "m", 10)))
        time.sleep(0.1)
        capsys.readouterr()
        time.sleep(0.1)
        silent = capsys.readouterr().err

    assert silent == ""


def test_the_lines_say_where_each_model_stands(capsys: pytest.CaptureFixture[str]) -> None:
    progress = begun()
    recorded(progress, "blocked", tokens=3)
    with watching(progress, every_s=0.02):
        time.sleep(0.3)

    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith("m: 1/10, ")
    assert first.split(", ")[2:5] == ["1 blocked", "0 failed", "6 tokens"]


def test_on_a_terminal_there_are_bars_while_it_runs_and_none_at_the_end(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    config = {"models": [{"name": "simulated", "params": {"latency": 0.2, "batch_size": 4}}], "prompts": ["x"] * 20}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "hivetrace_core", "run", "run.yaml"],
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": "xterm", "COLUMNS": "120", "LINES": "20"},
    )
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 65536):
            seen += piece
    except OSError:
        pass  # how Linux reports the end
    os.close(ours)

    assert process.wait(30) == 0
    text = seen.decode()
    assert "━" in text
    assert "ETA" in text
    before, _, table = text.rpartition("MODEL")
    assert "\x1b[2K" in before[-20:]  # the bar's line is cleared before the table comes
    assert "━" not in table
    assert "Results: runs/" in table


@pytest.mark.parametrize("columns", [60, 80, 109, 110])
def test_the_closing_table_is_whole_at_any_width(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    counts = {"answered": 1_000, "blocked": 200, "failed": 3}
    result = RunResult(Path("runs/x"), 0, (ModelSummary("a [b]label[/b]", "core:m", "m", 1_203, counts),))

    show_closing(result, Progress(), again="AGAIN")

    lines = capsys.readouterr().out.splitlines()
    heads = [line for line in lines if line.startswith("MODEL")]
    assert len(heads) == (1 if columns >= 110 else 2)
    assert all(len(line) <= columns for line in lines[:-2])
    assert "a [b]label[/b]" in lines[1]
    assert any("16.7% [14.7%, 18.9%] of 1,200" in line for line in lines)


@pytest.mark.parametrize(
    ("left", "shown"), [(1, "ETA 1 s"), (59, "ETA 59 s"), (61, "ETA 1:01"), (3_725, "ETA 1:02:05")]
)
def test_remaining_time_reads_like_a_clock(left: int, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = begun()
    model = progress.models["m"]
    model.total = left
    monkeypatch.setattr(model, "rate", lambda now: 1.0)

    assert line(model).endswith(shown)


def test_remarks_say_what_is_left_and_why() -> None:
    models = (
        ModelSummary("a", "core:m", "m", 10, {"answered": 4}, in_doubt=2, stopped="Wrong\nkey"),
        ModelSummary("b", "core:m", "m", 10, {"answered": 10}, resent_in_doubt=1),
    )

    shown = list(remarks(RunResult(Path("/runs/x"), 3, models), Progress(), again="AGAIN"))

    assert shown == [
        "a: 6 left, 2 of them were under way when the run was interrupted; stopped early: Wrong\\nkey",
        "b: 1 may have been sent twice (marked in_doubt)",
        "Results: /runs/x",
        "Go on with: AGAIN",
    ]


def test_the_next_command_is_one_that_a_shell_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "bin" / "hivetrace"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(script), "run"])
    by_path = resume_command(tmp_path / "runs" / "a b", env_file=Path("it's.env"), config=Path("c.yaml"))
    monkeypatch.setenv("PATH", str(script.parent))
    by_name = resume_command(Path("/elsewhere/x"))

    assert by_path == "bin/hivetrace resume 'runs/a b' --config c.yaml --env-file 'it'\"'\"'s.env'"
    assert by_name == "hivetrace resume /elsewhere/x"
