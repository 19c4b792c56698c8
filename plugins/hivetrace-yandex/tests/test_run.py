"""`run` in both modes: a quota that is used up in the middle, a dead key, a broken service; and what `resume` sends."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hivetrace_yandex.dialect import YandexDialect
from hivetrace_yandex.dialect_signals import SIGNALS

from hivetrace_core import resume, run
from hivetrace_core.mockserver import MockServer, WireReply, WireRequest, expected, json_reply

KEY = "AQVN-canary-of-the-run-4711"
PROMPTS = [f"Подсказка {number}" for number in range(100)]
SCRIPT: dict[str, Any] = {
    "text": "echo {prompt}",
    "seed": 5,
    "rules": [
        {"match": "7$", "variant": "status.content_filter"},
        {"match": "3$", "variant": "canned.final"},
        {"share": 0.1, "times": 1, "error": "server", "retry_after": 0.01},
        {"share": 0.1, "error": "context_length"},
        {"share": 0.1, "variant": "status.unseen"},
    ],
}
MODES = pytest.mark.parametrize("mode", ["sync", "async"])


class Limited(YandexDialect):
    """Answers so many requests, then says this."""

    def __init__(self, allowed: int, variant: str) -> None:
        self.allowed = allowed
        self.refusal = SIGNALS[variant]
        self.refused = 0
        self.answered: Counter[str] = Counter()

    def reply(self, request: WireRequest, turn: Any) -> WireReply:
        if self.allowed <= 0:
            self.refused += 1
            return json_reply(self.refusal.build(""), self.refusal.status)
        self.allowed -= 1
        if turn.error is None:
            self.answered[self.prompt_of(request)] += 1
        return super().reply(request, turn)


def config(server: MockServer, mode: str, folder: Path, **settings: Any) -> dict[str, Any]:
    params = {"base_url": server.url("yandex"), "api_key": KEY, "folder_id": "b1g", "mode": mode}
    fast = {"poll_interval": 0.02, "max_poll_interval": 0.05, "operation_reads_per_second": 500}
    return {
        "models": [{"name": "yandex/yandexgpt-lite", "params": {**params, **fast}}],
        "prompts": PROMPTS,
        "run": {"batch_size": 8, "timeout": 20, **settings},
        "output": {"dir": str(folder), "formats": ["jsonl"]},
    }


def rows(result: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (result.folder / "responses.jsonl").read_text(encoding="ascii").splitlines()]


def leaks(result: Any) -> bool:
    return any(KEY.encode() in path.read_bytes() for path in result.folder.iterdir() if path.is_file())


@MODES
@pytest.mark.parametrize("variant", ["error.hourly_quota", "error.billing"])
def test_a_quota_used_up_in_the_middle_stops_the_run_and_resume_sends_the_rest(
    mode: str, variant: str, tmp_path: Path
) -> None:
    dialect = Limited(60, variant)
    with MockServer(SCRIPT, dialects=[dialect]) as server:
        settings = config(server, mode, tmp_path, max_failure_rate=1.0)
        stopped = run(settings)
        before = Counter(row["outcome"] for row in rows(stopped))
        refused = dialect.refused
        dialect.allowed = 1000
        done = resume(stopped.folder, config=settings)
        foretold = expected(SCRIPT, PROMPTS, YandexDialect(), model="yandexgpt-lite")

    assert stopped.exit_code == 3
    assert 1 <= refused <= 8, "the run went on after the first refusals"
    assert before["blocked"] > 0
    assert stopped.models[0].recorded < len(PROMPTS)
    assert SIGNALS[variant].build("")["error"]["message"] in (stopped.models[0].stopped or "")
    assert done.exit_code == 0
    assert [(row["outcome"], row.get("error", {}).get("kind")) for row in rows(done)] == [
        (one.outcome, one.error) for one in foretold
    ]
    assert dialect.answered == {one.prompt: 1 for one in foretold if one.outcome != "failed"}, "asked twice"
    assert not leaks(done)


@MODES
def test_a_broken_service_fails_its_prompts_and_counts_no_block(mode: str, tmp_path: Path) -> None:
    rules = [{"match": "[0-4]$", "error": "server"}, {"match": "5$", "fault": "reset"}]
    with MockServer({"rules": rules}, dialects=[YandexDialect()]) as server:
        result = run(config(server, mode, tmp_path, max_attempts=1, max_failure_rate=1.0))

    found = Counter((row["outcome"], row.get("error", {}).get("kind")) for row in rows(result))
    assert found == {("failed", "server"): 50, ("failed", "connection"): 10, ("answered", None): 40}


@MODES
@pytest.mark.parametrize("variant", ["error.unknown_key", "error.folder"])
def test_a_wrong_key_or_folder_costs_one_request_and_says_what_to_do(mode: str, variant: str, tmp_path: Path) -> None:
    with MockServer({"rules": [{"variant": variant}]}, dialects=[YandexDialect()]) as server:
        result = run(config(server, mode, tmp_path))
        requests = len(server.log)

    advice = "check api_key" if variant == "error.unknown_key" else "folder_id must be"
    assert result.exit_code == 3
    assert requests == 1
    assert advice in result.models[0].stopped
    assert "AQVN" not in result.models[0].stopped
    assert result.models[0].recorded == 0
    assert not leaks(result)


def test_an_unseen_shape_is_unknown_and_the_run_goes_on(tmp_path: Path) -> None:
    rules = [{"match": "[05]$", "variant": "answer.no_alternatives"}]
    with MockServer({"rules": rules}, dialects=[YandexDialect()]) as server:
        result = run(config(server, "sync", tmp_path))

    assert result.exit_code == 0
    assert Counter(row["outcome"] for row in rows(result)) == {"unknown": 20, "answered": 80}
