"""A config file in a folder of its own, and the error that it gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from hivetrace_core import ConfigError
from hivetrace_core.config import load_config

Write: TypeAlias = Callable[..., Path]
Refused: TypeAlias = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file into a fresh working folder; gives its relative path."""
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes, name: str = "run.yaml") -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        return path

    return write


@pytest.fixture
def refused(write: Write) -> Refused:
    """Write a config that must be refused; gives the message."""

    def refused(text: str | bytes, name: str = "run.yaml") -> str:
        with pytest.raises(ConfigError) as caught:
            load_config(write(text, name))
        return str(caught.value)

    return refused
