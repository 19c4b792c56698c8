"""CPU time of `OpenAIModel` for a request that is blocked, refused, failed or retried, against an answered one.

For all of them the same number of requests is on the wire, 64 in flight, in one process and in interleaved rounds.
A prompt that fails for good stands between answered ones, because twenty in a row would stop the sending: what it costs
is what the mixture costs more than its answered half.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ._clients import Client, ClientError
from ._measure import Figure, Rounds, Settings, report
from ._server import Server

BOUND = 1.5
ANSWERED = "answered"


class Kind(NamedTuple):
    """One way to end.

    Attributes:
        rule: What the server does to it, by the first word of the prompt.
        outcome: How the prompt ends.
        requests: On the wire, for each prompt.
        bound: In answered requests; None for what is only informative.
    """

    rule: dict[str, object]
    outcome: str
    requests: int = 1
    bound: float | None = BOUND


KINDS = {
    "blocked: 400, a filtered prompt (Azure)": Kind({"outcome": "blocked", "categories": ["violence"]}, "blocked"),
    "blocked: 400, a policy": Kind({"outcome": "blocked"}, "blocked"),
    "blocked: 200 with content_filter": Kind({"outcome": "blocked", "stage": "response"}, "blocked"),
    "refused": Kind({"outcome": "refused"}, "refused"),
    "truncated": Kind({"outcome": "truncated"}, "truncated"),
    "failed: 400, bad request": Kind({"error": "bad_request"}, "failed"),
    "failed: 500": Kind({"error": "server"}, "failed"),
    "retried: 500, then answered": Kind({"error": "server", "times": 1}, "answered", 2),
    "retried: 429, then answered": Kind({"error": "rate_limit", "times": 1}, "answered", 2),
    "retried: 429 with Retry-After, then answered": Kind(
        {"error": "rate_limit", "retry_after": 0.05, "retry_after_form": "ms", "times": 1}, "answered", 2, None
    ),
}


def script() -> dict[str, object]:
    return {"rules": [{"match": f"^kind-{number} ", **kind.rule} for number, kind in enumerate(KINDS.values())]}


def words(name: str) -> list[str]:
    """What the prompts of a kind begin with, in turns."""
    number = list(KINDS).index(name)
    own = f"kind-{number} Hello, how are you today?"
    return [own, "plain, Hello, how are you today?"] if KINDS[name].outcome == "failed" else [own]


def cost(client: Client, name: str | None, count: int) -> float:
    """Milliseconds of CPU for a request of this kind, the answered ones in the same turn included."""
    if name is None:
        turn = client.turn(count, words=["plain, Hello, how are you today?"])
        return 1000 * turn.cpu_s / count
    kind = KINDS[name]
    prompts = count // kind.requests
    turn = client.turn(prompts, expected="", words=words(name))
    share = prompts // 2 if kind.outcome == "failed" else prompts
    if turn.outcomes.get(kind.outcome) != share:
        raise ClientError(f"{name}: {share} x {kind.outcome} expected, not {turn.outcomes}")
    return 1000 * turn.cpu_s / (prompts * kind.requests)


def measure(settings: Settings) -> list[Figure]:
    count, rounds = (1_000, 2) if settings.quick else (2_000, 5)
    with (
        Server(script()) as server,
        Client("provider_model", server, width=64, params={"max_attempts": 1}) as once,
        Client("provider_model", server, width=64, params={"max_attempts": 2}) as twice,
    ):
        once.ready()
        twice.ready()
        subjects: dict[str, Callable[[], float]] = {ANSWERED: partial(cost, once, None, count)}
        for name, kind in KINDS.items():
            subjects[name] = partial(cost, once if kind.requests == 1 else twice, name, count)
        taken = Rounds(subjects, rounds=rounds)
    figures = [Figure("answered", taken.median(ANSWERED), " ms")]
    for name, kind in KINDS.items():
        ratio = taken.ratio(name, ANSWERED)
        # Half of a mixture is answered ones.
        alone = 2 * ratio - 1 if kind.outcome == "failed" else ratio
        figures.append(Figure(f"{name}, per request", alone, " x answered", kind.bound))
    bounded = [figure.value for figure in figures[1:] if figure.value is not None]
    figures.append(Figure("median of all kinds", statistics.median(bounded), " x answered"))
    return figures


if __name__ == "__main__":
    report(__doc__.splitlines()[0], measure)
