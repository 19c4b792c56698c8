"""Clients: processes that wait with their imports done and send so many requests when they are told to."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ._cores import confined_to, cores
from ._server import Server

ROOT = Path(__file__).parents[1]


class ClientError(Exception):
    """A client ended, or did not get the answers that it should have got."""


@dataclass(frozen=True)
class Turn:
    """What a client did when it was told to.

    Attributes:
        outcomes: How the prompts ended, and how many of them did.
        wall_s: From the first request to the last answer.
        cpu_s: CPU time of the client's process meanwhile, all of its threads.
        server_cpu_s: The server's CPU time meanwhile; None where the system does not show it.
        peak_mb: The most memory that the client has ever had resident.
    """

    outcomes: dict[str, int]
    wall_s: float
    cpu_s: float
    server_cpu_s: float | None
    peak_mb: float

    @property
    def count(self) -> int:
        return sum(self.outcomes.values())


class Client:
    """A module of `benchmarks.clients` at work. Started by `with`, ended with it.

    Args:
        module: Its name.
        server: Whom it asks.
        python: The interpreter whose environment has what it needs.
        settings: What else it wants to know; JSON-ready.
    """

    def __init__(
        self, module: str, server: Server, *, python: str = sys.executable, provider: str = "openai", **settings: Any
    ) -> None:
        self._server = server
        self._name = module
        chosen = cores()
        told = {"base_url": server.url(provider), "provider": provider, **settings}
        command = [python, "-m", f"benchmarks.clients.{module}", json.dumps(told)]
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the process
        with confined_to(chosen and chosen[1]):
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints, text=True, cwd=ROOT
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()  # it ends by itself
        self._process.wait()
        self._complaints.close()

    def ready(self) -> str:
        """Wait until it has imported what it needs; returns what that is.

        Raises:
            ClientError: it has ended instead.
        """
        return str(self._said()["ready"])

    def begin(self, count: int, **more: Any) -> None:
        """Let it go; `end` waits for it.

        Args:
            count: Prompts.
            more: What else this turn needs.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"count": count, **more}) + "\n")
        self._process.stdin.flush()

    def end(self) -> Turn:
        """What has become of it.

        Raises:
            ClientError: it has ended without a word.
        """
        return Turn(**{"server_cpu_s": None, **self._said()})

    def turn(self, count: int, *, expected: str = "answered", **more: Any) -> Turn:
        """Have it send so many prompts, alone, to a server without memories.

        Raises:
            ClientError: a prompt ended otherwise than expected.
        """
        self._server.reset()
        before = self._server.cpu_seconds()
        self.begin(count, **more)
        said = self._said()
        after = self._server.cpu_seconds()
        used = None if before is None or after is None else after - before
        turn = Turn(**said, server_cpu_s=used)
        if expected and turn.outcomes != {expected: count}:
            raise ClientError(f"{count} x {expected} expected, not {turn.outcomes}")
        return turn

    def _said(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._complaints.seek(0)
            last = self._complaints.read().strip().splitlines()[-3:]
            raise ClientError(f"{self._name} ended with {code}: {' / '.join(last)}")
        found: dict[str, Any] = json.loads(line)
        return found
