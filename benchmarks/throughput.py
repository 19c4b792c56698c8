"""Requests a second with 64 in flight, side by side: bare aiohttp, other clients, `OpenAIModel`, `hivetrace run`.

All of them ask the same server with the same JSON, each in a process and an environment of its own; imports,
connecting and a first round are not counted. A server with no delay, so that the client is what is measured.
"""

from __future__ import annotations

from ._contest import Contest, Entrant
from ._measure import Figure, Settings, report
from ._server import Server

WIDTH = 64
BARE, OURS, RUN = "bare aiohttp", "OpenAIModel.stream_abatch", "hivetrace run"
SDK, LITELLM, ANCESTOR = "AsyncOpenAI", "LiteLLM", "HiveTraceRed"

OPENAI = ("openai>=3,<4",)


def measure(settings: Settings) -> list[Figure]:
    count, slow, rounds = (2_000, 100, 3) if settings.quick else (5_000, 200, 7)
    entrants = [
        Entrant(BARE, "bare_aiohttp", count),
        Entrant(OURS, "provider_model", count),
        Entrant(RUN, "hivetrace_run", count),
        Entrant(SDK, "openai_sdk", 2 * slow, OPENAI),
        Entrant(LITELLM, "litellm_completion", slow, ("litellm>=1.100,<2",)),
        Entrant(ANCESTOR, "hivetracered_model", slow, ("hivetracered>=1.0.22,<2",)),
    ]
    with Server() as server:
        contest = Contest(entrants, server, width=WIDTH, rounds=rounds, settings=settings)
    contest.print(BARE)
    share = contest.server_share(BARE)
    return [
        contest.figure(OURS, BARE, 0.6),
        contest.figure(RUN, BARE, 0.45),
        contest.figure(OURS, SDK, 8.0),
        contest.figure(OURS, LITELLM, 15.0),
        contest.figure(OURS, ANCESTOR, 15.0),
        Figure(f"the server's core during {BARE}", None if share is None else 100 * share, " % used"),
    ]


if __name__ == "__main__":
    report(__doc__.splitlines()[0], measure)
