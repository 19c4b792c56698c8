"""`hivetrace mock-server` in a process of its own, on a core of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import Request, urlopen

from ._cores import confined_to, cores


class Server:
    """Started by `with`, stopped at its end.

    Args:
        script: As in `hivetrace mock-server --script`.
    """

    def __init__(self, script: Mapping[str, Any] | None = None) -> None:
        self._script = json.dumps(script or {})
        self._urls: dict[str, str] = {}

    def __enter__(self) -> Self:
        chosen = cores()
        with tempfile.TemporaryDirectory() as folder, confined_to(chosen and chosen[0]):
            path = Path(folder, "script.json")
            path.write_text(self._script)
            command = [sys.executable, "-m", "hivetrace_core", "mock-server", "--script", str(path)]
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            first = self._line()  # the script is read by then
        self.address = first.split()[3]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate()

    def url(self, provider: str) -> str:
        """What a client of this provider takes for its `base_url`."""
        while provider not in self._urls:
            name, url, *_ = self._line().split()
            self._urls[name] = url
        return self._urls[provider]

    def reset(self) -> None:
        """Forget all requests."""
        with urlopen(Request(f"{self.address}/_reset", method="POST")) as reply:
            reply.read()

    def log(self) -> list[dict[str, Any]]:
        """The requests since the last reset, oldest first; as many as the script's `log_size` lets it keep."""
        with urlopen(f"{self.address}/_log") as reply:
            found: list[dict[str, Any]] = json.loads(reply.read())
        return found

    def stats(self) -> dict[str, Any]:
        """The counters since the last reset."""
        with urlopen(f"{self.address}/_stats") as reply:
            found: dict[str, Any] = json.loads(reply.read())
        return found

    def cpu_seconds(self) -> float | None:
        """CPU time so far; None where the system does not show it."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"hivetrace mock-server ended with {self._process.wait()}; what it needs: see README.md")
        return line
