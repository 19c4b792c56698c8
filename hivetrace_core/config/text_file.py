"""A small text file of the user's, read whole: UTF-8 with or without BOM, and a clear error for everything else."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from ..errors import ConfigError

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_OTHER_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def shown(path: Path) -> str:
    """The path as messages show it; quoted where it has characters that could act on a terminal."""
    text = str(path)
    if len(text) > 200:
        text = f"{text[:100]}...{text[-50:]}"
    return text if text.isprintable() else ascii(text)


def read_text(path: Path, *, what: str, largest: int, advice: str) -> str:
    """The text of a file.

    Args:
        path: The file.
        what: What the file is to the user, for messages: `config file`.
        largest: Bytes that it may have.
        advice: What to do about a larger one, as a sentence.

    Raises:
        ConfigError: the file is missing, unreadable, too large, binary or not UTF-8 (with the line).
    """
    name = shown(path)
    try:
        with path.open("rb") as file:
            raw = file.read(largest + 1)
    except FileNotFoundError:
        raise ConfigError(f"There is no {what} {name}{_similar(path)}") from None
    except IsADirectoryError:
        raise ConfigError(f"{name} is a folder. Name the {what} in it.") from None
    except PermissionError:
        raise ConfigError(f"The {what} {name} may not be read. Check its permissions.") from None
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else None
        raise ConfigError(f"The {what} {name} cannot be read: {reason or exc}.") from None
    if len(raw) > largest:
        raise ConfigError(f"{name} is larger than {largest // 1024:,} KiB, too large for a {what}. {advice}")
    for mark, encoding in _OTHER_MARKS:
        if raw.startswith(mark):
            raise ConfigError(f"{name} is {encoding}, not UTF-8. Save it as UTF-8.")
    if (nul := raw.find(b"\0")) >= 0:
        raise ConfigError(
            f"{name}:{_line(raw, nul)}: a NUL byte: the file is binary, or text in UTF-16. A {what} is text in UTF-8."
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        # The offset counts without the BOM, and a BOM holds no line break.
        line = _line(raw, exc.start)
        raise ConfigError(
            f"{name}:{line}: byte 0x{exc.object[exc.start]:02x} is not UTF-8. Save the file as UTF-8."
        ) from None


def _line(raw: bytes, offset: int) -> int:
    return raw.count(b"\n", 0, offset) + 1


def _similar(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except (OSError, ValueError):
        return f": there is no folder {shown(path.parent)} either."
    if close := get_close_matches(path.name, names, 1):
        return f"; did you mean {shown(path.with_name(close[0]))}?"
    return f" (looked in {shown(path.parent.absolute())})."
