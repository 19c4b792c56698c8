"""Rows of a CSV file: which delimiter, which columns, and where each row begins."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final, TypeAlias

from ..errors import ConfigError

_DELIMITERS: Final = (",", "\t", ";")

_LARGEST_CELL: Final = 2**31 - 1
"""The csv module's own limit is 128 KB and counts for the whole process; this is what a C long holds everywhere."""

_LINE = re.compile(r"[^\r]*(?:\r\n|\r)|[^\r]+")

_LONGEST_NAME: Final = 64
_MOST_WORDS: Final = 3

Row: TypeAlias = tuple[int, list[str]]
"""The line on which it begins, and its cells."""


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file after its header.

    Attributes:
        columns: Names, spaces around them dropped; a nameless column is `column_N`, N counted from 1.
        rows: One cell per column; rows without any content are left out.
    """

    columns: list[str]
    rows: Iterator[Row]


def read_table(lines: Iterable[str], *, name: str, wanted: str | None) -> Table:
    """Read a CSV file whose first row names the columns. Lazy: the rows are parsed as they are asked for.

    The delimiter is a comma. Where the header has the wanted column only when it is split at tabs or semicolons, or has
    no comma at all, that is the delimiter instead.

    Args:
        lines: The file, line by line, with line ends.
        name: The file's name, for messages.
        wanted: The column that will be asked for, as far as the caller knows one.

    Raises:
        ConfigError: no header, a name that occurs twice, a row with too few or too many cells, a quote left open.
    """
    if csv.field_size_limit() < _LARGEST_CELL:
        csv.field_size_limit(_LARGEST_CELL)
    physical = _physical_lines(lines)
    skipped, first = 0, ""
    for first in physical:
        if first.strip():
            break
        skipped += 1
    if not first.strip():
        raise ConfigError(f"{name} has no rows: its first row must name the columns, such as `prompt`.")
    records = _records(chain([first], physical), _delimiter(first, wanted), name, skipped)
    _, header = next(records)
    columns = [cell.strip() or f"column_{number}" for number, cell in enumerate(header, 1)]
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise ConfigError(f"{name} has more than one column {twice[0]!r}. Rename or remove the others.")
    return Table(columns, _full_rows(records, columns, name))


def looks_like_a_prompt(column: str) -> bool:
    """Whether the only cell of a header reads like a sentence, so that the file most likely has no header at all."""
    return len(column) > _LONGEST_NAME or len(column.split()) > _MOST_WORDS or column.endswith((".", "?", "!"))


def _physical_lines(lines: Iterable[str]) -> Iterator[str]:
    # The reader wants a carriage return to end a line, too.
    for line in lines:
        if "\r" in line:
            yield from _LINE.findall(line)
        else:
            yield line


def _delimiter(header: str, wanted: str | None) -> str:
    names = {sign: [cell.strip() for cell in next(csv.reader([header], delimiter=sign), [])] for sign in _DELIMITERS}
    having = [sign for sign in _DELIMITERS if (wanted or "prompt") in names[sign]]
    splitting = [sign for sign in _DELIMITERS if len(names[sign]) > 1]
    return (having or splitting or [","])[0]


def _records(lines: Iterable[str], delimiter: str, name: str, skipped: int) -> Iterator[Row]:
    # Strict: a quote left open would otherwise swallow the rest of the file into one prompt without a word.
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        start = skipped + reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            raise ConfigError(f"{name}:{start}: {_explain(exc, delimiter)}.") from None
        yield start, record


def _explain(exc: csv.Error, delimiter: str) -> str:
    text = str(exc)
    if "unexpected end of data" in text:
        return 'a quote in this row is never closed. Close it, or write a quote inside a quoted cell as ""'
    if "expected after" in text:
        return f'there is text between a closing quote and {delimiter!r}. Write a quote inside a quoted cell as ""'
    return f"not valid CSV ({text})"


def _full_rows(records: Iterable[Row], columns: list[str], name: str) -> Iterator[Row]:
    for line, cells in records:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            many = len(cells) > len(columns)
            advice = "Quote cells that contain the delimiter" if many else "Fill in the missing cells"
            raise ConfigError(f"{name}:{line}: {_cells(cells)}, but the header has {len(columns)}. {advice}.")
        yield line, cells


def _cells(cells: list[str]) -> str:
    return f"the row has {len(cells)} cell{'' if len(cells) == 1 else 's'}"
