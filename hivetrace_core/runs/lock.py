"""One process at a time writes to a run. The lock belongs to the process: it goes when the process does, however."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from ..errors import RunError


class RunLock:
    """Held from construction to `release`.

    Args:
        path: The lock file; it is made if it is missing and stays behind, which locks nothing.

    Raises:
        RunError: another process, or another part of this one, holds it.
    """

    def __init__(self, path: Path) -> None:
        try:
            # Opened for reading too: on Windows the holder's note is read past the locked byte.
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise RunError(f"{path} cannot be made: {exc.strerror}. The run's folder must be writable.") from None
        try:
            taken = _take(self._file)
        except OSError as exc:
            os.close(self._file)
            raise RunError(f"{path} cannot be locked: {exc.strerror}. Keep the run in a local folder.") from None
        if not taken:
            holder = _holder(self._file)
            os.close(self._file)
            raise RunError(f"{path.parent} is being written by another process{holder}. Wait for its end, or end it.")
        with contextlib.suppress(OSError):  # a full disk; the note is a courtesy
            os.ftruncate(self._file, 0)
            os.write(self._file, f" {os.getpid()}".encode())

    def release(self) -> None:
        """Let others in."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _holder(file: int) -> str:
    with contextlib.suppress(OSError):
        os.lseek(file, 1, os.SEEK_SET)
        pid = os.read(file, 20).decode("ascii", "replace").strip()
        if pid.isdigit():
            return f" (process {pid})"
    return ""


if sys.platform == "win32":
    import msvcrt

    def _take(file: int) -> bool:
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True
else:
    import fcntl

    def _take(file: int) -> bool:
        try:
            # Not lockf: its locks belong to the process as a whole and fall with any close of the file.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
