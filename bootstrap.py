"""Set-up in one step, with nothing but Python and pip.

    python3 bootstrap.py quickstart     # installs HiveTrace, runs its main job on a simulated target
    python3 bootstrap.py tests          # installs what the tests need, runs them; what follows goes to pytest

The first time, `tests` compiles llama.cpp for one of the plugins, which takes some minutes.

Everything goes into a private environment, `.venv` beside this file; the system's Python is left alone. The second time
there is nothing left to install.
"""

# Parses on any Python 3, so that one that is too old gets a message instead of a syntax error.

import hashlib
import os
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "bootstrap-installed"


def main(arguments: "list[str]") -> int:
    """Run one command; returns the exit code."""
    if sys.version_info < OLDEST:
        sys.exit(
            "error: HiveTrace needs Python %d.%d or newer, and this is Python %d.%d (%s).\n"
            "Start this script with a newer one, for example: python3.12 bootstrap.py quickstart"
            % (OLDEST + sys.version_info[:2] + (sys.executable,))
        )
    command, rest = (arguments or [""])[0], arguments[1:]
    if command == "quickstart":
        install("HiveTrace", "-e", str(ROOT))
        return run(BIN / "hivetrace", "run", ROOT / "examples" / "quickstart.yaml", *rest)
    if command == "tests":
        install("nox", "nox>=2025.5.1")
        return run(PYTHON, "-m", "nox", "-f", ROOT / "noxfile.py", "-s", "tests", "--", *rest)
    sys.exit("usage: python3 bootstrap.py quickstart\n       python3 bootstrap.py tests [arguments of pytest]")


def install(what: str, *requirements: str) -> None:
    """Install into the private environment; does nothing where the same was done before."""
    wanted = " ".join(requirements) + " " + hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if not works(PYTHON, "-c", "import sys; sys.exit(sys.version_info < %r)" % (OLDEST,)):
        print("Making a private environment in %s ..." % VENV, flush=True)
        if run(sys.executable, "-m", "venv", "--clear", "--without-pip", VENV) != 0:
            sys.exit("error: the environment could not be made; Python's message is above.")
    done = STAMP.read_text().splitlines() if STAMP.exists() else []
    if wanted in done:
        return
    print("Installing %s and what it needs into it ..." % what, flush=True)
    if run(*pip(), "install", "--quiet", "--disable-pip-version-check", *requirements) != 0:
        sys.exit("error: %s could not be installed; pip's message is above." % what)
    STAMP.write_text("\n".join([*done, wanted]) + "\n")


def pip() -> "list[object]":
    """The command of a pip that installs into the private environment."""
    own: "list[object]" = [PYTHON, "-m", "pip"]
    if works(*own, "--version") or works(PYTHON, "-m", "ensurepip"):
        return own
    # Debian and Ubuntu keep ensurepip in a package of its own; the system's pip can work on another environment.
    outer: "list[object]" = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    if works(*outer, "--version"):
        return outer
    sys.exit(
        "error: %s has no pip, and no ensurepip to make one with.\n"
        "Install one (Debian, Ubuntu: apt install python3-venv; elsewhere: see https://pip.pypa.io) and run this again."
        % sys.executable
    )


def works(*command: object) -> bool:
    """Whether a command can be started and ends well; shows nothing."""
    try:
        return run(*command, quiet=True) == 0
    except OSError:
        return False


def run(*command: object, quiet: bool = False) -> int:
    """The exit code of a command; when the user interrupts it, it gets the time to tidy up."""
    output = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
