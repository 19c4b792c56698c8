import csv
import gc
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hivetrace_core.cli import main
from hivetrace_core.cli.following import NEW_OBJECTS
from hivetrace_core.errors import RunError
from hivetrace_core.runs.events import ModelPlan, RunStarted

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Write a config for models with the given params; the test's folder is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")

    def write_config(*params: dict[str, object], prompts: int = 4, **more: object) -> str:
        models = [{"name": "simulated", "label": f"m{number}", "params": one} for number, one in enumerate(params)]
        config = {"models": models, "prompts": [f"prompt {n}" for n in range(prompts)], **more}
        Path("run.yaml").write_text(yaml.safe_dump(config))
        return "run.yaml"

    return write_config


def folder_of(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "runs").iterdir()
    return folder


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "responses.jsonl").read_text().splitlines()]


def test_a_run_ends_with_a_table_of_counts_and_rates(
    write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write(
        {}, {"rules": [{"match": "3", "outcome": "blocked"}, {"match": "2", "outcome": "refused"}]}, name="first"
    )

    assert main(["run", config]) == 0

    folder = folder_of(tmp_path)
    shown = capsys.readouterr()
    assert shown.err.splitlines()[0] == f"first started: 4 prompts, results in runs/{folder.name}"
    assert shown.err.splitlines()[1].startswith("  m0: 'simulated' is plugin 'simulated' of hivetrace-core")
    lines = shown.out.splitlines()
    assert lines[0].split("  ")[0] == "MODEL"
    assert re.split(r"\s{2,}", lines[0])[1:5] == ["ANSWERED", "REFUSED", "BLOCKED", "FAILED"]
    assert re.split(r"\s{2,}", lines[1])[:7] == ["m0", "4", "0", "0", "0", "0.0% [0.0%, 49.0%] of 4", "0.0%"]
    assert re.split(r"\s{2,}", lines[2])[:7] == ["m1", "2", "1", "1", "0", "25.0% [4.6%, 69.9%] of 4", "0.0%"]
    assert lines[3:] == [f"Results: runs/{folder.name}/responses.{ending}" for ending in ("jsonl", "csv")]
    assert len(rows(folder)) == 8


def test_more_failures_than_allowed_is_exit_code_2(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    rules = [{"match": "[012]", "error": "bad_request", "text": "No \x1b[31m"}]

    assert main(["run", write({"rules": rules})]) == 2

    out = capsys.readouterr().out
    assert "m0: failed: 3 bad_request; for example: No \\x1b[31m" in out
    assert "75.0%" in out
    assert "More prompts have failed than max_failure_rate allows." in out
    assert re.search(r"^Send the failed ones again with: \S*.* resume runs/\S+ --retry-failed$", out, re.MULTILINE)


def test_fewer_failures_than_allowed_is_exit_code_0(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    rules = [{"match": "0", "error": "bad_request"}]

    assert main(["run", write({"rules": rules}, run={"max_failure_rate": 0.25})]) == 0

    assert "max_failure_rate" not in capsys.readouterr().out


def test_a_dead_key_is_exit_code_3_and_leaves_the_rest(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    config = write({}, {"rules": [{"error": "authentication", "text": "Wrong key"}]}, prompts=100)

    assert main(["run", config]) == 3

    out = capsys.readouterr().out
    assert "m1: 100 left; stopped early: Wrong key" in out
    assert re.search(r"^Go on with: .* resume runs/\S+$", out, re.MULTILINE)


def test_a_wrong_config_is_exit_code_1_and_leaves_no_folder(
    write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write({"latencyy": 1})

    assert main(["run", config]) == 1

    shown = capsys.readouterr()
    assert shown.err.startswith("error: run.yaml:")
    assert "latency" in shown.err
    assert not (tmp_path / "runs").exists()


def test_a_run_that_breaks_in_the_middle_says_how_to_go_on(
    write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(config: object, *, listener: Callable[[object], None]) -> None:
        listener(RunStarted(tmp_path / "runs" / "x y", "x", 3, (ModelPlan("m", "is m", 3, 0, {}),), resumed=False))
        raise RunError("The disk is full.")

    monkeypatch.setattr("hivetrace_core.runs.runner.run", breaks)

    assert main(["run", write({})]) == 1

    assert capsys.readouterr().err.splitlines()[-2:] == [
        "error: The disk is full.",
        f"What was recorded is kept. Go on with: {sys.executable} -m hivetrace_core resume 'runs/x y'",
    ]


def test_garbage_is_collected_seldom_during_a_run_and_as_before_afterwards(
    write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, during = gc.get_threshold(), []

    def run(config: object, *, listener: object) -> None:
        during.append(gc.get_threshold())
        raise RunError("The disk is full.")

    monkeypatch.setattr("hivetrace_core.runs.runner.run", run)

    assert main(["run", write({})]) == 1

    assert during == [(NEW_OBJECTS, *before[1:])]
    assert gc.get_threshold() == before


def test_ctrl_c_before_anything_was_sent_says_so(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(config: object, **_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hivetrace_core.runs.runner.run", interrupt)

    assert main(["run", write({})]) == 130
    assert capsys.readouterr().err == "interrupted; nothing was sent\n"


def test_an_interrupted_run_goes_on_with_the_command_that_it_prints(
    write: Callable[..., str], tmp_path: Path, environment: dict[str, str]
) -> None:
    Path("my keys.env").write_text("MODEL_ID=from-the-file\n")
    config = write({"model": "${MODEL_ID}", "latency": 0.2, "batch_size": 2}, prompts=20)
    process = subprocess.Popen(
        [sys.executable, "-m", "hivetrace_core", "run", config, "--env-file", "my keys.env"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stderr is not None
    assert "started: 20 prompts" in process.stderr.readline()
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert re.search(r"^m0: \d+ left, 2 of them were under way", out, re.MULTILINE)
    (again,) = re.findall(r"^Go on with: (.*)$", out, re.MULTILINE)
    resumed = subprocess.run(again, shell=True, env=environment, capture_output=True, text=True, check=False)
    assert (resumed.returncode, "2 of them in doubt" in resumed.stderr) == (0, True)
    assert "m0: 2 may have been sent twice (marked in_doubt)" in resumed.stdout
    found = rows(folder_of(tmp_path))
    assert len(found) == 20
    assert {row["response"]["response_metadata"]["model_name"] for row in found} == {"from-the-file"}  # type: ignore[index]  # JSON


class TestResume:
    @pytest.fixture
    def degraded(self, write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
        """A run in which one of four prompts has failed."""
        assert main(["run", write({"rules": [{"match": "2", "error": "bad_request"}]})]) == 0
        capsys.readouterr()
        return str(folder_of(tmp_path))

    def test_a_run_that_is_done_sends_nothing(self, degraded: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["resume", degraded]) == 0

        shown = capsys.readouterr()
        assert "resumed: 4 prompts" in shown.err
        assert "0 to send" in shown.err
        assert "for example" not in shown.out

    def test_failed_ones_are_sent_again_on_demand(self, degraded: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["resume", degraded, "--retry-failed"]) == 0

        shown = capsys.readouterr()
        assert "1 to send" in shown.err
        assert "m0: failed: 1 bad_request" in shown.out

    def test_a_config_that_differs_is_refused(self, degraded: str, capsys: pytest.CaptureFixture[str]) -> None:
        text = Path("run.yaml").read_text()
        Path("other.yaml").write_text(text.replace("prompt 1", "another one"))

        assert main(["resume", degraded, "--config", "other.yaml"]) == 1
        assert "not the one of the run" in capsys.readouterr().err

    def test_a_given_config_is_named_in_the_next_command(
        self, write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        main(["run", write({"rules": [{"error": "quota"}]}, name="kept")])
        Path("run.yaml").rename("moved.yaml")

        assert main(["resume", str(folder_of(tmp_path)), "--config", "moved.yaml", "--in-doubt", "skip"]) == 3
        assert re.search(r"^Go on with: .* --config moved.yaml$", capsys.readouterr().out, re.MULTILINE)

    def test_a_folder_without_a_run_is_explained(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["resume", str(tmp_path)]) == 1
        assert "There is no run in" in capsys.readouterr().err


class TestExport:
    def test_it_writes_and_names_the_files(
        self, write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        main(["run", write({}, output={"formats": []})])
        capsys.readouterr()
        folder = folder_of(tmp_path)

        assert main(["export", str(folder)]) == 0
        assert main(["export", str(folder), "--format", "csv", "--output", "elsewhere"]) == 0

        lines = capsys.readouterr().out.splitlines()
        assert lines == [f"{folder}/responses.jsonl", f"{folder}/responses.csv", "elsewhere/responses.csv"]
        assert len(rows(folder)) == 4
        with Path("elsewhere/responses.csv").open(encoding="utf-8-sig", newline="") as file:
            assert [row["prompt"] for row in csv.DictReader(file)] == [f"prompt {n}" for n in range(4)]
        assert not Path("elsewhere/responses.jsonl").exists()
