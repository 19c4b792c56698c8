"""What keeping the order costs over the wire when latencies vary: wall time against greedy list scheduling.

As `ordered_window`, but the latencies are the mock server's, and between it and `OpenAIModel` there is all the rest.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from hivetrace_core.mockserver.deciding import Decider
from hivetrace_core.mockserver.dialects import installed_dialects
from hivetrace_core.mockserver.loading import load_script

from ._clients import Client
from ._measure import Figure, Settings, report
from ._server import Server
from .clients._turns import prompts
from .ordered_window import BOUND, WIDTH, greedy


def latencies(script: dict[str, object], count: int) -> Iterator[float]:
    """How long the server will take for each prompt: it is decided by the script and the prompt alone."""
    decider = Decider(load_script(script), installed_dialects()[0])
    for number, prompt in enumerate(prompts({"count": count})):
        yield decider.decide("openai", "", prompt, number).delay


def measure(settings: Settings) -> list[Figure]:
    count, seeds = (500, 2) if settings.quick else (2_000, 5)
    figures, taken = [], []
    for seed in range(1, seeds + 1):
        script: dict[str, object] = {"delay": {"median": 0.1, "sigma": 1.0}, "seed": seed}
        ideal = greedy(latencies(script, count))
        with Server(script) as server, Client("provider_model", server, width=WIDTH) as client:
            client.ready()
            client.turn(WIDTH)  # opens the connections
            ratio = client.turn(count).wall_s / ideal
        figures.append(Figure(f"seed {seed} [ideal {ideal:.2f} s]", ratio, " x ideal", BOUND))
        taken.append(ratio)
    figures.append(Figure("median of the seeds", statistics.median(taken), " x ideal", BOUND))
    return figures


if __name__ == "__main__":
    report(__doc__.splitlines()[0], measure)
