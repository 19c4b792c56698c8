"""The README is true: its blocks run, its tables match the code."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from hivetrace_core import load_config
from hivetrace_core.cli import main
from hivetrace_core.mockserver.dialects import installed_dialects
from hivetrace_core.responses import OUTCOMES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def block(language: str, marker: str) -> str:
    """The only block of a language that has the marker in it."""
    (found,) = [text for kind, text in BLOCKS if kind == language and marker in text]
    return found


def table(heading: str) -> list[list[str]]:
    """The cells of the table that follows a line of the README."""
    after = README[README.index(heading) :]
    lines = re.search(r"(?:^\|.*\|\n)+", after, re.MULTILINE)
    assert lines is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines.group().splitlines()[2:]]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples and the README's config in it; the current one."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "leak.yaml").write_text(block("yaml", "leak-test"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_is_of_a_kind_that_is_tested_here() -> None:
    assert {kind for kind, _ in BLOCKS} == {"sh", "yaml", "python", "toml"}
    assert sum(kind == "yaml" for kind, _ in BLOCKS) == sum(kind == "toml" for kind, _ in BLOCKS) == 1


def test_the_config_is_short_valid_and_runs(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (checkout / "leak.yaml").read_text()

    assert len(text.splitlines()) <= 10
    assert {"name", "models", "system_prompt", "prompts", "run", "output"} == set(yaml.safe_load(text))
    assert main(["check", "leak.yaml"]) == 0
    assert main(["run", "leak.yaml"]) == 0
    assert "blocked" in (next((checkout / "runs").iterdir()) / "responses.csv").read_text("utf-8-sig")


@pytest.mark.parametrize("command", [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()])
def test_every_command_works(command: str, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command, comments=True)
    if words[:2] == ["python3", "bootstrap.py"]:
        # They set up environments; the build runs them in a fresh copy. Here: that such a command exists.
        assert words[2] in ("quickstart", "tests")
        return
    assert words.pop(0) == "hivetrace"
    for number, word in enumerate(words):
        if word.startswith("runs/"):
            assert re.fullmatch(r"runs/leak-test-\d{8}-\d{6}", word)
            main(["run", "leak.yaml"])
            words[number] = str(next((checkout / "runs").iterdir()))
        if word.endswith("quickstart.yaml"):
            words[number] = "copy.yaml"  # the same, with its results in this folder
            config = load_config(word)
            again = {**yaml.safe_load(Path(word).read_text()), "output": {"dir": "runs"}}
            Path("copy.yaml").write_text(yaml.safe_dump({**again, "prompts": {"file": str(config.prompts.file)}}))

    assert main(words) == 0
    assert capsys.readouterr().out


def test_the_python_example_runs(checkout: Path) -> None:
    script = block("python", "create_model")

    out = subprocess.check_output([sys.executable, "-c", script], text=True, cwd=checkout)

    lines = out.splitlines()
    assert lines[0] == "blocked"
    assert lines[1].startswith("answered ")
    assert lines[2] == "blocked "
    assert lines[3].endswith(" 0")


def test_the_custom_model_can_be_named_in_a_config(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "my_model.py").write_text(block("python", "EchoModel"))
    (checkout / "echo.yaml").write_text("models: [{name: echo}]\nprompts: [Hello]\nplugins: {modules: [my_model.py]}\n")

    assert main(["run", "echo.yaml"]) == 0
    row = json.loads((next((checkout / "runs").iterdir()) / "responses.jsonl").read_text())
    assert row["response"]["content"] == "Hello"


def test_the_plugin_is_short_and_found_when_installed(checkout: Path) -> None:
    source, project = block("python", "hivetrace_models"), tomllib.loads(block("toml", "entry-points"))
    name, version = project["project"]["name"], project["project"]["version"]
    info = checkout / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    points = project["project"]["entry-points"]["hivetrace.models"]
    (info / "entry_points.txt").write_text(
        "[hivetrace.models]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
    )
    (checkout / "hivetrace_parrot.py").write_text(source)
    # The folder of `python -c` is on its path, which is what being installed comes to.
    script = "import sys; from hivetrace_core.cli import main; sys.exit(main(sys.argv[1:]))"

    env = {**os.environ, "HIVETRACE_PLUGINS": "parrot"}

    def hivetrace(*arguments: str) -> str:
        return subprocess.check_output([sys.executable, "-c", script, *arguments], text=True, cwd=checkout, env=env)

    assert len([line for line in source.splitlines() if line]) <= 15
    assert re.search(r"parrot\s+hivetrace-parrot\s+0.1.0\s+ok\s+Repeats what it hears", hivetrace("models", "--check"))
    assert hivetrace("ask", "-m", "parrot", "Hello") == "Hello Hello\n"
    assert hivetrace("ask", "-m", "parrot", "-p", "times=3", "Hello") == "Hello Hello Hello\n"


def test_the_table_of_outcomes_is_complete() -> None:
    rows = table("## Outcomes")

    assert sorted(row[0].strip("`") for row in rows) == sorted(OUTCOMES)


def test_the_exit_codes_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    rows = table("What only reads like a refusal")

    main(["--help"])
    shown = re.search(r"Exit codes: (.*)\.", " ".join(capsys.readouterr().out.split()))
    assert shown is not None
    assert [row[0] for row in rows] == [part.split()[0] for part in shown.group(1).split("; ")]


def test_the_table_of_providers_says_what_is_true_today() -> None:
    for names, package, state in table("## Providers"):
        if state.startswith("in progress:"):
            with pytest.raises(metadata.PackageNotFoundError):
                metadata.distribution(package)
            continue
        assert state.startswith("works;" if package == "hivetrace-core" else "in this checkout, not published:")
        points = metadata.distribution(package).entry_points
        assert {point.name for point in points if point.group == "hivetrace.models"} == set(
            re.findall(r"`(\w+)`", names)
        )


def test_the_table_of_signs_is_that_of_the_dialects() -> None:
    rows = {row[0].strip("`"): row for row in table("What their wire tells apart")}
    dialects, _ = installed_dialects()

    assert set(rows) == set(dialects) - {"globex"}
    for name, row in rows.items():
        silent = {
            outcome
            for outcome, cell in (("blocked", row[2]), ("refused", row[3]))
            if cell.startswith("no ") or cell == "no"
        }
        assert silent == set(dialects[name].cannot_say), name


def test_links_lead_to_files_of_the_repository() -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if not target.startswith("http")]

    # Outside the checkout only what is tested there is at hand.
    here = [target for target in targets if (ROOT / "bootstrap.py").exists() or target.startswith("examples")]
    assert here
    assert [target for target in here if not (ROOT / target).exists()] == []
