"""`hivetrace mock-server`, as a process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp  # noqa: F401  # the extra that plugins need; without it there is nothing to serve
import pytest

PLUGIN = """
from hivetrace_core import ModelSpec, hookimpl
from hivetrace_core.mockserver import Dialect, json_reply

class AcmeDialect(Dialect):
    name, base_path, variants = "acme", "/v1", {}
    def matches(self, request): return request.path == "/v1/ask"
    def prompt_of(self, request): return str(request.body.get("prompt"))
    def wants_stream(self, request): return False
    def reply(self, request, turn): return json_reply({"outcome": turn.outcome})
    def stream(self, request, turn): return None

@hookimpl
def hivetrace_models():
    yield ModelSpec(name="acme", model="hivetrace_mocked:AcmeModel", dialect="hivetrace_mocked:AcmeDialect", api=1)
    yield ModelSpec(name="broken", model="hivetrace_mocked:AcmeModel", dialect="hivetrace_mocked:NoSuch", api=1)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A plugin with a dialect, and one whose dialect is missing; those that are installed are not permitted."""
    site = tmp_path / "site"
    info = site / "hivetrace_mocked-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "hivetrace_mocked.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hivetrace-mocked\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hivetrace.models]\nacme = hivetrace_mocked\nbroken = hivetrace_mocked\n")
    return {**os.environ, "PYTHONPATH": str(site), "HIVETRACE_PLUGINS": "acme,broken", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[object]:
    running: list[subprocess.Popen[str]] = []

    def run(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "hivetrace_core", "mock-server", *map(str, arguments)]
        process = subprocess.Popen(
            command, env=environment, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def post(url: str) -> bytes:
    import urllib.request

    with urllib.request.urlopen(urllib.request.Request(url, b'{"prompt": "a bomb"}'), timeout=10) as reply:
        data: bytes = reply.read()
    return data


def test_it_prints_base_urls_answers_by_the_script_and_ends_quietly(start, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    script = tmp_path / "script.yaml"
    script.write_text("rules:\n  - {match: bomb, outcome: blocked}\n")
    process = start("--script", script)

    first, second = process.stdout.readline(), process.stdout.readline()
    url = second.split()[1]
    answer = post(f"{url}/ask")
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=20)

    assert re.fullmatch(r"mock server on http://127\.0\.0\.1:\d+ \(Ctrl-C stops it\)\n", first)
    assert re.fullmatch(r"acme  http://127\.0\.0\.1:\d+/acme/v1\n", second)
    assert answer == b'{"outcome":"blocked"}'
    assert process.returncode == 0
    assert rest.strip() == ""
    assert "not served: hivetrace_mocked:NoSuch" in errors
    assert "Traceback" not in errors


def test_a_port_that_is_taken_is_one_line(start) -> None:  # type: ignore[no-untyped-def]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("--port", taken.getsockname()[1])
        _, errors = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "error: The mock server cannot listen on 127.0.0.1:" in errors
    assert "Traceback" not in errors


def test_without_a_dialect_it_says_so(start, environment: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    environment["HIVETRACE_PLUGINS"] = "simulated"
    process = start()
    _, errors = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "error: No installed plugin speaks a wire format" in errors


def test_without_httptools_it_says_what_to_install(start, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "site" / "httptools.py").write_text("raise ImportError('no')\n")
    process = start()
    _, errors = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "Run: pip install 'hivetrace-core[mock]'" in errors


def test_a_mistake_in_the_script_is_told_with_its_line(start, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "script.yaml").write_text("rules:\n  - {variant: nothing}\n")
    process = start("--script", "script.yaml")
    _, errors = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "error: script.yaml:2: rules[0].variant: no such variant; known are none." in errors
