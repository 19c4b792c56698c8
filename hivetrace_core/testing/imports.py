"""Imports: the light half of a plugin costs nothing and does nothing; what needs an SDK comes when it is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any, Final

from .declarations import Declared

DEAREST: Final = 2.0
"""CPU time of the light modules, in units of `from pydantic import BaseModel`; an SDK takes five and more."""

_SECONDS: Final = 120

_PROBE: Final = """
import importlib, json, sys, time

def tops():
    return {name.partition(".")[0] for name in sys.modules}

light, parts = json.loads(sys.argv[1])
from hivetrace_core import ModelSpec, hookimpl
before, begun = tops(), time.process_time()
for name in light:
    importlib.import_module(name)
cost, by_light = time.process_time() - begun, tops() - before
import hivetrace_core
for name in hivetrace_core.__all__:
    getattr(hivetrace_core, name)
import hivetrace_core.http, hivetrace_core.mockserver.dialect
before = tops()
for name in parts:
    importlib.import_module(name)
print(json.dumps({"cost": cost, "light": sorted(by_light), "parts": sorted(tops() - before)}))
"""

_YARDSTICK: Final = """
import time
begun = time.process_time()
from pydantic import BaseModel
print(time.process_time() - begun)
"""

_NOSY: Final = """
import importlib, json, os, sys

own = tuple(os.path.join(os.path.realpath(folder), "") for folder in json.loads(sys.argv[1])[1])
seen = []

def culprit():
    frame = sys._getframe(2)
    while frame is not None:
        name = os.path.realpath(frame.f_code.co_filename)
        if name.startswith(own):
            return f"{name}:{frame.f_lineno}"
        if "site-packages" in name or frame.f_code.co_filename.startswith("<frozen importlib"):
            return None
        frame = frame.f_back

class Environment(type(os.environ)):
    def __getitem__(self, key):
        if (where := culprit()):
            seen.append(f"{where} reads the environment ({key})")
        return super().__getitem__(key)

def audit(event, args):
    opened = event == "open" and isinstance(args[0], (str, bytes)) and not str(args[0]).endswith((".py", ".pyc"))
    if (opened or event.startswith(("socket.", "subprocess.", "os.exec", "os.fork"))) and (where := culprit()):
        seen.append(f"{where} does {event}")

modules = json.loads(sys.argv[1])[0]
import hivetrace_core.http, hivetrace_core.mockserver.dialect
os.environ.__class__ = Environment
sys.addaudithook(audit)
for name in modules:
    try:
        importlib.import_module(name)
    except ImportError:
        pass  # an SDK that is not installed here
print(json.dumps(seen))
"""


class ImportTests(Declared):
    """Of every plugin; each in a fresh process."""

    def test_the_light_module_imports_no_sdk(self) -> None:
        """The module of the entry point needs nothing beyond the standard library and what core needs itself."""
        assert self._foreign(self._probed()["light"], allowed=_PYDANTIC) == []

    def test_importing_the_light_module_costs_little(self) -> None:
        """`hivetrace models` imports the light modules of all plugins."""
        yardstick, cost = _yardstick(), self._probed()["cost"]
        if cost > DEAREST * yardstick:
            # Measured anew, the least of three: other processes only ever add to the time.
            yardstick = min(float(_python(_YARDSTICK)) for _ in range(3))
            cost = min(self._probe()["cost"] for _ in range(3))

        assert cost <= DEAREST * yardstick

    def test_options_classifier_and_dialect_import_no_sdk(self) -> None:
        """`hivetrace check` works without the SDK, and so does a mock server."""
        assert self._foreign(self._probed()["parts"]) == []

    def test_importing_reads_no_environment_and_opens_nothing(self) -> None:
        """Not even the model's own module: a key is read when a model is made."""
        from importlib.util import find_spec

        found = [find_spec(name) for name in self.packages()]
        folders = [folder for spec in found if spec is not None for folder in spec.submodule_search_locations or []]
        modules = [one.spec.model.partition(":")[0] for one in self.resolved()]

        assert json.loads(_python(_NOSY, [[*self.light_modules(), *self._parts(), *modules], folders])) == []

    def _parts(self) -> list[str]:
        specs = [one.spec for one in self.resolved()]
        parts = {part for spec in specs for part in (spec.options, spec.classify, spec.dialect) if part}
        return sorted({part.partition(":")[0] for part in parts})

    def _probed(self) -> dict[str, Any]:
        """What a probe has found, this one or an earlier one."""
        # What an import does depends on where modules are found.
        known = (*self.light_modules(), *self._parts(), *sys.path)
        if known not in _PROBED:
            _PROBED[known] = self._probe()
        return _PROBED[known]

    def _probe(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(_python(_PROBE, [self.light_modules(), self._parts()]))
        return found

    def _foreign(self, tops: list[str], allowed: frozenset[str] = frozenset()) -> list[str]:
        known = {*sys.stdlib_module_names, *self.packages(), *allowed, "hivetrace_core"}
        return [top for top in tops if top not in known and not top.startswith("_")]


_PYDANTIC: Final = frozenset({"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"})


_PROBED: Final[dict[tuple[str, ...], dict[str, Any]]] = {}


@cache
def _yardstick() -> float:
    """Seconds of CPU time that everybody pays for pydantic."""
    return float(_python(_YARDSTICK))


def _python(program: str, argument: Any = None) -> str:
    """What a program prints in a fresh process that finds the same modules as this one."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(  # noqa: S603  # this interpreter, and a program of ours
        [sys.executable, "-c", program, json.dumps(argument)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
