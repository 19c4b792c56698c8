"""What reaches the terminal: any text, made safe to show."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..runs.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_FILES: Final = 160
"""Columns where the output is no terminal and nothing says how wide it may be."""

_LINE_BREAKS: Final = re.compile("[\t\n\u2028\u2029]")
_WRITTEN_OUT: Final = {"\t": "\\t", "\n": "\\n", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def one_line(text: str, limit: int = 60) -> str:
    """The text, safe to show, on one line of at most `limit` characters."""
    line = _LINE_BREAKS.sub(lambda match: _WRITTEN_OUT[match.group()], visible(text))
    return line if len(line) <= limit else line[: limit - 1] + "…"


class SafeStream:
    """Makes text that arrives in pieces safe to show: a line break may be cut in two."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be shown so far."""
        text = self._held + piece
        self._held = "\r" if text.endswith("\r") else ""
        return visible(text.removesuffix("\r"))

    def rest(self) -> str:
        """What was held back, when nothing follows."""
        held, self._held = self._held, ""
        return visible(held)


def complain(text: str) -> None:
    """One message to stderr; nothing where that is closed."""
    try:
        print(visible(text), file=sys.stderr, flush=True)  # noqa: T201  # the one place that prints messages
    except (OSError, ValueError):
        return


def tolerate_any_output() -> None:
    """Neither a closed output nor a character that its encoding lacks ends the program."""
    # The interpreter has none where the caller closed it (`>&-`); these stay open until the process ends.
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # open as long as the process
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # open as long as the process
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def console(*, stderr: bool = False) -> Console:
    """A rich console that shows data as it is: no markup, no emoji names, no guessing of highlights."""
    from rich.console import Console

    plain = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not plain.is_terminal and not os.environ.get("COLUMNS"):
        plain.width = WIDTH_OF_FILES
    return plain
