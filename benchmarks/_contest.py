"""Clients that take turns at one server, each in the environment of what it tries."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

from ._clients import Client, ClientError, Turn
from ._cores import described
from ._environments import NotInstalledError, python_with
from ._measure import Figure, Rounds, Settings, number, print_columns
from ._server import Server


@dataclass(frozen=True)
class Entrant:
    """A client that takes part.

    Attributes:
        name: As it is shown.
        module: In `benchmarks.clients`.
        count: Prompts in a turn: slow ones get fewer.
        requirements: What is installed for it; nothing for what runs beside HiveTrace, in the environment of this
            process.
        provider: Whose wire dialect it speaks.
        settings: For the client.
    """

    name: str
    module: str
    count: int
    requirements: tuple[str, ...] = ()
    provider: str = "openai"
    settings: dict[str, Any] = field(default_factory=dict)

    def started(self, server: Server, width: int, settings: Settings) -> Client:
        """The process, whose imports may not be done yet.

        Raises:
            NotInstalledError: its environment cannot be made.
        """
        own: dict[str, Any] = {"provider": self.provider, "width": width, **self.settings}
        if self.requirements:
            own["python"] = python_with(settings.environments, *self.requirements)
        return Client(self.module, server, **own)


class Contest:
    """All of them, one after the other in each round; the first round is not counted.

    Args:
        entrants: Who takes part. One that cannot be installed, or fails, is reported and has no figures.
        server: Whom they all ask.
        width: Requests in flight.
        rounds: How many are counted.
        settings: Of the benchmark.
    """

    def __init__(
        self, entrants: Iterable[Entrant], server: Server, *, width: int, rounds: int, settings: Settings
    ) -> None:
        self._entrants = {entrant.name: entrant for entrant in entrants}
        self._turns: dict[str, list[Turn]] = {}
        self._versions: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        with ExitStack() as processes:
            clients: dict[str, Client] = {}
            for name, entrant in self._entrants.items():
                with self._reported(name):
                    clients[name] = processes.enter_context(entrant.started(server, width, settings))
            subjects: dict[str, Callable[[], float]] = {}
            for name, client in clients.items():
                with self._reported(name):
                    self._versions[name] = client.ready()
                    client.turn(min(2 * width, self._entrants[name].count))
                    self._turns[name] = []
                    subjects[name] = partial(self._turn, name, client)
            print(f"{described()}; {width:,} in flight, {rounds} rounds", flush=True)
            if subjects:
                self._taken = Rounds(subjects, rounds=rounds)

        for name, why in self.absent.items():
            print(f"  {name} is not measured: {why}", flush=True)

    def rate(self, name: str) -> float | None:
        """Requests a second; None for one that is absent."""
        return None if name in self.absent else self._taken.median(name)

    def ratio(self, name: str, base: str) -> float | None:
        """How many times as many requests a second as another one; None where one of them is absent."""
        return None if {name, base} & self.absent.keys() else self._taken.ratio(name, base)

    def figure(self, name: str, base: str, bound: float | None) -> Figure:
        """The ratio, which must reach its bound."""
        return Figure(f"{name}, of {base}", self.ratio(name, base), " x", bound, at_least=True)

    def server_share(self, name: str) -> float | None:
        """Which part of its core's time the server worked during the turns."""
        if name in self.absent:
            return None
        shares = [turn.server_cpu_s / turn.wall_s for turn in self._counted(name) if turn.server_cpu_s is not None]
        return statistics.median(shares) if shares else None

    def cpu_ms(self, name: str) -> float | None:
        """The client's CPU time for a request."""
        if name in self.absent:
            return None
        return statistics.median(1000 * turn.cpu_s / turn.count for turn in self._counted(name))

    def print(self, base: str) -> None:
        """The table: a row for each of them."""
        rows = [("client", "requests/s", "CPU ms/request", f"of {base}", "server's core", "what")]
        for name in self._entrants:
            if name in self.absent:
                continue
            share = self.server_share(name)
            values = (self.rate(name), self.cpu_ms(name), self.ratio(name, base))
            cells = ["" if value is None else number(value) for value in values]
            busy = "" if share is None else f"{100 * share:.0f} %"
            rows.append((name, *cells, busy, self._versions[name]))  # type: ignore[arg-type]  # always as many cells
        print_columns(rows)

    def _counted(self, name: str) -> list[Turn]:
        return self._turns[name][1:]

    def _turn(self, name: str, client: Client) -> float:
        turn = client.turn(self._entrants[name].count)
        self._turns[name].append(turn)
        return turn.count / turn.wall_s

    def _reported(self, name: str) -> _Reported:
        return _Reported(name, self.absent)


class _Reported:
    """Turns what keeps an entrant from taking part into an entry of the absent ones."""

    def __init__(self, name: str, absent: dict[str, str]) -> None:
        self._name = name
        self._absent = absent

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(exc, (NotInstalledError, ClientError)):
            self._absent[self._name] = str(exc)
            return True
        return False
