import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hivetrace_core.cli import main

Command = Callable[..., subprocess.CompletedProcess[str]]


def ask(*arguments: str, rules: list[dict[str, object]] | None = None) -> int:
    rule_param = ["-p", f"rules={json.dumps(rules)}"] if rules is not None else []
    return main(["ask", "-m", "simulated", *rule_param, *arguments])


def test_an_answer_goes_to_standard_output_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("Hello", rules=[{"text": "You said {prompt}."}]) == 0

    assert capsys.readouterr() == ("You said Hello.\n", "")


def test_the_answer_is_shown_while_it_arrives(environment: dict[str, str]) -> None:
    rules = json.dumps([{"text": "first " + "word " * 20}])
    began = time.monotonic()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "hivetrace_core",
            "ask",
            "-m",
            "simulated",
            "-p",
            "latency=4",
            "-p",
            f"rules={rules}",
            "x",
        ],
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None
    first = process.stdout.read(5)
    arrived = time.monotonic() - began
    process.kill()
    process.communicate()

    assert first == b"first"
    assert arrived < 4


def test_what_could_steer_the_terminal_is_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    ask("x", rules=[{"text": "\x1b]0;owned\x07 \u202eabc [red]kept[/red]"}])

    assert capsys.readouterr().out == "\\x1b]0;owned\\x07 \\u202eabc [red]kept[/red]\n"


@pytest.mark.parametrize(
    ("rule", "remark"),
    [
        (
            {"outcome": "blocked", "stage": "response", "categories": ["violence", "\x1b[2J"]},
            "[blocked: at the response; rule simulated.filter; categories violence, \\x1b[2J]",
        ),
        ({"outcome": "refused", "text": "No."}, "[refused: at the response; rule simulated.refusal]"),
        ({"outcome": "truncated", "text": "No."}, "[truncated: the provider says 'length']"),
        ({"outcome": "unknown", "text": "No."}, "[unknown: the provider says 'unheard_of']"),
    ],
)
def test_an_outcome_other_than_answered_is_said_on_standard_error(
    rule: dict[str, object], remark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("x", rules=[rule]) == 0

    shown = capsys.readouterr()
    assert shown.err == f"{remark}\n"
    assert shown.out in ("", "No.\n")


def test_a_failed_request_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("x", rules=[{"error": "authentication", "text": "Wrong key"}]) == 1

    assert capsys.readouterr().err == "error: Wrong key\n"


@pytest.mark.parametrize(
    ("given", "prompt"),
    [
        (b"one\ntwo\n", "one\ntwo"),
        (b"\xef\xbb\xbfone\r\n", "one"),
        ("Привет".encode(), "Привет"),
        (b"-", "-"),
    ],
)
def test_a_dash_reads_the_prompt_from_standard_input(given: bytes, prompt: str, environment: dict[str, str]) -> None:
    rules = json.dumps([{"text": "<{prompt}>"}])
    command = [sys.executable, "-m", "hivetrace_core", "ask", "-m", "simulated", "-p", f"rules={rules}", "-"]

    out = subprocess.check_output(command, input=given, env=environment)

    assert out.decode() == f"<{prompt}>\n"


def test_input_that_is_not_text_is_refused(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "hivetrace_core", "ask", "-m", "simulated", "-"]

    done = subprocess.run(command, input=b"ok\xff", capture_output=True, env=environment, check=False)

    assert done.returncode == 1
    assert done.stderr == b"error: Standard input is not UTF-8 text (byte 2).\n"


def test_params_are_json_or_else_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "-m", "simulated", "-p", "max_tokens=3", "-p", "model=my model", "one"]) == 0

    assert capsys.readouterr() == ("This is a\n", "[truncated: the provider says 'length']\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "temperature"], "-p takes KEY=VALUE"),
        (["-p", "=1"], "-p takes KEY=VALUE"),
        (["-p", "max_token=1"], "did you mean 'max_tokens'?"),
    ],
)
def test_a_wrong_param_is_explained(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(*arguments, "Hello") == 1

    assert message in capsys.readouterr().err


def test_an_unknown_model_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "-m", "simulatd", "Hello"]) == 1

    assert "Did you mean 'simulated'" in capsys.readouterr().err


def test_a_plugin_whose_model_is_no_provider_can_be_asked_too(tmp_path: Path, environment: dict[str, str]) -> None:
    info = tmp_path / "hivetrace_plain-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hivetrace-plain\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hivetrace.models]\nplain = hivetrace_plain\n")
    (tmp_path / "hivetrace_plain.py").write_text(
        "from hivetrace_core import Model, ModelSpec, hookimpl\n"
        "class Plain(Model):\n"
        "    def __init__(self, model): pass\n"
        "    def invoke(self, prompt):\n"
        "        if prompt == 'fail': raise OSError('no line\\x1b')\n"
        "        return {'content': prompt.upper(), 'finish_reason': 'length'}\n"
        "@hookimpl\n"
        "def hivetrace_models():\n"
        "    yield ModelSpec(name='plain', model='hivetrace_plain:Plain', default_id='p')\n"
    )
    command = [sys.executable, "-m", "hivetrace_core", "ask", "-m", "plain"]
    env = {**environment, "PYTHONPATH": str(tmp_path)}

    answered = subprocess.run([*command, "hello"], env=env, capture_output=True, text=True, check=False)
    failed = subprocess.run([*command, "fail"], env=env, capture_output=True, text=True, check=False)

    assert (answered.returncode, answered.stdout, answered.stderr.split(":")[0]) == (0, "HELLO\n", "[truncated")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1] == "error: OSError: no line\\x1b"
