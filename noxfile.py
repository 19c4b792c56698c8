"""The one door to every check: `nox -s tests`, `nox -s lint`, ... (`nox -l` lists them).

Works with pip alone and is faster where uv is installed.
"""

import os
import shutil
import sys
import tomllib
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests", "lint", "types", "build", "quickstart"]

ROOT = Path(__file__).parent
DIST = ROOT / ".nox" / "dist"
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PLUGINS = [path.parent for path in sorted(ROOT.glob("plugins/hivetrace-*/pyproject.toml"))]
EXAMPLE_PLUGINS = sorted(path.parent for path in ROOT.glob("examples/hivetrace-*/pyproject.toml"))
DISTRIBUTIONS = [*PLUGINS, *EXAMPLE_PLUGINS]
PARALLEL = ["-n", "auto", "--dist", "worksteal"]

# The one plugin whose requirement is compiled: minutes, once per checkout.
NATIVE = ROOT / "plugins" / "hivetrace-llamacpp"
LLAMA = next(
    Requirement(line)
    for line in tomllib.loads((NATIVE / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    if line.startswith("llama-cpp-python")
)
LLAMA_WHEELS = ROOT / ".nox" / "llama-cpp"
WITHOUT_LLAMA = "HIVETRACE_NO_LLAMACPP"  # holds the reason; plugins/conftest.py reads it, too


def _group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PROJECT, name))


def _install_checkout(session: nox.Session, *more: str) -> None:
    # One command for everything: with two, the second could take a plugin or core from the package index.
    native = _llama_wheel()
    paths = [path for path in DISTRIBUTIONS if path != NATIVE or native is not None]
    editable = [flag for path in paths for flag in ("-e", str(path))]
    session.install("-e", ".[http,testing]", *editable, *([str(native)] if native else []), *more)
    if native is None:
        session.install("--no-deps", "-e", str(NATIVE))


def _llama_wheel() -> Path | None:
    """The wheel that the session `llama_cpp` has made; None where the plugin is to be tested without llama.cpp."""
    wheels = [] if os.environ.get(WITHOUT_LLAMA) else sorted(LLAMA_WHEELS.glob("*.whl"))
    return next((path for path in wheels if parse_wheel_filename(path.name)[1] in LLAMA.specifier), None)


@nox.session
def llama_cpp(session: nox.Session) -> None:
    """Compile llama-cpp-python for the other sessions, once per checkout.

    Where that is not possible, the plugin's tests that need it are left out, and the reason is shown.
    """
    why_not = os.environ.get(WITHOUT_LLAMA, "")
    if not why_not and _llama_wheel() is None:
        why_not = _compile_llama(session)
    if why_not:
        os.environ[WITHOUT_LLAMA] = why_not
        session.warn(f"hivetrace-llamacpp is tested without llama.cpp: {why_not}")


def _compile_llama(session: nox.Session) -> str:
    """Make the wheel; returns why that failed, or nothing."""
    compilers = [os.environ.get("CXX", "c++"), "c++", "g++", "clang++"]
    if os.name != "nt" and not any(map(shutil.which, compilers)):
        return "no C++ compiler (Debian, Ubuntu: apt install build-essential; macOS: xcode-select --install)"
    session.log("Compiling llama.cpp for hivetrace-llamacpp: some minutes, only this time ...")
    session.install("pip")
    command = ["-m", "pip", "wheel", "--disable-pip-version-check", "--no-deps", "--wheel-dir", str(LLAMA_WHEELS)]
    parallel = {"CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count() or 1)}
    try:
        session.run("python", *command, str(LLAMA), env=parallel)
    except nox.command.CommandFailed:
        return f"{LLAMA} could not be compiled; what pip said stands above, in the session llama_cpp"
    return ""


@nox.session(requires=["llama_cpp"])
def tests(session: nox.Session) -> None:
    """Run the tests of core and of every plugin in the checkout."""
    _install_checkout(session, *_group("tests"))
    session.run("pytest", *PARALLEL, *session.posargs)


@nox.session(requires=["llama_cpp"])
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


@nox.session(requires=["llama_cpp"])
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


@nox.session(requires=["wheels", "llama_cpp"], reuse_venv=False)
def build(session: nox.Session) -> None:
    """Install the built wheels into a clean environment and run the tests from outside the checkout."""
    built = {path.name.split("-")[0]: str(path) for path in DIST.glob("*.whl")}
    core = built.pop("hivetrace_core")
    native = _llama_wheel()
    alone = [] if native else [built.pop(NATIVE.name.replace("-", "_"))]
    session.install(f"{core}[http,testing]", *built.values(), *([str(native)] if native else []), *_group("tests"))
    if alone:
        session.install("--no-deps", *alone)

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
        "plugins/conftest.py",
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
    editable = [flag for path in PLUGINS if path != NATIVE for flag in ("-e", str(path))]
    session.install("-e", ".[http,mock]", *editable)
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def bench_gpu(session: nox.Session) -> None:
    """Compile llama.cpp with CUDA and measure hivetrace-llamacpp on the GPU of this machine; needs nvcc."""
    build = {"CMAKE_ARGS": os.environ.get("CMAKE_ARGS", "-DGGML_CUDA=on")}
    # Not from the cache, which has what was compiled for the CPU.
    session.install("--no-cache-dir", "-e", ".", "-e", str(NATIVE), env=build)
    session.run("python", str(NATIVE / "benchmarks" / "gpu.py"), *session.posargs)


def _copy(source: Path, target: Path) -> None:
    made_here = shutil.ignore_patterns(".git", ".venv", ".nox", ".*_cache", ".hypothesis", "__pycache__")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copy2(source, target)
    else:
        shutil.copytree(source, target, ignore=made_here)
