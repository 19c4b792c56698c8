"""The last line of defence before the terminal: text of plugins and libraries, which may quote a key."""

from __future__ import annotations

import os
import sys

from ..redaction import Redactor, secret_values


def without_secrets(text: str) -> str:
    """The text with `***` for every secret of the environment and of the command line."""
    given = dict(pair for argument in sys.argv[1:] if len(pair := argument.split("=", 1)) == 2)
    return Redactor([*secret_values(dict(os.environ)), *secret_values(given)]).text(text)
