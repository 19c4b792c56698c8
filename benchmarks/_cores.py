"""One core for the server, another one for the clients, so that neither takes time from the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def cores() -> tuple[int, int] | None:
    """The server's and the clients' core; the same one twice on a machine with one, None where none can be chosen."""
    if sys.platform != "linux":
        return None
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


@contextmanager
def confined_to(core: int | None) -> Iterator[None]:
    """Processes that are started meanwhile run on this core."""
    if core is None or sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def described() -> str:
    """One line for a report."""
    chosen = cores()
    if chosen is None:
        return "server and clients on whatever cores the system gives them"
    server, client = chosen
    return f"server on core {server}, one client at a time on core {client}" + (" (the same!)" * (server == client))
