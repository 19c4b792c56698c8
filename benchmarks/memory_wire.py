"""How much 100,000 prompts from a generator grow the memory of `OpenAIModel.stream_abatch`, against 1,000.

Over the wire, 64 in flight; each measurement is a fresh process that reports its own peak.
"""

from __future__ import annotations

from ._clients import Client
from ._measure import Figure, Settings, report
from ._server import Server

BOUND_MB = 20.0
FEW, MANY = 1_000, 100_000


def peak_mb(server: Server, count: int) -> float:
    with Client("provider_model", server, width=64) as client:
        client.ready()
        return client.turn(count).peak_mb


def measure(settings: Settings) -> list[Figure]:
    many = MANY // 10 if settings.quick else MANY
    with Server() as server:
        few = peak_mb(server, FEW)
        growth = peak_mb(server, many) - few
    return [Figure(f"{many:,} prompts over {FEW:,} [{few:.0f} MB]", growth, " MB more", BOUND_MB)]


if __name__ == "__main__":
    report(__doc__.splitlines()[0], measure)
