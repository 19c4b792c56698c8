"""A stranger's plugin, installed from a wheel into a clean environment, is found by its name and passes the kit."""

from __future__ import annotations

import ensurepip
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import hivetrace_core

ROOT = Path(__file__).parents[2]
GLOBEX = ROOT / "examples" / "hivetrace-globex"
INSTALLED = ("-k", "TestGlobexPlugin or run or variant")
"""The rest of the kit does not depend on where things are installed; the example's own tests in the checkout run it."""

CONFIG = """
models: [{name: globex-large, params: {api_key: a-key-of-mine}}]
prompts: [Hello]
"""


def test_a_plugin_from_a_wheel_resolves_by_name_and_passes_the_kit_outside_the_checkout(tmp_path: Path) -> None:
    core = Path(hivetrace_core.__file__).parent  # from wherever it is tested
    wheels = [wheel(tmp_path / "core", ROOT, core), wheel(tmp_path / "globex", GLOBEX, GLOBEX / "hivetrace_globex")]
    python = environment(tmp_path / "venv", wheels)
    work = tmp_path / "work"
    shutil.copytree(GLOBEX / "tests", work / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    (work / "run.yaml").write_text(CONFIG)

    where = "import hivetrace_core, hivetrace_globex as g; print(hivetrace_core.__file__, g.__file__)"
    home = run(python, "-c", where, cwd=work)
    checked = run(python, "-m", "hivetrace_core", "check", "run.yaml", cwd=work)
    tested = run(python, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "tests", *INSTALLED, cwd=work)

    assert all(path.startswith(str(tmp_path / "venv")) for path in home.split())
    assert "hivetrace-globex" in checked
    assert " passed" in tested
    assert "skipped" not in tested


def wheel(folder: Path, project: Path, package: Path) -> Path:
    """Build a project's wheel from a copy of what goes into it."""
    shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (project / name).exists():
            shutil.copy2(project / name, folder)
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist"), cwd=folder)
    (built,) = (folder / "dist").iterdir()
    return built


def environment(folder: Path, wheels: list[Path]) -> str:
    """A clean environment with these wheels; only their dependencies come from the one that runs this test."""
    run(sys.executable, "-m", "venv", "--without-pip", str(folder))  # to install pip takes longer than all the rest
    python = str(folder / "bin" / "python")
    (pip,) = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    run(python, str(pip / "pip"), "install", "--quiet", "--no-deps", "--no-index", *map(str, wheels))
    own = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # Behind its own packages on the path; what is installed there as editable stays invisible.
    (Path(own) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python


def run(*command: str, cwd: Path | None = None) -> str:
    bare = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "HIVETRACE", "PYTEST"))}
    done = subprocess.run(command, cwd=cwd, env=bare, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
