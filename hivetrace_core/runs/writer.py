"""One thread writes to the journal: it takes whatever has gathered and commits it in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections import defaultdict, deque
from enum import IntEnum
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, TypeAlias

from ..errors import RunError
from .database import close_database, explain


class Write(IntEnum):
    """What can be written. Within one transaction all of a kind is written before the next kind."""

    INTENT = 0
    FORGET = 1
    FAILED_ATTEMPT = 2
    ENDED_ATTEMPT = 3
    KEEP_REPLACED = 4
    DROP_REPLACED = 5
    OUTCOME = 6


_SQL: Final = {
    Write.INTENT: "INSERT INTO attempts VALUES (?, ?, ?, ?, NULL, NULL)",
    Write.FORGET: "DELETE FROM attempts WHERE model_id = ? AND prompt_id = ? AND attempt = ? AND ended_at IS NULL",
    Write.FAILED_ATTEMPT: (
        "UPDATE attempts SET ended_at = ?, error = ? WHERE model_id = ? AND prompt_id = ? AND attempt = ?"
    ),
    Write.ENDED_ATTEMPT: (
        "UPDATE attempts SET ended_at = ? WHERE model_id = ? AND prompt_id = ? AND attempt = ? AND ended_at IS NULL"
    ),
    Write.KEEP_REPLACED: "INSERT INTO history SELECT * FROM outcomes WHERE model_id = ? AND prompt_id = ?",
    Write.DROP_REPLACED: "DELETE FROM outcomes WHERE model_id = ? AND prompt_id = ?",
    Write.OUTCOME: "INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
}

Waiter: TypeAlias = asyncio.Future[None]
Row: TypeAlias = tuple[Write, tuple[Any, ...]]
"""What is written, and the values for it."""

_Entry: TypeAlias = tuple[tuple[Row, ...], Waiter | None]


class Writer:
    """Owns a connection and the thread that uses it.

    The first commit that fails (a full disk) is final: nothing is written after it, so that what is in the file is
    always everything up to some moment.

    Args:
        database: The connection, closed by `stop`.
        path: Its file, for messages.
    """

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path
        self._entries: deque[_Entry] = deque()
        self._bell: SimpleQueue[bool] = SimpleQueue()  # True: there are entries; False: and no more will come
        self._ringing_in: asyncio.AbstractEventLoop | None = None
        self._failure: str | None = None
        self._told = False
        self._stopped = False
        self._thread = threading.Thread(target=self._serve, name="hivetrace-journal", daemon=True)
        self._thread.start()

    def put(self, *rows: Row) -> None:
        """Have something written soon; several rows all together or not at all.

        Raises:
            RunError: an earlier commit has failed.
        """
        self.check()
        self._hand_over((rows, None))

    async def commit(self, *rows: Row) -> None:
        """Have something written, with all that was put before it; returns when it is committed.

        Raises:
            RunError: it could not be.
        """
        self.check()
        waiter = asyncio.get_running_loop().create_future()
        self._hand_over((rows, waiter))
        await waiter
        self.check()

    def check(self) -> None:
        """Raise the failure, if there was one."""
        if self._failure is not None:
            self._told = True
            raise RunError(self._failure)
        if self._stopped:
            raise RunError(f"{self._path} has been closed.")

    def stop(self) -> None:
        """Write what is left, end the thread, close the file. A second call does nothing.

        Raises:
            RunError: something could not be written and nobody has been told yet.
        """
        if self._stopped:
            return
        self._stopped = True
        self._bell.put(False)
        self._thread.join()
        close_database(self._database)
        if self._failure is not None and not self._told:
            raise RunError(self._failure)

    def _hand_over(self, entry: _Entry) -> None:
        self._entries.append(entry)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._ring()
            return
        if self._ringing_in is not loop:
            # One ring for all that a turn of the loop records: to wake a thread costs more than to write a row.
            self._ringing_in = loop
            loop.call_soon(self._ring)

    def _ring(self) -> None:
        self._ringing_in = None
        self._bell.put(True)

    def _serve(self) -> None:
        going = True
        while going:
            going = self._bell.get()
            rows: defaultdict[Write, list[Any]] = defaultdict(list)
            waiters: list[Waiter] = []
            # What has gathered meanwhile shares the transaction.
            while self._entries:
                written, waiter = self._entries.popleft()
                for what, values in written:
                    rows[what].append(values)
                if waiter is not None:
                    waiters.append(waiter)
            if rows and self._failure is None:
                self._write(rows)
            _release(waiters)

    def _write(self, rows: dict[Write, list[Any]]) -> None:
        database = self._database
        try:
            database.execute("BEGIN IMMEDIATE")
            for what in sorted(rows):
                database.executemany(_SQL[what], rows[what])
            database.execute("COMMIT")
        except sqlite3.Error as exc:
            self._fail(explain(self._path, exc))
        except Exception as exc:  # noqa: BLE001  # whatever it is, those who wait must hear of it
            self._fail(f"{self._path} cannot be written ({exc}).")

    def _fail(self, reason: str) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._database.execute("ROLLBACK")
        kept = ""
        with contextlib.suppress(sqlite3.Error):
            count = self._database.execute("SELECT count(*) FROM outcomes").fetchone()[0]
            kept = f" Outcomes recorded before it are safe: {count}."
        self._failure = f"{reason}{kept} Then go on with: hivetrace resume {self._path.parent}"


def _release(waiters: list[Waiter]) -> None:
    loops: defaultdict[asyncio.AbstractEventLoop, list[Waiter]] = defaultdict(list)
    for waiter in waiters:
        loops[waiter.get_loop()].append(waiter)
    for loop, its in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_wake, its)


def _wake(waiters: list[Waiter]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
