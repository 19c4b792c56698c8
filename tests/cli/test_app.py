import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points, version

import pytest

from hivetrace_core.cli import main
from hivetrace_core.cli.app import COMMANDS

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_help_names_every_command_and_imports_none_of_them() -> None:
    script = (
        "import json, sys\n"
        "from hivetrace_core.cli import main\n"
        "code = main(['--help'])\n"
        "print(json.dumps([code, sorted(sys.modules)]))"
    )

    out = subprocess.check_output([sys.executable, "-c", script], text=True)

    *shown, last = out.splitlines()
    code, modules = json.loads(last)
    assert code == 0
    assert all(any(line.split()[:1] == [name] for line in shown) for name in COMMANDS)
    assert {"pydantic", "rich", "asyncio", "sqlite3", "yaml"}.isdisjoint(modules)
    assert not any(f"hivetrace_core.cli.{name}" in modules for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0

    usage, _, text = capsys.readouterr().out.partition("\n\n")
    assert usage.startswith(f"Usage: hivetrace {name} ")
    assert text.partition("Options:")[0].strip()


def test_the_version_is_the_installed_one(hivetrace: Command) -> None:
    assert hivetrace("--version").stdout == f"hivetrace-core {version('hivetrace-core')}\n"


def test_the_installed_script_calls_the_same_function() -> None:
    (script,) = entry_points(group="console_scripts", name="hivetrace")

    assert script.load() is main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu", "x.yaml"], "error: There is no command 'rnu'; did you mean 'run'?"),
        (["frobnicate"], "error: There is no command 'frobnicate'; commands are run, resume,"),
        (["export", "x", "--formt", "csv"], "error: No such option"),
        (["ask", "-m", "simulated"], "error: Missing argument 'PROMPT'"),
        (["export", "x", "--format", "xls"], "error: Invalid value for '--format'"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_1(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(message)
    assert "Try: hivetrace" in shown.err


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1

    assert "Usage: hivetrace" in capsys.readouterr().err


def test_an_error_of_the_users_is_a_message_without_traceback(hivetrace: Command) -> None:
    done = hivetrace("check", "nowhere.yaml")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "nowhere.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_with_debug_an_error_of_the_users_shows_where_it_was_found(hivetrace: Command) -> None:
    done = hivetrace("--debug", "check", "nowhere.yaml")

    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


class TestUnexpected:
    @pytest.fixture(autouse=True)
    def _broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def explode(*_: object, **__: object) -> None:
            raise RuntimeError("the key s3cret-in-the-environment was in the way\x1b[31m")

        monkeypatch.setenv("ACME_API_KEY", "s3cret-in-the-environment")
        monkeypatch.delenv("HIVETRACE_DEBUG", raising=False)
        monkeypatch.setattr("hivetrace_core.runs.export.export", explode)

    def test_it_is_short_says_where_the_rest_is_and_has_no_secret(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["export", "somewhere"]) == 1

        shown = capsys.readouterr().err
        assert "RuntimeError: the key *** was in the way\\x1b[31m" in shown
        assert "HIVETRACE_DEBUG=1" in shown
        assert "Traceback" not in shown

    def test_with_debug_it_is_the_whole_traceback_without_the_secret(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert main(["--debug", "export", "somewhere"]) == 1
        by_option = capsys.readouterr().err
        monkeypatch.setenv("HIVETRACE_DEBUG", "1")
        assert main(["export", "somewhere"]) == 1
        by_variable = capsys.readouterr().err

        for shown in (by_option, by_variable):
            assert "Traceback (most recent call last)" in shown
            assert "s3cret" not in shown

    def test_a_secret_on_the_command_line_is_masked_too(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **params: object) -> None:
            raise ValueError(f"cannot use {params}")

        monkeypatch.setattr("hivetrace_core.registry.default.create_model", refuse)

        command = ["ask", "-m", "acme", "-p", "api_key=another-secret", "Hello"]
        monkeypatch.setattr("sys.argv", ["hivetrace", *command])

        assert main(command) == 1
        assert "another-secret" not in capsys.readouterr().err


def test_ctrl_c_is_exit_code_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hivetrace_core.runs.export.export", interrupt)

    assert main(["export", "somewhere"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error_message(environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hivetrace_core", "ask", "-m", "simulated", "-p", "latency=0.5", "Hello"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()

    assert process.wait(30) == 1
    assert errors == b""


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_output_is_no_error(closed: str, environment: dict[str, str]) -> None:
    command = f"exec {sys.executable} -m hivetrace_core models {closed}"

    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert ("simulated" in done.stdout) == (closed == "2>&-")


def test_text_that_the_terminal_cannot_encode_is_written_out(hivetrace: Command) -> None:
    rules = json.dumps([{"text": "Привет"}])

    done = hivetrace("ask", "-m", "simulated", "-p", f"rules={rules}", "x", env={"PYTHONIOENCODING": "ascii"})

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Привет\n".encode("ascii", "backslashreplace").decode()
