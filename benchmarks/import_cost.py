"""What importing costs, over a bare interpreter: the package, and what a plugin's light module needs.

Fresh processes, one of each kind per round, CPU time; pydantic is the measure.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points

from ._measure import Figure, Rounds, Settings, report

BARE = "pass"
PYDANTIC = "import pydantic; pydantic.BaseModel"
STATEMENTS = {
    "import hivetrace_core": 0.5,
    "from hivetrace_core import Model, ModelSpec, hookimpl": 1.0,
    "from hivetrace_core import ProviderModel": None,
}


def cpu_ms(statement: str) -> float:
    """Milliseconds of CPU of a fresh interpreter that runs this statement."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def plugin_modules_imported() -> list[str]:
    """Modules of installed plugins that `hivetrace models` imports; nothing is what is wanted."""
    command = [sys.executable, "-X", "importtime", "-m", "hivetrace_core", "models"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True)
    imported = {line.rpartition("|")[2].strip() for line in listed.stderr.splitlines()}
    plugins = {point.module for point in entry_points(group="hivetrace.models")}
    if "simulated" not in listed.stdout or not plugins:
        raise SystemExit("hivetrace_core is not installed (its entry points are missing): pip install -e .")
    return sorted(plugins & imported)


def measure(settings: Settings) -> list[Figure]:
    statements = [BARE, PYDANTIC, *STATEMENTS]
    subjects: dict[str, Callable[[], float]] = {statement: partial(cpu_ms, statement) for statement in statements}
    taken = Rounds(subjects, rounds=5 if settings.quick else 25)
    bare = taken.median(BARE)
    figures = [
        Figure("a bare interpreter", bare, " ms"),
        Figure(PYDANTIC, taken.median(PYDANTIC) - bare, " ms more"),
    ]
    for statement, bound in STATEMENTS.items():
        name = f"{statement} [{taken.median(statement) - bare:.1f} ms more]"
        figures.append(Figure(name, taken.ratio(statement, PYDANTIC, above=BARE), " x pydantic", bound))
    figures.append(Figure("hivetrace models: plugin modules imported", len(plugin_modules_imported()), "", 0))
    return figures


if __name__ == "__main__":
    report(__doc__.splitlines()[0], measure)
