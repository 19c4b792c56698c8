"""The command as its users call it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Command: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment without what would change the output."""
    dropped = {"COLUMNS", "NO_COLOR", "FORCE_COLOR", "HIVETRACE_DEBUG", "HIVETRACE_PLUGINS", "PYTHONIOENCODING"}
    return {key: value for key, value in os.environ.items() if key not in dropped}


@pytest.fixture
def hivetrace(tmp_path: Path, environment: dict[str, str]) -> Command:
    """Run `hivetrace ARGUMENTS` in the test's folder; `env` adds variables."""

    def run(*arguments: object, env: dict[str, str] | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
        more.setdefault("cwd", tmp_path)
        more.setdefault("timeout", 60)
        return subprocess.run(
            [sys.executable, "-m", "hivetrace_core", *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            env={**environment, **(env or {})},
            check=False,
            **more,
        )

    return run
