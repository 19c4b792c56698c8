"""Runs: the journal says what the provider said."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..mockserver import expected
from ..registry import default_registry
from ..runs.runner import run
from .bench import Bench, Stage
from .standard import needs

if TYPE_CHECKING:
    from ..runs.events import RunResult

TRANSIENT: Final[list[dict[str, Any]]] = [
    {"share": 0.15, "times": 1, "error": "rate_limit", "retry_after": 0.01},
    {"share": 0.1, "times": 2, "error": "server", "retry_after": 0.01},
    {"share": 0.1, "times": 1, "fault": "reset"},
]

LASTING: Final[list[dict[str, Any]]] = [
    {"share": 0.15, "outcome": "blocked", "stage": "prompt"},
    {"share": 0.1, "outcome": "blocked", "stage": "response"},
    {"share": 0.1, "outcome": "refused"},
    {"share": 0.1, "outcome": "truncated"},
    {"share": 0.05, "outcome": "empty"},
    {"share": 0.1, "outcome": "unknown"},
    {"share": 0.1, "error": "context_length"},
    {"share": 0.05, "fault": "html"},
]


class RunTests(Bench):
    """Any model."""

    def test_a_run_records_one_outcome_for_every_prompt(self, tmp_path: Path) -> None:
        """The model can be named in a config, and every prompt ends up in the journal in its order."""
        prompts = [f"prompt {number}" for number in range(12)]
        with self.stage() as stage:
            result = run_with(self, stage, prompts, tmp_path)

        rows = rows_of(result)
        assert result.exit_code == 0
        assert [row["prompt"] for row in rows] == prompts
        assert {row["outcome"] for row in rows} == {"answered"}


@needs("wire")
class WireRunTests(RunTests):
    """Models whose provider can be told what to do."""

    def test_a_run_ends_with_exactly_the_outcomes_of_the_script(self, tmp_path: Path) -> None:
        """Blocks, refusals, errors and faults among hundreds of requests, many of them repeated."""
        rules = TRANSIENT + [rule for rule in LASTING if self.speaks(rule.get("outcome") or rule.get("error") or "")]
        prompts = [f"prompt {number}" for number in range(60)]
        with self.stage(*rules, seed=4, text="echo {prompt}") as stage:
            result = run_with(self, stage, prompts, tmp_path, batch_size=8, max_attempts=5, max_failure_rate=1.0)
            foretold = expected(stage.server.script, prompts, stage.dialect, max_attempts=5)
            requests = len(stage.asked())

        rows = rows_of(result)
        assert [(row["prompt"], row["outcome"], (row.get("error") or {}).get("kind")) for row in rows] == [
            (one.prompt, one.outcome, one.error) for one in foretold
        ]
        assert [row["attempts"] for row in rows] == [one.attempts for one in foretold]
        assert requests == sum(one.attempts for one in foretold)
        assert [row["content"] for row in rows if row["outcome"] == "answered"] == [
            f"echo {row['prompt']}" for row in rows if row["outcome"] == "answered"
        ]

    def test_a_dead_key_costs_a_run_one_request(self, tmp_path: Path) -> None:
        """The run stops early, says so by its exit code, and leaves the rest to `resume`."""
        with self.stage({"error": "authentication"}) as stage:
            result = run_with(self, stage, [f"prompt {number}" for number in range(40)], tmp_path, batch_size=8)
            requests = len(stage.asked())

        assert result.exit_code == 3
        assert requests == 1


def run_with(bench: Bench, stage: Stage, prompts: list[str], folder: Path, **limits: Any) -> RunResult:
    """Run the model under test from a config, into a folder."""
    settings = {"timeout": 20.0, "max_attempts": 1, **limits}
    arguments = {name: value for name, value in stage.arguments().items() if name not in settings}
    return run(
        {
            "models": [{"model": _name_of(bench), "params": arguments}],
            "prompts": prompts,
            "run": settings,
            "output": {"dir": str(folder), "formats": ["jsonl", "csv"]},
        }
    )


def rows_of(result: RunResult) -> list[dict[str, Any]]:
    """The exported outcomes."""
    path = result.folder / "responses.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def _name_of(bench: Bench) -> str:
    """The name by which a config finds the class; one that no plugin has is registered."""
    declared = bench.declared()
    if declared is not None:
        return str(declared.qualified)
    name = re.sub(r"[^a-z0-9]+", "-", f"conformance-{bench.model_class.__qualname__}".lower()).strip("-")
    default_registry().register(name, bench.model_class)
    return name
