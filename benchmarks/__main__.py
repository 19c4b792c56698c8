"""`python benchmarks`: every benchmark in a fresh process, and one table of the figures that have a bound.

`--quick` shows that they run, not what things cost.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import Figure, machine, print_table

BENCHMARKS = (
    "engine_overhead",
    "ordered_window",
    "limits_used",
    "memory_flat",
    "import_cost",
    "journal_rate",
    "journal_kill",
)


def main(arguments: list[str]) -> int:
    """Run them all with these arguments; 1 if one failed or missed a bound."""
    figures: list[Figure] = []
    broken: list[str] = []
    for name in BENCHMARKS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "figures.json")
            command = [sys.executable, str(Path(__file__).with_name(f"{name}.py")), "--json", str(path), *arguments]
            subprocess.run(command, check=False)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
