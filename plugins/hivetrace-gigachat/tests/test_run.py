"""Whole runs against the mock server: a quota that ends in the middle, a wrong key, a script of everything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hivetrace_gigachat.dialect import AUTH_PATH, GigaChatDialect

from hivetrace_core import resume, run
from hivetrace_core.mockserver import MockServer, expected

KEY = "Y2xpZW50LWlkOmNsaWVudC1zZWNyZXQtMTIz"
PROMPTS = [f"Вопрос {number:03}" for number in range(100)]


def config(server: MockServer, folder: Path, **params: Any) -> dict[str, Any]:
    model = {
        "name": "gigachat/gigachat-2",
        "params": {
            "base_url": server.url("gigachat"),
            "auth_url": server.root("gigachat") + AUTH_PATH,
            "credentials": KEY,
            **params,
        },
    }
    return {
        "models": [model],
        "system_prompt": "Отвечай кратко.",
        "prompts": PROMPTS,
        "run": {"batch_size": 4, "timeout": 20, "max_attempts": 5},
        "output": {"dir": str(folder), "formats": ["jsonl"]},
    }


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "responses.jsonl").read_text("ascii").splitlines()]


def asked(server: MockServer) -> int:
    return sum(record.said != "side" for record in server.log)


def test_a_quota_that_is_used_up_stops_the_run_and_a_resume_sends_the_rest(tmp_path: Path) -> None:
    used_up = {"match": "Вопрос 0[4-9]", "error": "quota"}  # from the fortieth prompt on
    with MockServer({"delay": 0.01, "rules": [used_up]}, dialects=[GigaChatDialect()]) as server:
        stopped = run(config(server, tmp_path))
        sent = asked(server)
        summary = stopped.models[0]
        port = server.port
    with MockServer(dialects=[GigaChatDialect()], port=port) as server:
        finished = resume(stopped.folder, config=config(server, tmp_path))
        sent_again = asked(server)

    assert stopped.exit_code == 3
    assert 40 <= sent <= 40 + 4
    assert summary.stopped is not None
    assert "402" in summary.stopped
    assert "used up" in summary.stopped
    assert finished.exit_code == 0
    assert sent_again == 60
    found = rows(finished.folder)
    assert [row["prompt"] for row in found] == PROMPTS
    assert {row["outcome"] for row in found} == {"answered"}


def test_a_key_that_the_service_does_not_know_costs_one_request(tmp_path: Path) -> None:
    with MockServer({"key": "another-key-123"}, dialects=[GigaChatDialect()]) as server:
        result = run(config(server, tmp_path))

        assert asked(server) == 1
    assert result.exit_code == 3
    assert "check credentials" in str(result.models[0].stopped)


def test_every_outcome_of_a_run_is_the_scripts(tmp_path: Path) -> None:
    script = {
        "seed": 5,
        "key": KEY,
        "rules": [
            {"share": 0.2, "times": 1, "error": "rate_limit", "retry_after": 0.02},
            {"share": 0.1, "times": 1, "fault": "reset"},
            {"match": "7$", "outcome": "blocked"},
            {"share": 0.1, "variant": "v2.response_blacklist"},
            {"share": 0.1, "outcome": "truncated"},
            {"share": 0.1, "error": "context_length"},
            {"share": 0.1, "outcome": "unknown"},
            {"share": 0.05, "fault": "html"},
        ],
    }
    with MockServer(script, dialects=[GigaChatDialect()]) as server:
        result = run(config(server, tmp_path))
        sent = asked(server)

    foretold = expected(script, PROMPTS, GigaChatDialect(), model="GigaChat-2")
    found = rows(result.folder)
    assert [(row["outcome"], (row["response"].get("error") or {}).get("kind")) for row in found] == [
        (one.outcome, one.error) for one in foretold
    ]
    assert len({one.outcome for one in foretold}) >= 5
    assert sent == sum(one.attempts for one in foretold)
    everything = b"".join(path.read_bytes() for path in result.folder.iterdir() if path.is_file())
    assert KEY.encode() not in everything
    assert b"mock." not in everything  # nor an access token
