"""What went wrong inside code that is not ours, as one line fit for a user."""

from __future__ import annotations

import importlib
import traceback
from pathlib import Path
from typing import Final

import pluggy

_LONGEST: Final = 400
_NOT_THEIRS: Final = ("<", *(str(Path(str(file)).parent) for file in (__file__, importlib.__file__, pluggy.__file__)))


def cause_text(exc: BaseException) -> str:
    """The exception in one printable line: its type and message, and where it was raised when that is known."""
    if isinstance(exc, SystemExit):
        text = f"it called sys.exit({exc.code!r})"
    else:
        message = _message(exc)
        text = f"{type(exc).__name__}: {message}" if message else type(exc).__name__
    # A SyntaxError's own message names the file and the line.
    place = None if isinstance(exc, SyntaxError) else _place(exc)
    return f"{text} ({place})" if place else text


def line_in(exc: BaseException, file: Path) -> int | None:
    """The line of the file at which the exception left it; None where it never passed through."""
    if isinstance(exc, SyntaxError) and exc.filename == str(file):
        return exc.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == str(file)]
    return lines[-1] if lines else None


def message_text(exc: BaseException) -> str:
    """Type and message in one printable line, without the place."""
    message = exc.msg if isinstance(exc, SyntaxError) else _message(exc)
    return f"{type(exc).__name__}: {message}" if message else type(exc).__name__


def _message(exc: BaseException) -> str:
    try:
        text = str(exc)
    except Exception:  # noqa: BLE001  # a broken __str__ must not hide that the plugin is broken
        return ""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"


def _place(exc: BaseException) -> str | None:
    """File and line of the innermost frame in a plugin's file, shortened to its folder."""
    for frame in reversed(traceback.extract_tb(exc.__traceback__)):
        if not frame.filename.startswith(_NOT_THEIRS):
            path = Path(frame.filename)
            return f"{path.parent.name}/{path.name}, line {frame.lineno}"
    return None
