"""The file `run.db`: its tables, how it is opened, and what its errors mean to a user."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..errors import RunError
from .blobs import decode, encode

SCHEMA_VERSION: Final = 1

_TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE models (
    id INTEGER PRIMARY KEY, label TEXT NOT NULL UNIQUE, qualified TEXT NOT NULL, model_id TEXT, params BLOB NOT NULL
);
CREATE TABLE prompts (id INTEGER PRIMARY KEY, prompt BLOB NOT NULL, extra BLOB NOT NULL);
CREATE TABLE attempts (
    model_id INTEGER NOT NULL, prompt_id INTEGER NOT NULL, attempt INTEGER NOT NULL,
    started_at REAL NOT NULL, ended_at REAL, error BLOB,
    PRIMARY KEY (model_id, prompt_id, attempt)
) WITHOUT ROWID;
CREATE TABLE outcomes (
    model_id INTEGER NOT NULL, prompt_id INTEGER NOT NULL, outcome TEXT NOT NULL, error_kind TEXT,
    attempts INTEGER NOT NULL, in_doubt INTEGER NOT NULL, finished_at REAL NOT NULL,
    input_tokens INTEGER, output_tokens INTEGER, response BLOB NOT NULL, raw BLOB,
    PRIMARY KEY (model_id, prompt_id)
);
CREATE TABLE history AS SELECT * FROM outcomes WHERE 0;
"""

_BUSY_S: Final = 10.0

_WAL_LIMIT: Final = 64 * 1024 * 1024

_PAGE_BYTES: Final = 8192
"""A response with its raw reply takes some kilobytes; in SQLite's default of 4096 half of every page stays empty."""

_CHECKPOINT_PAGES: Final = 4000
"""Each checkpoint waits for the disk; one every 32 MB is rare enough."""


def create_database(path: Path) -> sqlite3.Connection:
    """Make the file, for its owner only, with its tables; nothing is committed until the caller says so.

    Raises:
        RunError: the file exists, or the folder does not take it.
    """
    try:
        # SQLite would make it readable for the group; its -wal and -shm files take the mode of this one.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise RunError(f"{path} exists already. A run gets a folder of its own.") from None
    except OSError as exc:
        raise RunError(f"{path} cannot be made: {exc.strerror}.") from None
    with sqlite_errors(path):
        database = _connect(path)
        # With the rollback journal a new file is written once; a write-ahead log would hold all the prompts first.
        database.execute("PRAGMA synchronous=NORMAL")
        database.execute(f"PRAGMA page_size={_PAGE_BYTES}")
        database.execute("BEGIN")
        for statement in _statements(_TABLES):
            database.execute(statement)
        return database


def open_database(path: Path, *, write: bool) -> sqlite3.Connection:
    """Open a finished or interrupted run's file.

    Args:
        path: The file.
        write: Go on writing: the whole file is checked first, and the write-ahead log is switched on.

    Raises:
        RunError: missing, damaged, no journal, made by a newer version, or its prompts were never copied in full.
    """
    if not path.is_file():
        raise RunError(f"There is no run in {path.parent}: {path.name} is missing. Name the folder of a run.")
    with readable(path):
        database = _connect(path)
        try:
            _check_version(database, path)
            if write:
                if (found := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                    raise damaged(path, found)
                write_ahead(database)
            else:
                database.execute("PRAGMA query_only=ON")
        except BaseException:
            database.close()
            raise
        return database


def write_ahead(database: sqlite3.Connection) -> None:
    """Write through a log: commits survive the death of the process, and others can read meanwhile."""
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    database.execute(f"PRAGMA journal_size_limit={_WAL_LIMIT}")


def close_database(database: sqlite3.Connection) -> None:
    """Close for good: one plain file is left, readable also where nothing can be written."""
    # Whoever reads it now keeps the log alive, and a full disk may too; the next one to open the file sorts it out.
    with contextlib.suppress(sqlite3.Error):
        database.execute("PRAGMA busy_timeout=0")
        database.execute("PRAGMA journal_mode=DELETE")
    database.close()


@contextlib.contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Say in a `RunError` what SQLite raises inside."""
    try:
        yield
    except sqlite3.Error as exc:
        raise RunError(explain(path, exc)) from exc


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """The same, and for content that no journal has."""
    try:
        with sqlite_errors(path):
            yield
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as exc:
        raise damaged(path, str(exc)) from exc


def damaged(path: Path, reason: str) -> RunError:
    """The error for a file that is not what was written."""
    return RunError(
        f"{path} is damaged ({' '.join(reason.split())[:200]}). Restore it from a copy, or rescue what it holds with "
        f"`sqlite3 '{path}' .recover` into a new file of this name."
    )


def put_meta(database: sqlite3.Connection, key: str, value: object) -> None:
    """Set one value of the table `meta`."""
    database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, encode(value)))


def _connect(path: Path) -> sqlite3.Connection:
    # The threads that use a connection take turns; autocommit, because transactions are begun by hand.
    return sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


def _statements(script: str) -> Iterator[str]:
    # `executescript` would commit.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _check_version(database: sqlite3.Connection, path: Path) -> None:
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
        if database.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise RunError(f"{path} is an SQLite database, but not the journal of a run.")
        raise RunError(
            f"{path} is empty: most likely the run was ended while its prompts were being copied, before anything was "
            "sent. Delete its folder and start it anew."
        )
    row = database.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    if row is None:
        raise damaged(path, "it does not name its version")
    version = decode(row[0])
    if not isinstance(version, int) or version < 1:
        raise damaged(path, f"its version is {version!r:.40}")
    if version > SCHEMA_VERSION:
        raise RunError(
            f"{path} was made by a newer hivetrace (journal version {version}, this one reads {SCHEMA_VERSION}). "
            "Upgrade: pip install -U hivetrace-core."
        )


def explain(path: Path, exc: sqlite3.Error) -> str:
    """What an error of SQLite means for the user of this file, and what to do."""
    code = getattr(exc, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"{path} is in use by another program. Close it there and try again."
    if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY):
        return f"{path} cannot be opened ({exc}). Its folder must be readable and writable."
    if primary in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return f"{path} cannot be read or written ({exc}). Check the disk and its free space."
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return f"{path} did not take what was to be written ({exc})."
    if primary == sqlite3.SQLITE_NOTADB:
        return f"{path} is not the journal of a run ({exc})."
    return str(damaged(path, str(exc)))
