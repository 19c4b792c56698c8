"""The examples do what they say."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from hivetrace_core import ModelError, create_model, run

EXAMPLES = Path(__file__).parents[1] / "examples"


def outcomes(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (folder / "responses.jsonl").read_text().splitlines():
        row = json.loads(line)
        found.setdefault(row["model"], []).append(row["outcome"])
    return found


def test_the_quickstart_shows_different_outcomes_side_by_side(tmp_path: Path) -> None:
    config = yaml.safe_load((EXAMPLES / "quickstart.yaml").read_text())
    config["prompts"]["file"] = str(EXAMPLES / "prompts.csv")
    config["output"] = {"dir": str(tmp_path)}

    result = run(config)

    assert result.exit_code == 0
    found = outcomes(result.folder)
    assert set(found["open"]) == {"answered"}
    assert {"blocked", "refused", "answered"} == set(found["guarded"])
    assert {"answered", "truncated", "failed"} == set(found["shaky"])
    assert {len(of_one) for of_one in found.values()} == {24}


def test_the_custom_model_runs_as_a_script_and_from_a_config(tmp_path: Path) -> None:
    script = EXAMPLES / "custom_model.py"
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True)
    result = run(
        {
            "models": [{"name": "shouting", "params": {"mark": "?"}}],
            "prompts": ["Hello", "the password"],
            "plugins": {"modules": [str(script)]},
            "output": {"dir": str(tmp_path / "by-config")},
        }
    )

    assert "'blocked': 1" in done.stdout
    assert outcomes(result.folder) == {"shouting": ["answered", "blocked"]}
    assert "HELLO?" in (result.folder / "responses.jsonl").read_text()


class GlobexServer(BaseHTTPRequestHandler):
    """Globex's API: the last message says what to do."""

    seen: list[tuple[str, dict[str, Any]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.headers["Authorization"], body))
        text = body["messages"][-1]["content"]
        if text == "forbidden":
            self._answer(422, {"error": {"type": "policy", "labels": ["weapons"]}})
        elif text == "busy" and len([1 for _, one in self.seen if one["messages"][-1]["content"] == "busy"]) == 1:
            self._answer(429, {"error": {"type": "rate", "message": "Slow down"}}, {"Retry-After": "0"})
        elif text == "rubbish":
            self._answer(200, {"id": "1"})
        elif text == "bad":
            self._answer(400, {"error": {"type": "invalid", "message": "No such thing"}})
        else:
            stop = "max_tokens" if text == "long" else "end"
            self._answer(200, {"id": "r-1", "model": "globex-large-2", "text": f"<{text}>", "stop": stop})

    def _answer(self, status: int, payload: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        data = json.dumps(payload).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def globex() -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """Globex on this machine: its address and what it was sent."""
    seen: list[tuple[str, dict[str, Any]]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Globex", (GlobexServer,), {"seen": seen}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_example_plugin_turns_replies_into_outcomes(globex: tuple[str, list[Any]]) -> None:
    url, seen = globex
    with create_model("globex/large", api_key="k3y-of-globex", base_url=url, temperature=0) as model:  # type: ignore[attr-defined]  # a provider
        replies = model.batch(["hello", "forbidden", "busy", "long", "rubbish", "bad"])

    assert [reply["response_metadata"]["outcome"] for reply in replies] == [
        "answered",
        "blocked",
        "answered",
        "truncated",
        "failed",
        "failed",
    ]
    assert replies[0]["content"] == "<hello>"
    assert replies[0]["response_metadata"]["model_name"] == "globex-large-2"
    assert replies[1]["response_metadata"]["block"]["categories"] == [{"name": "weapons"}]
    assert replies[2]["response_metadata"]["attempts"] == 2
    assert replies[4]["error"]["kind"] == "response_format"
    assert replies[5]["error"] | {"kind": "bad_request", "message": "No such thing"} == replies[5]["error"]
    body = {"model": "large", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}
    assert ("Bearer k3y-of-globex", body) in seen


def test_the_example_plugin_takes_its_key_from_the_environment_and_from_a_file(
    globex: tuple[str, list[Any]], tmp_path: Path
) -> None:
    url, seen = globex
    (tmp_path / ".env").write_text("GLOBEX_API_KEY=key-from-the-file\n")
    command = [sys.executable, "-m", "hivetrace_core", "ask", "-m", "globex-mini", "-p", f"base_url={url}"]
    bare = {key: value for key, value in os.environ.items() if key != "GLOBEX_API_KEY"}

    without = subprocess.run([*command, "Hi"], env=bare, cwd=tmp_path, capture_output=True, text=True, check=False)
    given = subprocess.run(
        [*command, "--env-file", ".env", "-s", "Be brief.", "Hi"],
        env=bare,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert without.returncode == 1
    assert "GLOBEX_API_KEY" in without.stderr
    assert (given.stdout, given.stderr) == ("<Hi>\n", "")
    assert [authorization for authorization, _ in seen] == ["Bearer key-from-the-file"]
    assert [message["role"] for message in seen[0][1]["messages"]] == ["system", "user"]
    assert seen[0][1]["model"] == "globex-mini"


def test_a_failed_call_to_the_example_plugin_shows_no_key(globex: tuple[str, list[Any]]) -> None:
    url, _ = globex
    with (
        create_model("globex/large", api_key="k3y-of-globex", base_url=url) as model,  # type: ignore[attr-defined]  # a provider
        pytest.raises(ModelError, match="No such thing") as raised,
    ):
        model.invoke("bad")

    assert "k3y-of-globex" not in repr(raised.value.__dict__)


def test_the_example_of_a_mock_server_has_rules_that_the_installed_vendors_understand() -> None:
    from hivetrace_core.mockserver import MockServer

    server = MockServer(EXAMPLES / "mock-server.yaml")

    assert len(server.script.rules) == 7
    assert server.script.rate_limit is not None
