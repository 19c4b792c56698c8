"""Replies that take their time or break off: each fault as it looks on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

from .service import Plan
from .wire import LAST_CHUNK, chunk, head

PACE: Final = 0.05
"""Seconds between the bytes of a trickle, where the rule does not say."""

_READ_FIRST: Final = 0.02  # s; a reset overtakes what the client has not yet read

_GARBAGE: Final = b"\x15\x03\x01\x00\x02\x02\x46 this is not HTTP \x00\xff\xfe\r\n\r\n"


class Outlet(Protocol):
    """What a reply is sent through."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def doom(self) -> None:
        """Close instead of answering the next request."""

    def reset(self) -> None:
        """Close at once, with a TCP reset."""


async def play(plan: Plan, out: Outlet, *, keep_alive: bool) -> bool:
    """Send a reply with its fault.

    Returns:
        Whether the connection goes on; otherwise the caller closes it.
    """
    if plan.delay:
        await asyncio.sleep(plan.delay)
    if plan.fault == "garbage":
        out.write(_GARBAGE)
        return False
    if plan.pieces is None:
        return await _play_whole(plan, out, keep_alive=keep_alive)
    return await _play_stream(plan, list(plan.pieces), out, keep_alive=keep_alive)


async def _play_whole(plan: Plan, out: Outlet, *, keep_alive: bool) -> bool:
    status, headers, body = plan.reply
    fault, half = plan.fault, len(body) // 2

    def start(length: int) -> bytes:
        return head(status, headers, number=plan.number, length=length, close=not keep_alive)

    if fault == "reset":
        out.reset()
    elif fault == "hang":
        await _forever()
    elif fault == "cut":
        out.write(start(len(body)) + body[:half])
        return False
    elif fault == "half":
        out.write(start(half) + body[:half])
    elif fault == "wrong_length":
        out.write(start(half) + body)
    elif fault == "trickle":
        out.write(start(len(body)))
        await _drip(body, out, plan.pace)
    elif fault == "slow_headers":
        await _drip(start(len(body)), out, plan.pace)
        out.write(body)
    else:
        out.write(start(len(body)) + body)
        return _afterwards(plan, out, keep_alive=keep_alive)
    return keep_alive


async def _play_stream(plan: Plan, pieces: list[bytes], out: Outlet, *, keep_alive: bool) -> bool:
    fault = plan.fault
    framed = chunk if keep_alive else bytes
    start = head(plan.reply.status, plan.reply.headers, number=plan.number, length=None, close=not keep_alive)
    if fault in ("reset", "hang", "cut", "half"):
        until = plan.after if plan.after is not None else 0 if fault in ("reset", "hang") else len(pieces) // 2
        if until or plan.after is not None or fault in ("cut", "half"):
            out.write(start)
            await _paced(map(framed, pieces[:until]), out, plan.pace)
        if fault == "hang":
            await _forever()
        if fault == "reset":
            await asyncio.sleep(_READ_FIRST)
            out.reset()
        if fault == "half" and keep_alive:
            out.write(LAST_CHUNK)
        return fault == "half" and keep_alive
    if fault == "wrong_length":
        out.write(start + b"%x\r\n" % 3 + b"".join(pieces) + b"\r\n")
        return False
    if fault == "slow_headers":
        await _drip(start, out, plan.pace)
    else:
        out.write(start)
    if fault == "trickle":
        await _drip(b"".join(pieces), out, plan.pace, chunked=keep_alive)
    else:
        await _paced(map(framed, pieces), out, plan.pace if fault is None else None)
    if keep_alive:
        out.write(LAST_CHUNK)
    return _afterwards(plan, out, keep_alive=keep_alive)


def _afterwards(plan: Plan, out: Outlet, *, keep_alive: bool) -> bool:
    """Faults that begin when the answer is complete."""
    if plan.fault == "drop_next":
        out.doom()
    return keep_alive and plan.fault != "close_idle"


async def _drip(data: bytes, out: Outlet, pace: float | None, *, chunked: bool = False) -> None:
    for index in range(len(data)):
        byte = data[index : index + 1]
        out.write(chunk(byte) if chunked else byte)
        await asyncio.sleep(PACE if pace is None else pace)


async def _paced(pieces: Iterable[bytes], out: Outlet, pace: float | None) -> None:
    for index, piece in enumerate(pieces):
        if pace and index:
            await asyncio.sleep(pace)
        out.write(piece)


async def _forever() -> None:
    """Until the client gives up or the server stops: both cancel."""
    await asyncio.get_running_loop().create_future()
