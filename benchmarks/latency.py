"""Requests a second with 1,000 in flight at a server that takes half a second for each, side by side.

The ideal is 2,000 a second: what is measured is what so many open requests cost a client.
"""

from __future__ import annotations

from ._contest import Contest, Entrant
from ._measure import Figure, Settings, report
from ._server import Server
from .throughput import BARE, OPENAI, OURS, SDK

WIDTH = 1_000
DELAY_S = 0.5


def measure(settings: Settings) -> list[Figure]:
    rounds = 1 if settings.quick else 4
    entrants = [
        Entrant(BARE, "bare_aiohttp", 6_000),
        Entrant(OURS, "provider_model", 6_000),
        Entrant(SDK, "openai_sdk", 1_500, OPENAI),
    ]
    with Server({"delay": DELAY_S}) as server:
        contest = Contest(entrants, server, width=WIDTH, rounds=rounds, settings=settings)
    contest.print(BARE)
    return [
        Figure("the ideal", WIDTH / DELAY_S, "/s"),
        contest.figure(OURS, BARE, 0.8),
        contest.figure(OURS, SDK, 6.0),
    ]


if __name__ == "__main__":
    report(__doc__.splitlines()[0], measure)
