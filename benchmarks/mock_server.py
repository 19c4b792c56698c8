"""How many requests a second one core's `hivetrace mock-server` answers: the server must not be what is measured.

The load comes from 64 bare sockets that send ready-made bytes and look for the end of each answer, on another core.
"""

from __future__ import annotations

from ._contest import Contest, Entrant
from ._measure import Figure, Settings, report
from ._server import Server

BOUND = 12_000
WHOLE, STREAM = "whole answers", "streamed answers"


def measure(settings: Settings) -> list[Figure]:
    count, rounds = (5_000, 3) if settings.quick else (30_000, 5)
    entrants = [
        Entrant(WHOLE, "bare_sockets", count),
        Entrant(STREAM, "bare_sockets", count // 2, settings={"stream": True}),
    ]
    with Server() as server:
        contest = Contest(entrants, server, width=64, rounds=rounds, settings=settings)
    contest.print(WHOLE)
    figures = []
    for name, bound in ((WHOLE, BOUND), (STREAM, None)):
        rate, share = contest.rate(name), contest.server_share(name)
        of_core = rate / share if rate is not None and share else None
        least = None if settings.quick else bound
        figures.append(Figure(f"{name}, a second of the server's core", of_core, "", least, at_least=True))
    return figures


if __name__ == "__main__":
    report(__doc__.splitlines()[0], measure)
