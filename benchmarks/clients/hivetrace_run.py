"""`hivetrace run` as it is typed: config, prompts out of a file, journal, export, exit code."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hivetrace_core.cli import main

from ._turns import KEY, MODEL, Asked, Outcomes, prompts, serve, settings

told = settings()


def take_turn(asked: Asked) -> Outcomes:
    # In the current folder: where temporary files go there may be no disk at all.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        Path(folder, "prompts.txt").write_text("".join(f"{prompt}\n" for prompt in prompts(asked)))
        params = {"base_url": told["base_url"], "api_key": KEY, "batch_size": told["width"]}
        config = {
            "name": "throughput",
            "models": [{"model": told["provider"], "name": MODEL, "params": params}],
            "prompts": {"file": "prompts.txt"},
            "output": {"dir": "runs", "formats": ["jsonl"]},
        }
        Path(folder, "run.yaml").write_text(json.dumps(config))
        code = main(["run", str(Path(folder, "run.yaml"))])
        (exported,) = Path(folder, "runs").glob("*/*.jsonl")
        with exported.open() as lines:
            count = sum(1 for _ in lines)
    return {"answered" if code == 0 else f"exit code {code}": count}


if __name__ == "__main__":
    serve(take_turn, "hivetrace-core")
