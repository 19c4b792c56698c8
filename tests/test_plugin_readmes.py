"""The READMEs of the plugins are true: configs are valid and programs run, against a server on this machine."""

import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import distributions, requires
from pathlib import Path

import pytest

from hivetrace_core.cli import main

ROOT = Path(__file__).parents[1]
INSTALLED = {re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower() for found in distributions()}


def works(distribution: str) -> bool:
    """Whether it is installed, with all that it requires; llama.cpp is not where it cannot be compiled."""
    required = (line for line in requires(distribution) or [] if "extra ==" not in line)
    return {re.split(r"[<>=!~; \[]", line)[0].lower() for line in required} <= INSTALLED


FOUND = [path for path in sorted(ROOT.glob("plugins/*/README.md")) if path.parent.name in INSTALLED]
READMES = [path for path in FOUND if works(path.parent.name)]
KINDS = {"sh", "yaml", "python"}

# Runs a program in which every address of the outside world stands for the mock server.
PLAYED = """
import sys
from urllib.parse import urlsplit
from hivetrace_core.mockserver import MockServer
from hivetrace_core.registry import default_registry

program, distribution = sys.stdin.read(), sys.argv[1]
with MockServer() as server:
    for found in default_registry().everyone()[0]:
        if found.distribution != distribution or found.spec.dialect is None:
            continue
        options = found.options_class()
        for name, field in options.model_fields.items():
            if name.endswith("_url") and isinstance(field.default, str):
                where = urlsplit(field.default)
                field.default = server.root(found.name) + where.path
        options.model_rebuild(force=True)
        program = program.replace("http://localhost:8000/v1", server.url(found.name))
        program = program.replace("http://localhost:11434", server.url(found.name))
    exec(compile(program, "README.md", "exec"), {"__name__": "__main__"})
"""


def blocks(readme: Path) -> list[tuple[str, str]]:
    return re.findall(r"^```(\w+)\n(.*?)^```$", readme.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key that a provider may look for in the environment."""
    names = "OPENAI OPENROUTER SBER_CLOUD YANDEX_GPT GEMINI OLLAMA"
    for name in [f"{one}_API_KEY" for one in names.split()] + ["GIGACHAT_CREDENTIALS", "YANDEX_FOLDER_ID"]:
        monkeypatch.setenv(name, "dGVzdDp0ZXN0LWtleQ==")


def test_every_block_is_of_a_kind_that_is_tested_here() -> None:
    for readme in READMES:
        kinds = {kind for kind, _ in blocks(readme)}
        assert {"sh", "python"} <= kinds <= KINDS, readme.parent.name


def test_the_configs_are_valid(keys: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for readme in READMES:
        for kind, text in blocks(readme):
            if kind == "yaml":
                Path("config.yaml").write_text(text, "utf-8")
                assert main(["check", "config.yaml"]) == 0, readme.parent.name


def test_the_programs_run(keys: None, tmp_path: Path) -> None:
    for readme in READMES:
        for number, (kind, text) in enumerate(blocks(readme)):
            if kind == "sh":  # what makes the files that the programs read
                for line in text.splitlines():
                    if line.startswith("python -m"):
                        subprocess.run([sys.executable, *shlex.split(line)[1:]], cwd=tmp_path, timeout=60, check=True)
            if kind == "python":
                done = subprocess.run(
                    [sys.executable, "-W", "error", "-c", PLAYED, readme.parent.name],
                    input=text,
                    text=True,
                    capture_output=True,
                    cwd=tmp_path,
                    env=dict(os.environ),
                    timeout=60,
                    check=False,
                )
                assert done.returncode == 0, f"{readme.parent.name}, block {number}:\n{done.stderr}"


def test_installing_names_the_package() -> None:
    for readme in READMES:
        commands = [line for kind, text in blocks(readme) if kind == "sh" for line in text.splitlines()]
        assert f"pip install {readme.parent.name}" in commands
