"""Where a run's prompts come from: a csv, jsonl, txt or yaml file, or a list in the config.

What a row is, by format:

- csv: a row; the prompt is in one column, the others travel along. Rows without any content are left out.
- jsonl: a line with an object (the prompt is under one key, the others travel along), a string or a list of messages.
- yaml: the same, as the items of one list. A yaml file is held in memory while it is read; the others are not.
- txt: a line, as it stands; blank lines are left out.

A prompt is a string or a list of `{"role", "content"}` messages. A blank one is an error: it is almost always a mistake
in the file. Who means to send blanks writes them as a message.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..config.text_file import shown
from ..errors import ConfigError
from .csv_prompts import looks_like_a_prompt, read_table
from .prompt_files import decoded_lines
from .yaml_prompts import read_yaml_items

if TYPE_CHECKING:
    from ..config.schema import PromptSource

DEFAULT_COLUMN: Final = "prompt"

FORMATS: Final[Mapping[str, str]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "txt",
    ".yaml": "yaml",
    ".yml": "yaml",
}
"""File extensions, and the format that each stands for."""

_MOST_BLANKS: Final = 10

_MOST_COLUMNS: Final = 20

Found: TypeAlias = tuple[str, Any, dict[str, Any]]
"""Where it stands (`prompts.csv:7`), what stands in the place of the prompt, and the other columns."""


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt, and what stood beside it."""

    prompt: str | list[dict[str, Any]]
    extra: dict[str, Any] = field(default_factory=dict)


def read_prompts(source: PromptSource) -> Iterator[PromptRow]:
    """The prompts of a source, lazily and in order. Nothing is opened before the first one is asked for.

    Raises:
        ConfigError: while iterating; names the file, the line and what to change.
    """
    found = _open(source)
    none = True
    for where, value, extra in found:
        if _is_blank(value):
            raise _blank(where, found)
        yield PromptRow(_prompt(value, where), extra)
        none = False
    if none:
        raise ConfigError(f"{shown(source.file) if source.file else 'The config'} has no prompts.")


def _open(source: PromptSource) -> Iterator[Found]:
    if source.items is not None:
        items = ((f"prompts[{index}]", item) for index, item in enumerate(source.items))
        return _items(items, source.column)
    if source.file is None:
        raise ConfigError("The prompts are in the journal of a run. Resume that run, or name a `file` in `prompts`.")
    path = Path(source.file)
    kind = source.format or _format_of(path)
    if kind == "csv":
        return _csv(path, source.column)
    if kind == "jsonl":
        return _items(_json_lines(path), source.column)
    if kind == "yaml":
        name = shown(path)
        numbered = read_yaml_items("".join(decoded_lines(path)), name=name)
        return _items(((f"{name}:{line}", item) for line, item in numbered), source.column)
    return _text_lines(path)


def _format_of(path: Path) -> str:
    known = FORMATS.get(path.suffix.lower())
    if known is None:
        raise ConfigError(
            f"The name of {shown(path)} does not tell its format. Name it .csv, .jsonl, .txt or .yaml, or add "
            "`format: csv` (or jsonl, txt, yaml) beside `file`."
        )
    return known


def _csv(path: Path, column: str | None) -> Iterator[Found]:
    name = shown(path)
    table = read_table(decoded_lines(path), name=name, wanted=column)
    columns = table.columns
    wanted = column or DEFAULT_COLUMN
    if column is None and len(columns) == 1:
        wanted = columns[0]
        if looks_like_a_prompt(wanted):
            raise ConfigError(
                f"The first row of {name} should name the column, but it reads like a prompt: {wanted[:60]!r}. Put a "
                "row with `prompt` above it; if it is a name, give it as `column`; if each line is a prompt, add "
                "`format: txt`."
            )
    if wanted not in columns:
        raise ConfigError(f"{name} has no column {wanted!r}. {_columns(columns, wanted)}")
    for line, cells in table.rows:
        extra = dict(zip(columns, cells, strict=True))
        yield f"{name}:{line}", extra.pop(wanted), extra


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    name = shown(path)
    for number, line in enumerate(decoded_lines(path), 1):
        if not line.strip():
            continue
        try:
            yield f"{name}:{number}", json.loads(line)
        except json.JSONDecodeError as exc:
            raise ConfigError(
                f"{name}:{number}:{exc.colno}: not valid JSON ({exc.msg}). Each line must be one JSON value."
            ) from None
        except (ValueError, RecursionError) as exc:
            raise ConfigError(f"{name}:{number}: cannot be read as JSON ({exc}).") from None


def _text_lines(path: Path) -> Iterator[Found]:
    name = shown(path)
    for number, line in enumerate(decoded_lines(path), 1):
        prompt = line.removesuffix("\n").removesuffix("\r")
        if prompt.strip():
            yield f"{name}:{number}", prompt, {}


def _items(items: Iterable[tuple[str, Any]], column: str | None) -> Iterator[Found]:
    wanted = column or DEFAULT_COLUMN
    for where, item in items:
        if isinstance(item, Mapping):
            extra = {str(key): value for key, value in item.items()}
            if wanted not in extra:
                raise ConfigError(f"{where}: there is no {wanted!r}. {_columns(list(extra), wanted)}")
            yield where, extra.pop(wanted), extra
        else:
            yield where, item, {}


def _columns(columns: list[str], wanted: str) -> str:
    if not columns:
        return "It is empty."
    listed = ", ".join(map(repr, columns[:_MOST_COLUMNS])) + (", ..." if len(columns) > _MOST_COLUMNS else "")
    by_folded = {column.casefold(): column for column in reversed(columns)}
    close = get_close_matches(wanted.casefold(), by_folded, 1)
    hint = f"did you mean {by_folded[close[0]]!r}? Choose it" if close else "choose one"
    return f"There are {listed}; {hint} with `column: ...` in `prompts`."


def _prompt(value: Any, where: str) -> str | list[dict[str, Any]]:
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        if not all(isinstance(message, Mapping) for message in value):
            raise ConfigError(f"{where}: a list is messages, and each must be an object with `role` and `content`.")
        return [{str(key): part for key, part in message.items()} for message in value]
    if isinstance(value, Mapping):
        raise ConfigError(f"{where}: the prompt is a single object. Put messages into a list.")
    raise ConfigError(f"{where}: the prompt is {value!r:.60}, not text. Put it in quotes.")


def _is_blank(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or value in ([], ())


def _blank(first: str, rest: Iterator[Found]) -> ConfigError:
    places = [first]
    with contextlib.suppress(ConfigError):  # the rest may have other faults; this one comes first
        places += islice((where for where, value, _ in rest if _is_blank(value)), _MOST_BLANKS)
    others = [place.rpartition(":")[2] for place in places[1:_MOST_BLANKS]]
    also = f" (also {', '.join(others)}{' and more' if len(places) > _MOST_BLANKS else ''})" if others else ""
    return ConfigError(
        f"{first}: the prompt is blank{also}. Fill it in or remove the row; to send a blank prompt on purpose, write "
        'it in jsonl as [{"role": "user", "content": " "}].'
    )
