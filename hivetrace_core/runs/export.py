"""Exports: the outcomes of a run as files for other tools, written whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, TextIO, TypeAlias

from ..errors import ConfigError, RunError
from .folder import DATABASE_NAME
from .reader import JournalReader
from .rows import CSV_FIELDS, JSONL_FIELDS, column_names, csv_cells, csv_header, jsonl_line

Format: TypeAlias = Literal["jsonl", "csv"]

FORMATS: Final[tuple[Format, ...]] = ("jsonl", "csv")

FILE_STEM: Final = "responses"


def export(
    folder: str | os.PathLike[str],
    *,
    formats: Sequence[str] = FORMATS,
    output_dir: str | os.PathLike[str] | None = None,
) -> list[Path]:
    """Write `responses.jsonl` and `responses.csv`: every recorded outcome, model by model, in the order of the prompts.

    Works also on an interrupted run, and on one that another process is writing: what is recorded at that moment is
    exported. JSON lines lose nothing of prompts and responses; CSV is made for spreadsheets that separate by commas
    (formulas disarmed, control characters written out, a BOM so that Excel sees UTF-8).

    Args:
        folder: The run.
        formats: Which files.
        output_dir: Where to; by default into the run's folder. It is made if it is missing.

    Returns:
        The files, in the order of `formats`.

    Raises:
        ConfigError: an unknown format.
        RunError: the journal cannot be read, or a file not written; a file of an earlier export is untouched then.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ConfigError(f"There is no export format {unknown[0]!r}; formats are {', '.join(FORMATS)}.")
    source = Path(folder)
    target = source if output_dir is None else Path(output_dir)
    with JournalReader(source / DATABASE_NAME) as journal:
        files: list[Path] = []
        for name in dict.fromkeys(formats):
            path = target / f"{FILE_STEM}.{name}"
            with _replacing(path) as file:
                (_write_csv if name == "csv" else _write_jsonl)(journal, file)
            files.append(path)
    return files


def _write_jsonl(journal: JournalReader, file: TextIO) -> None:
    names = column_names(journal.columns, JSONL_FIELDS)
    for model in journal.models:
        file.writelines(jsonl_line(model, row, names) for row in journal.outcomes(model))


def _write_csv(journal: JournalReader, file: TextIO) -> None:
    names = column_names(journal.columns, CSV_FIELDS)
    file.write("\ufeff")
    # Text is quoted, numbers are not, so that a column of numbers adds up.
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    writer.writerow(csv_header(names))
    for model in journal.models:
        writer.writerows(csv_cells(model, row, names) for row in journal.outcomes(model))


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """A text file that takes the place of `path` when all of it is written; for its owner only."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as exc:
        reason = exc.strerror or exc
        raise RunError(f"{path} cannot be written: {reason}. Choose another folder or make room.") from None
