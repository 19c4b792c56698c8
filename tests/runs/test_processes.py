"""Runs whose process ends in the middle: killed, interrupted, two at once."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hivetrace_core import RunError, resume
from hivetrace_core.runs.events import RunResult

PROMPTS = 250

_SCRIPT = """
    import sys
    from hivetrace_core import resume, run
    from hivetrace_core.runs.events import OutcomeRecorded, RunFinished, RunStarted

    def listen(event):
        if isinstance(event, RunStarted):
            print("started", event.folder, flush=True)
        elif isinstance(event, OutcomeRecorded):
            print("recorded", event.label, event.index, flush=True)
        elif isinstance(event, RunFinished):
            print("finished", event.result.exit_code, sum(m.recorded for m in event.result.models), flush=True)

    what, where = sys.argv[1:]
    try:
        {"run": run, "resume": resume}[what](where, listener=listen)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    lines = "".join(f'{n},"prompt ""{n}"",\nsecond line"\n' for n in range(PROMPTS))
    (tmp_path / "prompts.csv").write_text(f"id,prompt\n{lines}")
    path.write_text(
        "models:\n"
        "- {name: simulated, label: one, params: {latency: 0.02, latency_sigma: 1}}\n"
        "- {name: simulated, label: two, params: {latency: 0.03, rules: [{match: '7', outcome: blocked}]}}\n"
        "prompts: {file: prompts.csv}\nrun: {batch_size: 16}\n"
    )
    return path


@contextmanager
def process(what: str, where: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", textwrap.dedent(_SCRIPT), what, str(where)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as running:
        try:
            yield running
        finally:
            running.kill()


def started(running: "subprocess.Popen[str]") -> Path:
    assert running.stdout is not None
    word, folder = running.stdout.readline().split(maxsplit=1)
    assert word == "started"
    return Path(folder.rstrip("\n"))


def recorded(running: "subprocess.Popen[str]", count: int) -> list[tuple[str, int]]:
    assert running.stdout is not None
    found = []
    for _ in range(count):
        word, label, index = running.stdout.readline().split()
        assert word == "recorded"
        found.append((label, int(index)))
    return found


def rows(result: RunResult) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (result.folder / "responses.jsonl").read_text().splitlines()]


def test_a_killed_run_resumes_to_exactly_one_outcome_per_prompt_and_model(config: Path) -> None:
    with process("run", config) as first:
        folder = started(first)
        recorded(first, 80)
        first.send_signal(signal.SIGKILL)
    with process("resume", folder) as second:
        assert started(second) == folder
        recorded(second, 40)
        second.send_signal(signal.SIGKILL)

    result = resume(folder)

    assert result.exit_code == 0
    found = rows(result)
    assert Counter((row["model"], row["index"]) for row in found) == {
        (model, n): 1 for model in ("one", "two") for n in range(PROMPTS)
    }
    for row in found:
        assert row["id"] == str(row["index"])
        assert row["prompt"] == f'prompt "{row["index"]}",\nsecond line'
        assert row["response"]["response_metadata"]["index"] == row["index"]
        blocked = row["model"] == "two" and "7" in row["prompt"]
        assert row["outcome"] == ("blocked" if blocked else "answered")
    doubts = sum(row["in_doubt"] for row in found)
    assert doubts == sum(model.resent_in_doubt for model in result.models)
    assert doubts <= 2 * 2 * 16  # processes, models, requests in flight


def test_ctrl_c_leaves_a_run_that_can_be_resumed(config: Path) -> None:
    with process("run", config) as running:
        folder = started(running)
        recorded(running, 60)
        running.send_signal(signal.SIGINT)
        rest = running.communicate(timeout=30)[0].splitlines()

    assert running.returncode == 130
    word, code, count = rest[-1].split()
    assert (word, code) == ("finished", "130")
    kept = int(count)
    assert kept >= 60
    assert not (folder / "run.db-wal").exists()
    result = resume(folder)
    assert [model.recorded for model in result.models] == [PROMPTS, PROMPTS]
    assert len(rows(result)) == 2 * PROMPTS


def test_two_processes_cannot_work_on_one_run(config: Path) -> None:
    with process("run", config) as running:
        folder = started(running)
        recorded(running, 10)

        with pytest.raises(RunError, match=rf"being written by another process \(process {running.pid}\)"):
            resume(folder)

        output = running.communicate(timeout=60)[0]
    assert running.returncode == 0
    assert output.splitlines()[-1] == f"finished 0 {2 * PROMPTS}"
