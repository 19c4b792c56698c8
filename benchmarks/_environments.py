"""Environments for what is compared: each competitor pip-installed into one of its own, made once and kept."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path


class NotInstalledError(Exception):
    """A competitor cannot be installed here; the text says why."""


def default_folder() -> Path:
    """Where environments are kept if nothing else is asked for."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "hivetrace-benchmarks"


def python_with(folder: Path, *requirements: str) -> str:
    """The interpreter of an environment with these requirements, made now if it is not there.

    Args:
        folder: Of all environments; this one's is named after what is installed in it.
        requirements: As pip takes them.

    Raises:
        NotInstalledError: it cannot be made.
    """
    home = folder / "-".join(re.sub(r"[^a-zA-Z0-9_-].*", "", requirement) for requirement in requirements)
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    receipt = home / "installed.txt"
    wanted = "\n".join([sys.version, *requirements])
    if receipt.exists() and receipt.read_text() == wanted and python.exists():
        return str(python)
    print(f"installing {', '.join(requirements)} into {home}", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    uv = shutil.which("uv") or shutil.which("uv", path=Path(sys.executable).parent)
    if uv is not None:
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(home))
        _run(uv, "pip", "install", "--quiet", "--python", str(python), *requirements)
    else:
        _run(sys.executable, "-m", "venv", str(home))
        _run(str(python), "-m", "pip", "install", "--quiet", *requirements)
    receipt.write_text(wanted)
    return str(python)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise NotInstalledError(f"{' '.join(command[:4])} ... ended with {done.returncode}: {' '.join(said[-3:])}")
