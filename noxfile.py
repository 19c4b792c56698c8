"""The one door to every check: `nox -s tests`, `nox -s lint`, ... (`nox -l` lists them).

Works with pip alone and is faster where uv is installed.
"""

import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests", "lint", "types", "build", "quickstart"]

ROOT = Path(__file__).parent
DIST = ROOT / ".nox" / "dist"
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
NATIVE = ROOT / "plugins" / "hivetrace-llamacpp"  # compiles llama.cpp: minutes, and a compiler
PLUGINS = [path.parent for path in sorted(ROOT.glob("plugins/hivetrace-*/pyproject.toml")) if path.parent != NATIVE]
EXAMPLE_PLUGINS = sorted(path.parent for path in ROOT.glob("examples/hivetrace-*/pyproject.toml"))
DISTRIBUTIONS = [*PLUGINS, *EXAMPLE_PLUGINS]
PARALLEL = ["-n", "auto", "--dist", "worksteal"]


def _group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PROJECT, name))


def _install_checkout(session: nox.Session, *more: str) -> None:
    # One command for everything: with two, the second could take a plugin or core from the package index.
    editable = [flag for path in DISTRIBUTIONS for flag in ("-e", str(path))]
    session.install("-e", ".[http,testing]", *editable, *more)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests of core and of every plugin in the checkout."""
    _install_checkout(session, *_group("tests"))
    session.run("pytest", *PARALLEL, *session.posargs)


@nox.session
def tests_native(session: nox.Session) -> None:
    """Compile llama.cpp and run the tests of the plugin that needs it."""
    session.install("-e", ".[testing]", "-e", str(NATIVE), *_group("tests"))
    # Without the project's `--ignore`, which keeps the other session from what it has not installed.
    session.run(
        "pytest",
        "-o",
        "addopts=--import-mode=importlib --strict-markers",
        str(NATIVE / "tests"),
        "tests/test_corpus.py",
        *session.posargs,
    )


@nox.session
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest versions that core's pyproject.toml admits."""
    extras = PROJECT["project"]["optional-dependencies"]
    bounds = [*PROJECT["project"]["dependencies"], *extras["http"], *extras["testing"]]
    lowest = [bound.partition(",")[0].replace(">=", "==") for bound in bounds]
    _install_checkout(session, *_group("tests"), *lowest)
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check format and style; `nox -s lint -- --fix` mends what can be mended."""
    session.install(*_group("lint"))
    fix = "--fix" in session.posargs
    session.run("ruff", "format", *([] if fix else ["--check"]), ".")
    session.run("ruff", "check", *(["--fix"] if fix else []), ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types strictly: core, each plugin, and a file that uses the public API as its users do."""
    _install_checkout(session, *_group("types"))
    session.run("mypy", "hivetrace_core", "tests/typing/api.py", "examples/custom_model.py")
    for path in DISTRIBUTIONS:
        session.run("mypy", str(path / path.name.replace("-", "_")))
    for api in sorted(ROOT.glob("plugins/*/tests/typing/api.py")):
        session.run("mypy", str(api))


@nox.session
def wheels(session: nox.Session) -> None:
    """Build the source archive and, from it, the wheel of every distribution, into .nox/dist."""
    session.install(*_group("build"))
    shutil.rmtree(DIST, ignore_errors=True)
    for path in [ROOT, *DISTRIBUTIONS]:
        session.run("python", "-m", "build", "--outdir", str(DIST), str(path), silent=True)


@nox.session(requires=["wheels"], reuse_venv=False)
def build(session: nox.Session) -> None:
    """Install the built wheels into a clean environment and run the tests from outside the checkout."""
    built = {path.name.split("-")[0]: str(path) for path in DIST.glob("*.whl")}
    core = built.pop("hivetrace_core")
    session.install(f"{core}[http,testing]", *built.values(), *_group("tests"))

    outside = Path(session.create_tmp()) / "outside"
    shutil.rmtree(outside, ignore_errors=True)
    suites = [str(path.relative_to(ROOT) / "tests") for path in PLUGINS]
    for name in [
        "pyproject.toml",
        "README.md",
        "examples",
        "tests",
        "benchmarks/__init__.py",
        "benchmarks/outcomes",
        "docs",
        *suites,
    ]:
        _copy(ROOT / name, outside / name)
    session.chdir(outside)
    session.run("pytest", *PARALLEL, *session.posargs)


@nox.session(venv_backend="none")
def quickstart(session: nox.Session) -> None:
    """Run the README's first command as a newcomer does: in a fresh copy of the checkout."""
    copy = Path(session.create_tmp()) / "checkout"
    shutil.rmtree(copy, ignore_errors=True)
    _copy(ROOT, copy)
    session.chdir(copy)
    session.run(sys.executable, "bootstrap.py", "quickstart")


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measure what the design promises in figures; see benchmarks/README.md."""
    editable = [flag for path in PLUGINS for flag in ("-e", str(path))]
    session.install("-e", ".[http,mock]", *editable)
    session.run("python", "-m", "benchmarks", *session.posargs)


def _copy(source: Path, target: Path) -> None:
    made_here = shutil.ignore_patterns(".git", ".venv", ".nox", ".*_cache", ".hypothesis", "__pycache__")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copy2(source, target)
    else:
        shutil.copytree(source, target, ignore=made_here)
