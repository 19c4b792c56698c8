"""What is wrong with a config: each problem with its file, line and key, and all of them in one error."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ..errors import ConfigError, HiveTraceError
from ..redaction import Redactor

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value sits: `("models", 1, "params", "temperature")`."""

_PLAIN_KEY = re.compile(r"[^\W\d][\w-]*")

_MOST_SHOWN: Final = 20


def dotted(path: KeyPath) -> str:
    """The path as a person writes it: `models[1].params.temperature`; odd keys are quoted, so nothing in them acts."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{json.dumps(part[:60])}]"
    return text


@dataclass(frozen=True)
class Source:
    """Where a config came from, so that a message can point into it.

    Attributes:
        name: What messages call it: the path as the user gave it, or `config` for a mapping.
        path: The file, absolute; None for a mapping.
        base: The folder where relative paths among params start; None for the current one.
        lines: The line of each key and list item, by its path in the file; empty for a mapping.
        renamed: Where the short forms were unfolded: path in the full form -> path as it was written.
    """

    name: str = "config"
    path: str | None = None
    base: str | None = None
    lines: Mapping[KeyPath, int] = field(default_factory=dict, repr=False)
    renamed: Mapping[KeyPath, KeyPath] = field(default_factory=dict, repr=False)

    def written(self, path: KeyPath) -> KeyPath:
        """The path as the user wrote it (`response_model` instead of `models[0]`)."""
        for length in range(len(path), 0, -1):
            if (original := self.renamed.get(path[:length])) is not None:
                return original + path[length:]
        return path

    def line(self, path: KeyPath) -> int | None:
        """The line of the value, or of the nearest one around it that has a line."""
        original = self.written(path)
        for length in range(len(original), -1, -1):
            if (line := self.lines.get(original[:length])) is not None:
                return line
        return None

    def place(self, path: KeyPath, line: int | None = None) -> str:
        """`run.yaml:7: models[1].params.temperature`, as much of it as is known."""
        line = line or self.line(path)
        file = f"{self.name}:{line}" if line else self.name
        return ": ".join(part for part in (file, dotted(self.written(path))) if part)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, and a sentence without a full stop."""

    path: KeyPath
    text: str
    line: int | None = None
    """Given where the path alone does not tell it: the second of two equal keys."""


class Problems:
    """Collects problems, so that a user mends all of them at once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._found: dict[tuple[KeyPath, int | None], list[str]] = {}
        self.cause: HiveTraceError | None = None
        """The error behind a problem, where there is one."""

    def __bool__(self) -> bool:
        return bool(self._found)

    def paths(self) -> set[KeyPath]:
        """Where something is wrong already."""
        return {path for path, _ in self._found}

    def add(self, path: KeyPath, text: str, *, line: int | None = None) -> None:
        """Note one problem; several about one value become one sentence."""
        texts = self._found.setdefault((path, line), [])
        if text not in texts:
            texts.append(text)

    def extend(self, problems: Sequence[Problem]) -> None:
        """Note several."""
        for problem in problems:
            self.add(problem.path, problem.text, line=problem.line)

    def raise_if_any(self, redactor: Redactor | None = None) -> None:
        """Raise everything that was noted, if anything was.

        Raises:
            ConfigError: see `error`.
        """
        if self._found:
            raise self.error(redactor)

    def error(self, redactor: Redactor | None = None) -> ConfigError:
        """Everything that was noted as one error: a line per problem, in the order of the file.

        Args:
            redactor: Takes out secrets that a text of somebody else's (a plugin's validator) may repeat.
        """
        ordered = sorted(self._found.items(), key=lambda item: item[0][1] or self.source.line(item[0][0]) or 0)
        lines = [f"{self.source.place(*key)}: {_sentence('; '.join(texts))}" for key, texts in ordered]
        if redactor is not None:
            lines = [redactor.text(line) for line in lines]
        if len(lines) == 1:
            error = ConfigError(lines[0])
            # The exception behind it tells who debugs more; behind several problems it would tell the wrong thing.
            error.__cause__ = self.cause
            return error
        shown = lines[:_MOST_SHOWN]
        if len(lines) > _MOST_SHOWN:
            shown.append(f"... and {len(lines) - _MOST_SHOWN} more.")
        return ConfigError("\n  ".join([f"{len(lines)} problems in {self.source.name}:", *shown]))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."
