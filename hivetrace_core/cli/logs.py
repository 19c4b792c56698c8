"""The library's log on the terminal: one line per warning, tracebacks only for who asks."""

from __future__ import annotations

import logging
from typing import Final

from .secrets import without_secrets
from .terminal import complain, one_line

REPEATS: Final = 3
"""How often warnings of one kind are shown; a model that fails on every prompt has its own column for that."""

_WIDTH: Final = 300


def show_logs(*, everything: bool) -> None:
    """Show warnings, or with `everything` the whole log with its tracebacks. A second call replaces the first."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _ToTerminal)]:
        root.removeHandler(handler)
    root.addHandler(_ToTerminal(everything))
    logging.getLogger("hivetrace_core").setLevel(logging.DEBUG if everything else logging.WARNING)


class _ToTerminal(logging.Handler):
    def __init__(self, everything: bool) -> None:
        super().__init__(logging.DEBUG if everything else logging.WARNING)
        self._everything = everything
        self._shown: dict[tuple[str, str], int] = {}
        if everything:
            self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._everything:
                complain(without_secrets(self.format(record)))
            else:
                self._brief(record)
        except Exception:  # noqa: BLE001  # a log line that cannot be formatted must not end a run
            self.handleError(record)

    def _brief(self, record: logging.LogRecord) -> None:
        kind = (record.name, str(record.msg))
        count = self._shown[kind] = self._shown.get(kind, 0) + 1
        if count > REPEATS:
            return
        # A traceback, in the message or beside it, is reduced to its last line: what was raised.
        lines = record.getMessage().strip().splitlines() or [""]
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            lines.append(f"{type(error).__name__}: {error}")
        text = lines[0] if len(lines) == 1 else f"{lines[0]}: {lines[-1]}"
        more = "; more of this kind is not shown" if count == REPEATS else ""
        complain(f"{record.levelname.lower()}: {one_line(without_secrets(text), _WIDTH)}{more}")
