"""The rules of the architecture, enforced by reading what each file imports."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import requires
from pathlib import Path

import pytest

import hivetrace_core

ROOT = Path(__file__).parents[1]
PACKAGE = Path(hivetrace_core.__file__).parent

# What plugins may import from.
PUBLIC = {"hivetrace_core", "hivetrace_core.http", "hivetrace_core.mockserver", "hivetrace_core.testing"}

# Who may import whom, inside the package. A name stands for a module or for a package with all that is in it; the
# longest one that fits counts. A file without a place here is a failure: decide where it belongs.
DATA = {"errors", "responses", "messages", "redaction"}
ARROWS: dict[str, set[str]] = {
    "_pydantic": set(),
    "_version": set(),
    "errors": set(),
    "redaction": set(),
    "responses": {"errors"},
    "messages": {"errors"},
    "options": {"errors", "redaction", "_pydantic"},
    "params": set(),
    "option_docs": {"options"},
    "engine": {*DATA, "engine"},
    "answers": DATA,
    "contract": {*DATA, "answers", "engine"},
    "connections": {"errors", "engine"},
    "provider": {*DATA, "answers", "options", "engine", "contract", "connections"},
    "http": {*DATA, "options", "params", "http", "_version"},
    "registry.names": {"errors"},
    "registry.spec": {"errors", "registry.names"},
    "registry.hookspecs": {"registry.spec"},
    "registry": {*DATA, "options", "engine", "contract", "provider", "registry"},
    "models": {"errors", "registry"},
    "simulated": {*DATA, "options", "params", "engine", "provider", "registry.spec", "registry.hookspecs", "simulated"},
    "mockserver.dialect": {"errors", "responses"},
    "mockserver": {*DATA, "http.statuses", "registry", "config", "mockserver"},
    "testing": {
        *DATA,
        "options",
        "option_docs",
        "provider",
        "http",
        "mockserver",
        "registry",
        "runs",
        "testing",
    },
    "config": {*DATA, "_pydantic", "options", "engine", "contract", "provider", "registry", "config"},
    "runs": {*DATA, "options", "engine", "contract", "provider", "registry", "config", "runs", "_version"},
    "cli": {
        *DATA,
        "options",
        "option_docs",
        "engine",
        "contract",
        "provider",
        "registry",
        "config",
        "runs",
        "mockserver",
        "cli",
        "_version",
    },
    "__main__": {"cli"},
}
# What only extras of core declare.
EXTRAS = ("aiohttp", "httptools", "pytest", "hypothesis")
# Types may come from above, where only the checker reads them.
TYPE_ARROWS: dict[str, set[str]] = {"registry.hookspecs": {"engine"}}

# What a light plugin module and a custom model import; pydantic or asyncio would cost more than all the rest.
LIGHT = {
    "errors",
    "responses",
    "answers",
    "contract",
    "registry.names",
    "registry.spec",
    "registry.hookspecs",
    "registry",
    "mockserver",
    "mockserver.dialect",
    "",
}
HEAVY = {"asyncio", "pydantic", "tenacity", "yaml", "sqlite3", "ssl", "aiohttp", "click", "rich"}

THIRD_PARTY: dict[str, set[str]] = {
    "pydantic": {
        "_pydantic",
        "options",
        "option_docs",
        "provider",
        "http",
        "simulated",
        "registry",
        "config",
        "mockserver",
        "runs",
        "cli",
        "testing",
    },
    "pluggy": {"registry", "testing"},
    "pytest": {"testing"},
    "hypothesis": {"testing"},
    "tenacity": {"engine"},
    "yaml": {"config", "runs", "cli"},
    "dotenv": {"config"},
    "click": {"cli"},
    "rich": {"cli"},
    "aiohttp": {"http"},
    "httptools": {"mockserver"},
}

VENDORS = re.compile("openai|gigachat|yandex|gemini|llama|ollama|openrouter", re.IGNORECASE)


@dataclass(frozen=True)
class Import:
    line: int
    target: str  # absolute, "hivetrace_core.engine.limits"
    names: tuple[str, ...]  # what is taken from it; nothing where it is imported itself
    when: str  # "import", "call" (inside a function), "types" (under TYPE_CHECKING)


def source_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    """The dotted name below the package; "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def place_of(module: str, places: set[str]) -> str | None:
    """The longest of the places that holds the module."""
    parts = module.split(".")
    names = [".".join(parts[:end]) for end in range(len(parts), 0, -1)] if module else [""]
    return next((name for name in names if name in places), None)


@cache
def imports_of(path: Path, root: Path = PACKAGE) -> tuple[Import, ...]:
    """What a file of the package in the folder `root` imports, relative imports resolved."""
    package = [root.name, *path.relative_to(root).parts[:-1]]
    return tuple(_walk(ast.parse(path.read_bytes()), package, "import"))


def _walk(node: ast.AST, package: list[str], when: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(child.lineno, alias.name, (), when)
        elif isinstance(child, ast.ImportFrom):
            base = package[: len(package) - child.level + 1] if child.level else []
            source = ".".join([*base, *(child.module.split(".") if child.module else [])])
            for alias in child.names:
                # `from . import x` and `from ..package import module` may name modules.
                named = f"{source}.{alias.name}"
                whole = _is_module(named)
                yield Import(child.lineno, named if whole else source, () if whole else (alias.name,), when)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for part in child.body:
                yield from _walk(ast.Module([part], []), package, "types")
            for part in child.orelse:
                yield from _walk(ast.Module([part], []), package, when)
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _walk(child, package, "types" if when == "types" else "call")
        else:
            yield from _walk(child, package, when)


def _is_module(name: str) -> bool:
    top, *rest = name.split(".")
    inside = PACKAGE.joinpath(*rest)
    return top == "hivetrace_core" and (inside.is_dir() or inside.with_suffix(".py").is_file())


def everything() -> Iterator[tuple[Path, str, Import]]:
    for path in source_files():
        for found in imports_of(path):
            yield path, module_of(path), found


def show(path: Path, found: Import) -> str:
    return f"{path.relative_to(PACKAGE.parent)}:{found.line} imports {found.target}"


def test_every_file_has_a_place_in_the_layers() -> None:
    homeless = [module_of(p) for p in source_files() if module_of(p) and place_of(module_of(p), set(ARROWS)) is None]

    assert homeless == []


def test_arrows_between_layers_point_one_way() -> None:
    wrong = []
    for path, module, found in everything():
        if not (found.target + ".").startswith("hivetrace_core.") or not module:
            continue  # the package's own __init__ is the way in to every public name
        home = place_of(module, set(ARROWS))
        target = found.target.removeprefix("hivetrace_core").removeprefix(".")
        allowed = ARROWS[home or ""] | {home or ""}
        if found.when == "types":
            allowed = allowed | TYPE_ARROWS.get(home or "", set())
        # An arrow to a package does not open the packages around it.
        if place_of(target, allowed) is None:
            wrong.append(show(path, found))

    assert wrong == []


def test_core_uses_only_the_packages_it_declares_each_in_its_own_place() -> None:
    wrong = []
    for path, module, found in everything():
        top = found.target.split(".")[0]
        if top in sys.stdlib_module_names or top == "hivetrace_core":
            continue
        if place_of(module, THIRD_PARTY.get(top, set())) is None:
            wrong.append(show(path, found))

    assert wrong == []


def test_every_declared_dependency_is_used() -> None:
    lines = [line for line in requires("hivetrace-core") or [] if "extra ==" not in line]
    declared = {re.split(r"[<>=!~; \[]", line)[0].lower() for line in lines}
    used = {found.target.split(".")[0] for _, _, found in everything()} & set(THIRD_PARTY) - {*EXTRAS}
    names = {"yaml": "pyyaml", "dotenv": "python-dotenv"}

    assert declared == {names.get(module, module) for module in used}


def test_what_light_modules_import_stays_light() -> None:
    wrong = []
    for path, module, found in everything():
        if module in LIGHT and found.when == "import" and found.target.split(".")[0] in HEAVY:
            wrong.append(show(path, found))

    assert wrong == []


def test_core_names_no_vendor() -> None:
    named = [
        f"{path.relative_to(PACKAGE.parent)}:{number}: {line.strip()}"
        for path in source_files()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if VENDORS.search(line)
    ]

    assert named == []


PLUGINS = sorted(ROOT.glob("plugins/hivetrace-*/hivetrace_*")) + sorted(ROOT.glob("examples/hivetrace-*/hivetrace_*"))


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_plugins_import_only_public_names_of_core_and_no_plugin_that_they_do_not_declare(plugin: Path) -> None:
    declared = tomllib.loads((plugin.parent / "pyproject.toml").read_text())["project"]["dependencies"]
    wrong = []
    for path in sorted(plugin.rglob("*.py")):
        for found in imports_of(path, plugin):
            top = found.target.split(".")[0]
            other = top.startswith("hivetrace_") and top not in (plugin.name, "hivetrace_core")
            if other and (found.target != top or not any(line.startswith(top.replace("_", "-")) for line in declared)):
                wrong.append(f"{path.name}:{found.line} imports {found.target}")
            if top == "hivetrace_core" and found.target not in PUBLIC:
                wrong.append(f"{path.name}:{found.line} imports {found.target}")
            if found.target in PUBLIC and not set(found.names) <= set(importlib.import_module(found.target).__all__):
                wrong.append(f"{path.name}:{found.line} imports {', '.join(found.names)} from {found.target}")

    assert wrong == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_the_light_parts_of_plugins_import_no_sdk(plugin: Path) -> None:
    """The module of the entry point needs nothing but core; options and outcomes may use pydantic."""
    wrong = []
    for name in ("__init__", "options", "outcomes"):
        path = plugin / f"{name}.py"
        for found in imports_of(path, plugin) if path.exists() else ():
            top = found.target.split(".")[0]
            known = {
                *sys.stdlib_module_names,
                "hivetrace_core",
                plugin.name,
                *(() if name == "__init__" else ("pydantic",)),
            }
            if found.when == "import" and top not in known:
                wrong.append(f"{path.name}:{found.line} imports {found.target}")

    assert wrong == []
    assert (plugin / "py.typed").is_file()


def test_the_package_is_marked_as_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.parametrize("module", [module_of(path) for path in source_files() if module_of(path) != "__main__"])
def test_all_lists_are_true(module: str) -> None:
    """That they are sorted is the linter's business (RUF022)."""
    loaded = importlib.import_module(f"hivetrace_core.{module}".rstrip("."))
    names = getattr(loaded, "__all__", None)
    if names is None:
        assert module  # only the package itself must list its names
        return

    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(loaded, name)] == []


def test_every_public_name_of_the_package_is_listed() -> None:
    """What `from hivetrace_core import X` serves lazily and what `__all__` promises are the same names."""
    listed = set(hivetrace_core.__all__)

    assert set(dir(hivetrace_core)) >= listed
    with pytest.raises(AttributeError):
        _ = hivetrace_core.NoSuchName


_EFFECTS = """
import importlib, json, os, sys
from pathlib import Path

package = Path(sys.argv[1])
seen = []

def culprit(through):
    # Where the package did it, itself or through the standard library; what other libraries do is their own affair.
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(str(package)):
            return f"{Path(name).relative_to(package)}:{frame.f_lineno}"
        foreign = "site-packages" in name or name.startswith("<frozen importlib")
        if foreign or not (through or name.endswith(("os.py", "_collections_abc.py"))):
            return None
        frame = frame.f_back

class Environment(type(os.environ)):
    def __getitem__(self, key):
        # Libraries that it calls have their own variables.
        if (where := culprit(through=False)):
            seen.append(f"{where} reads the environment ({key})")
        return super().__getitem__(key)

os.environ.__class__ = Environment

def audit(event, args):
    opened = event == "open" and isinstance(args[0], (str, bytes)) and not str(args[0]).endswith((".py", ".pyc"))
    if opened or event.startswith(("socket.", "subprocess.", "os.exec", "os.fork", "sqlite3.")):
        if (where := culprit(through=True)):
            seen.append(f"{where} does {event} {args!r:.80}")

sys.addaudithook(audit)
before = set(sys.modules)
for name in sys.argv[2:]:
    importlib.import_module(name)
print(json.dumps({"seen": seen, "modules": sorted(set(sys.modules) - before)}))
"""


def effects_of_importing(*modules: str) -> dict[str, list[str]]:
    command = [sys.executable, "-c", _EFFECTS, str(PACKAGE), *modules]
    env = {**os.environ, "PYTHONWARNINGS": "error"}
    result: dict[str, list[str]] = json.loads(subprocess.check_output(command, text=True, env=env))
    return result


def test_importing_core_reads_no_environment_and_opens_nothing() -> None:
    modules = [f"hivetrace_core.{module_of(path)}".rstrip(".") for path in source_files()]

    effects = effects_of_importing(*[name for name in modules if not name.endswith("__main__")])

    assert effects["seen"] == []


def test_the_check_for_import_effects_sees_what_it_looks_for(tmp_path: Path) -> None:
    source = "import os, socket\nos.environ['HOME']\nopen('/dev/null').close()\nsocket.socket().close()\n"
    (tmp_path / "nosy.py").write_text(source)
    command = [sys.executable, "-c", _EFFECTS, str(tmp_path), "nosy"]

    seen = json.loads(subprocess.check_output(command, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)}))[
        "seen"
    ]

    assert [line.split()[0] for line in seen] == ["nosy.py:2", "nosy.py:3", "nosy.py:4"]


def test_importing_the_package_imports_nothing_heavy() -> None:
    loaded = effects_of_importing("hivetrace_core")["modules"]

    assert HEAVY.isdisjoint(loaded)
    assert "pluggy" not in loaded
