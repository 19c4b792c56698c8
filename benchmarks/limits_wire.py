"""How much of a limit on requests per minute `OpenAIModel` uses, while a server that enforces it rejects nothing.

As `limits_used`, but over the wire: the server counts what arrives in a sliding window of 60 s. All limits run side by
side for two minutes; reported is the mean over the minutes that begin from the third second on.
"""

from __future__ import annotations

from contextlib import ExitStack

from ._clients import Client
from ._measure import Figure, Settings, report
from ._server import Server

RUN_S = 122.5
STARTS = range(2, 62)
LIMITS = (600, 3_000)
BOUND = 97.0


def measure(settings: Settings) -> list[Figure]:
    seconds = 5.0 if settings.quick else RUN_S
    running: dict[int, tuple[Server, Client]] = {}
    with ExitStack() as processes:
        for rpm in LIMITS:
            script = {"rate_limit": {"rpm": rpm}, "delay": {"median": 0.4, "sigma": 0.7}}
            server = processes.enter_context(Server(script))
            client = processes.enter_context(Client("provider_model", server, width=64, params={"rpm": rpm}))
            running[rpm] = server, client
        for _, client in running.values():
            client.ready()
        for _, client in running.values():
            client.begin(0, seconds=seconds)
        figures = []
        for rpm, (server, client) in running.items():
            client.end()
            log = server.log()
            rejected = sum(request["said"] == "rate_limit" for request in log)
            bound, least = (None, None) if settings.quick else (0, BOUND)
            if not settings.quick:
                used = 100 * per_minute([request["time"] for request in log]) / rpm
                figures.append(Figure(f"rpm {rpm:,} used", used, " %", least, at_least=True))
            figures.append(Figure(f"rpm {rpm:,} rejected by the server", rejected, "", bound))
    return figures


def per_minute(times: list[float]) -> float:
    """The mean of the minutes that begin some seconds after the first request."""
    began = min(times)
    minutes = [sum(start <= at - began < start + 60 for at in times) for start in STARTS]
    return sum(minutes) / len(minutes)


if __name__ == "__main__":
    report(__doc__.splitlines()[0], measure)
