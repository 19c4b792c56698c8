"""A prompts file as lines of text: UTF-8 with or without BOM, and a clear error for everything else."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from io import BufferedReader
from pathlib import Path
from shlex import quote
from typing import BinaryIO, Final, cast

from ..config.text_file import shown
from ..errors import ConfigError

_HEAD: Final = 64 * 1024

_UTF8_BOM: Final = b"\xef\xbb\xbf"

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_OTHER_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)

_MAGIC: Final = (
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "Save the sheet as CSV (UTF-8)"),
    (b"PAR1", "a parquet file", "Convert it to JSON lines"),
    (b"\x1f\x8b", "compressed with gzip", "Unpack it"),
    (b"%PDF-", "a PDF document", "Copy its text into a .txt or .csv file"),
    (b"SQLite format 3\x00", "an SQLite database", "Export the table as CSV"),
)

_CONTROL: Final = frozenset(range(32)) - frozenset(b"\t\n\r\x1b")


def decoded_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, one at a time, their line ends kept; a BOM at the start is dropped.

    Lines end at a line feed only, so a carriage return or U+2028 inside a prompt stays where it is.

    Raises:
        ConfigError: the file is missing, a folder, unreadable, empty, binary or not UTF-8 (with line and byte).
    """
    name = shown(path)
    try:
        with path.open("rb", buffering=_HEAD) as file:
            _refuse_other_formats(path, cast(BufferedReader, file).peek(_HEAD)[:_HEAD])
            yield from _decoded(path, file)
    except FileNotFoundError:
        raise ConfigError(f"There is no prompts file {name}{_similar(path)}") from None
    except IsADirectoryError:
        raise ConfigError(f"{name} is a folder. Name the prompts file in it.") from None
    except PermissionError:
        raise ConfigError(f"The prompts file {name} may not be read. Check its permissions.") from None
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else None
        raise ConfigError(f"The prompts file {name} cannot be read: {reason or exc}.") from None


def _decoded(path: Path, file: BinaryIO) -> Iterator[str]:
    offset = 0
    for number, line in enumerate(file, 1):
        start = len(_UTF8_BOM) if number == 1 and line.startswith(_UTF8_BOM) else 0
        try:
            text = line[start:].decode("utf-8")
        except UnicodeDecodeError as exc:
            at = start + exc.start
            raise ConfigError(
                f"{shown(path)}:{number}: the byte 0x{line[at]:02x} at offset {offset + at} is not UTF-8. "
                f"{_convert(path, 'CP1251')} (with the encoding that it has in place of CP1251)."
            ) from None
        yield text
        offset += len(line)


def _refuse_other_formats(path: Path, head: bytes) -> None:
    if not head:
        raise ConfigError(f"The prompts file {shown(path)} is empty.")
    for mark, encoding in _OTHER_MARKS:
        if head.startswith(mark):
            raise ConfigError(f"{shown(path)} is {encoding}, not UTF-8. {_convert(path, encoding)}.")
    for mark, what, advice in _MAGIC:
        if head.startswith(mark):
            raise ConfigError(f"{shown(path)} is {what}, not text. {advice}, then name that file in `prompts`.")
    # A prompt may hold a NUL or two; text in UTF-16 without a mark is half NULs (Latin) or half 0x04 (Cyrillic).
    if sum(byte in _CONTROL for byte in head) > 0.3 * len(head):
        raise ConfigError(
            f"{shown(path)} is binary, or text in UTF-16: 3 bytes in 10 or more are control characters. "
            f"{_convert(path, 'UTF-16LE')}."
        )


def _convert(path: Path, encoding: str) -> str:
    target = f"{path.stem}-utf8{path.suffix}"
    command = f"iconv -f {encoding} -t UTF-8 {quote(path.name)} > {quote(target)}"
    return "Save it as UTF-8" + (f", or convert it: {command}" if path.name.isprintable() else "")


def _similar(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f": there is no folder {shown(path.parent)} either."
    close = get_close_matches(path.name, names, 1)
    if close:
        return f"; did you mean {shown(path.with_name(close[0]))}?"
    return f" (looked in {shown(path.parent.absolute())})."
