"""Variables from a file (`--env-file`). Reading one changes nothing; the caller decides where they go."""

from __future__ import annotations

import re
from io import StringIO
from os import PathLike
from pathlib import Path

from ..errors import ConfigError
from .text_file import read_text, shown

_LARGEST = 1024 * 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def load_env_file(path: str | PathLike[str]) -> dict[str, str]:
    """The variables of a `.env` file, as python-dotenv reads them: `KEY=VALUE` lines, `export`, quotes, `#` comments.

    Values are taken literally: `$` and `${...}` in them mean nothing. Where a name occurs twice, the last one counts,
    as in a shell.

    Raises:
        ConfigError: the file cannot be read or is not UTF-8 text, or a line is not `KEY=VALUE`; names the line, shows
            no value.
    """
    # Imported here: only the command's --env-file needs it.
    from dotenv.parser import parse_stream

    file = Path(path)
    name = shown(file)
    text = read_text(file, what="env file", largest=_LARGEST, advice="It should hold KEY=VALUE lines.")
    variables: dict[str, str] = {}
    for binding in parse_stream(StringIO(text)):
        written = binding.original.string
        line = binding.original.line + written[: len(written) - len(written.lstrip())].count("\n")
        if binding.error:
            raise ConfigError(f"{name}:{line}: not `KEY=VALUE`, or a quote that is never closed.")
        if binding.key is None:
            continue
        if not _NAME.fullmatch(binding.key):
            raise ConfigError(
                f"{name}:{line}: the part before `=` is not the name of a variable (letters, digits and `_`)."
            )
        if binding.value is None:
            raise ConfigError(f"{name}:{line}: the `=` is missing; write {binding.key}=VALUE.")
        variables[binding.key] = binding.value
    return variables
