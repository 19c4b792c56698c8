"""The folder of a run: its name, its mode, and the config that is kept in it."""

from __future__ import annotations

import os
import re
import unicodedata
from datetime import datetime
from pathlib import Path
from typing import Final

from ..errors import RunError

DATABASE_NAME: Final = "run.db"
CONFIG_NAME: Final = "config.yaml"

_LONGEST_NAME_BYTES: Final = 80
"""File systems allow 255, Windows 260 for the whole path."""

_OUTSIDE = re.compile(r"[^\w.-]+")

# Names of devices on Windows, with whatever extension.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])(?:\..*)?", re.IGNORECASE)


def make_run_folder(parent: Path, name: str, *, now: datetime | None = None) -> Path:
    """Make `<parent>/<name>-<date>-<time>`, readable for its owner only; never one that exists already.

    Raises:
        RunError: the folder cannot be made.
    """
    # Local time: it is for whoever looks for the folder.
    base = f"{sanitized(name)}-{now or datetime.now().astimezone():%Y%m%d-%H%M%S}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            folder = parent / (base if number == 1 else f"{base}-{number}")
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                number += 1
            else:
                return folder
    except OSError as exc:
        reason = exc.strerror or exc
        raise RunError(
            f"The run's folder cannot be made in {parent}: {reason}. Set `output: {{dir: ...}}` to a writable folder."
        ) from None


def sanitized(name: str) -> str:
    """A name that is one plain part of a path everywhere: letters and digits of any script, `-`, `_` and `.`."""
    plain = _OUTSIDE.sub("-", unicodedata.normalize("NFC", name))
    plain = plain.encode("utf-8", "ignore")[:_LONGEST_NAME_BYTES].decode("utf-8", "ignore").strip("-.")
    if not plain or _RESERVED.fullmatch(plain):
        return f"run-{plain}".rstrip("-")
    return plain


def write_config(folder: Path, text: str) -> None:
    """Keep the config in the folder, readable for its owner only; secrets in it are masked already.

    Raises:
        RunError: the file cannot be written.
    """
    path = folder / CONFIG_NAME
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as exc:
        raise RunError(f"{path} cannot be written: {exc.strerror or exc}.") from None
