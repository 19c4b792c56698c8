"""Tokens per second: many prompts at a time, against one after another, and against others that batch.

    python -m hivetrace_llamacpp.sample medium.gguf --size medium --quant q4_0
    python benchmarks/batching.py medium.gguf                        # the table
    python benchmarks/batching.py medium.gguf --kind unrelated
    python benchmarks/batching.py medium.gguf --server build/bin/llama-server --xllamacpp other-venv/bin/python
    python benchmarks/batching.py medium.gguf --only ours-8          # one line of it

Each line is a process of its own; loading and a warm-up are not counted. `serial` is llama-cpp-python's
`create_chat_completion` loop, which keeps what a prompt has in common with the one before. All answers have the same
length, because the sample model never ends one. See README.md for the columns.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from typing import Any

import _machine
from _ours import ours, serial
from _peers import server, xllamacpp
from _prompts import conversations

LINES = ("serial", "ours-1", "ours-4", "ours-8", "ours-16", "deterministic-8")
NOISY = 0.05
"""Share of the CPU time from which on others disturbed a line."""


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """One line of the table."""
    prompts = conversations(given.prompts, given.kind)
    busy, own = _machine.busy_s(), _machine.own_s()
    name, _, number = given.only.partition("-")
    slots = int(number or 1)
    if name == "serial":
        result = serial(given, prompts)
    elif name in ("ours", "deterministic"):
        result = ours(given, prompts, slots, deterministic=name == "deterministic")
    else:
        result = {"server": server, "xllamacpp": xllamacpp}[name](given, prompts, slots)
    result["tok/s"] = round(result["written"] / result["wall_s"], 1)
    result["wall_s"] = round(result["wall_s"], 2)
    result["foreign_s"] = round(max(_machine.busy_s() - busy - (_machine.own_s() - own), 0), 1)
    result.setdefault("rss_mb", round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    return {"line": given.only, **result}


def run_line(given: argparse.Namespace, line: str) -> dict[str, Any]:
    """One line, in a process of its own."""
    python = given.xllamacpp if line.startswith("xllamacpp") else sys.executable
    done = subprocess.run([python, *sys.argv, "--only", line], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{line} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def parser() -> argparse.ArgumentParser:
    """The options."""
    own = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    own.add_argument("model")
    own.add_argument("--kind", choices=["shared", "unrelated"], default="shared")
    own.add_argument("--prompts", type=int, default=32)
    own.add_argument("--new", type=int, default=64, help="tokens of each answer")
    own.add_argument("--n-ctx", type=int, default=512, help="tokens of each request")
    own.add_argument("--threads", type=int, default=_machine.cpus())
    own.add_argument("--gpu-layers", type=int, default=0)
    own.add_argument("--lines", default=",".join(LINES), help="serial, ours-N, deterministic-N, server-N, xllamacpp-N")
    own.add_argument("--rounds", type=int, default=1, help="how often the lines are measured, in turn")
    own.add_argument("--server", help="a llama-server, built with the same flags; adds the line server-8")
    own.add_argument("--xllamacpp", help="a Python with xllamacpp; adds the line xllamacpp-8")
    own.add_argument("--only", help="measure this line here, and print it as JSON")
    return own


def main() -> None:
    """The command."""
    given = parser().parse_args()
    if given.only:
        print(json.dumps(measure(given)))
        return
    lines = given.lines.split(",")
    lines += [f"{name}-8" for name in ("server", "xllamacpp") if getattr(given, name) and f"{name}-8" not in lines]
    load = _machine.load()
    print(f"{_machine.describe()}; {given.threads} threads; others use {load:.2f} CPUs", end="")
    print(" (NOT quiet: wait, or do not trust the figures)" if load > _machine.QUIET else " (quiet)", flush=True)
    speeds: dict[str, list[float]] = {line: [] for line in lines}
    for _ in range(given.rounds):
        for line in lines:
            result = run_line(given, line)
            speeds[line].append(result["tok/s"])
            ratio = result["tok/s"] / speeds[lines[0]][-1]
            noisy = "~" if result["foreign_s"] > NOISY * result["wall_s"] * _machine.cpus() else " "
            print(f"{ratio:5.2f} x{noisy} {json.dumps(result)}", flush=True)
    if given.rounds > 1:
        print("medians:")
        middle = {line: statistics.median(found) for line, found in speeds.items()}
        for line, speed in middle.items():
            print(f"{speed / middle[lines[0]]:5.2f} x  {line}: {speed:.1f} tok/s of {sorted(speeds[line])}")


if __name__ == "__main__":
    main()
