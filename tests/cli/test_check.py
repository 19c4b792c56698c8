import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hivetrace_core.cli import main

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with prompts; the current one."""
    (tmp_path / "prompts.csv").write_text("prompt,lang\none,en\ntwo,en\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str) -> str:
    (folder / "run.yaml").write_text(text)
    return "run.yaml"


def test_a_valid_config_is_described(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(
        folder, "models: [{name: simulated}, {name: simulated/large, label: big}]\nprompts: {file: prompts.csv}\n"
    )

    assert main(["check", config]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "run.yaml is valid; nothing was sent."
    assert lines[1].startswith("simulated")
    assert lines[2].startswith("big: ")
    assert "hivetrace-core" in lines[2]
    assert lines[3] == f"prompts: 2 in {folder / 'prompts.csv'}; other columns: lang"
    assert not (folder / "runs").exists()


def test_problems_of_models_and_of_prompts_are_shown_together(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(
        folder, "models: [{name: simulated, params: {latencyy: 1}}]\nprompts: {file: prompts.csv, column: promt}\n"
    )

    assert main(["check", config]) == 1

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "latency" in shown.err
    assert "has no column 'promt'" in shown.err


def test_modules_of_the_config_are_not_executed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.py").write_text("import pathlib; pathlib.Path('executed').touch()")
    config = write(folder, "models: [{name: mine}]\nprompts: [Hello]\nplugins: {modules: [mine.py]}\n")

    assert main(["check", config]) == 0

    assert "mine: Not checked: only mine.py could define this model" in capsys.readouterr().out
    assert not (folder / "executed").exists()


def test_no_model_class_is_imported(folder: Path, environment: dict[str, str]) -> None:
    config = write(folder, "models: [{name: simulated}]\nprompts: [Hello]\n")
    script = (
        "import sys; from hivetrace_core.cli import main; code = main(['check', sys.argv[1]]);"
        "print(code, 'hivetrace_core.simulated.model' in sys.modules)"
    )

    out = subprocess.check_output([sys.executable, "-c", script, config], text=True, env=environment, cwd=folder)

    assert out.splitlines()[-1] == "0 False"


class TestEnvFile:
    CONFIG = "models: [{name: simulated, params: {model: '${MODEL_ID}'}}]\nprompts: [Hello]\n"

    def test_its_variables_are_seen_by_the_config(self, folder: Path, hivetrace: Command) -> None:
        config = write(folder, self.CONFIG)
        (folder / "keys.env").write_text("# comment\nexport MODEL_ID='from the file'\n")

        without = hivetrace("check", config)
        given = hivetrace("check", config, "--env-file", "keys.env")

        assert without.returncode == 1
        assert "MODEL_ID" in without.stderr
        assert (given.returncode, given.stderr) == (0, "")

    def test_the_environment_that_was_there_has_priority(self, folder: Path, hivetrace: Command) -> None:
        (folder / "keys.env").write_text("MODEL_ID=\nHIVETRACE_PLUGINS=nothing\n")

        kept = hivetrace("models", "--check", env={"HIVETRACE_PLUGINS": "simulated"})
        config = write(folder, self.CONFIG)
        empty = hivetrace(
            "check", config, "--env-file", "keys.env", env={"MODEL_ID": "set", "HIVETRACE_PLUGINS": "simulated"}
        )
        filled = hivetrace("check", config, "--env-file", "keys.env", env={"MODEL_ID": "set", "HIVETRACE_PLUGINS": ""})

        assert kept.returncode == 0
        assert empty.returncode == 0
        assert filled.returncode == 1
        assert "permit it" in filled.stderr

    def test_a_wrong_one_is_explained(self, folder: Path, hivetrace: Command) -> None:
        config = write(folder, self.CONFIG)
        (folder / "keys.env").write_text("MODEL_ID=x\nno equals sign\n")

        wrong = hivetrace("check", config, "--env-file", "keys.env")
        missing = hivetrace("check", config, "--env-file", "nowhere.env")

        assert wrong.returncode == missing.returncode == 1
        assert "keys.env:2" in wrong.stderr
        assert "nowhere.env" in missing.stderr
