"""`python -m benchmarks [NAME ...]`: each benchmark in a fresh process, and one table of the figures with a bound.

What else is given (`--quick`, `--envs DIR`) goes to each of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from ._measure import Figure, machine, print_table

BENCHMARKS = (
    "throughput",
    "latency",
    "vendors",
    "outcome_cost",
    "mock_server",
    "memory_wire",
    "ordered_wire",
    "limits_wire",
    "engine_overhead",
    "ordered_window",
    "limits_used",
    "memory_flat",
    "import_cost",
    "journal_rate",
    "journal_kill",
    "outcomes",
)


def main(arguments: list[str]) -> int:
    """Run those that are named, or all; 1 if one failed or missed a bound."""
    chosen: list[str] = []
    while arguments and not arguments[0].startswith("-"):
        chosen.append(arguments.pop(0))
    if unknown := sorted({*chosen} - {*BENCHMARKS}):
        print(f"No such benchmark: {', '.join(unknown)}. There are: {', '.join(BENCHMARKS)}")
        return 1
    if len(chosen) == 1:
        return subprocess.run(_command(chosen[0], arguments), check=False).returncode
    figures: list[Figure] = []
    broken: list[str] = []
    for name in chosen or BENCHMARKS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "figures.json")
            subprocess.run(_command(name, ["--json", str(path), *arguments]), check=False)
            if not path.exists():
                broken.append(name)
                continue
            found = [Figure(**fields) for fields in json.loads(path.read_text())]
            figures += [found_one.under(name) for found_one in found if found_one.bound is not None]
    print(f"All bounds\n{machine()}")
    print_table(figures)
    if broken:
        print(f"Ended without a result: {', '.join(broken)}")
    return 1 if broken or any(figure.verdict == "FAIL" for figure in figures) else 0


def _command(name: str, arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.{name}", *arguments]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
