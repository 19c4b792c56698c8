"""Operations: a prompt that is submitted, and read again and again until it is done.

Submitting is the attempt. Readings are no attempts: they cost nothing and are repeated as long as the attempt lasts,
because to give up an operation means to pay for it twice. They are counted: per answer in `operation.polls`, per
instance in `Readings.sent`.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from hivetrace_core import ModelError, Reply
from hivetrace_core.http import wait_seconds

from .failures import SERVICE
from .payloads import mapping

GROWTH: Final = 1.5
PATIENCE: Final = 3
"""Readings in a row that find no operation, or nothing readable, before that is believed."""

_READING_S: Final = 30.0  # the service documents none; a reading does no work, so this is generous
_LAST_READING_S: Final = 1.0
_JITTER: Final = 0.1  # share by which a wait is shorter or longer, so that operations are not read in bursts
_PASSING: Final = frozenset({408, 425, 429, 499})


@dataclass(slots=True)
class OperationReply(Reply):
    """The last reading of an operation.

    Attributes:
        facts: What the response's `operation` says: its id, readings sent, readings that failed.
    """

    facts: dict[str, Any] = field(default_factory=dict)


class Readings:
    """The pace of all readings of one model instance, over loops and threads.

    Args:
        per_second: Most readings in a second; they are spaced evenly.

    Attributes:
        sent: How many there were.
    """

    def __init__(self, per_second: float) -> None:
        self._spacing = 1 / per_second
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._next = 0.0
        self.sent = 0

    async def turn(self) -> None:
        """Wait until the next reading may be sent; counts it."""
        with self._own_lock():
            now = time.monotonic()
            at = max(self._next, now)
            self._next = at + self._spacing
        if at > now:
            await asyncio.sleep(at - now)
        with self._own_lock():
            self.sent += 1

    def _own_lock(self) -> threading.Lock:
        if self._pid != os.getpid():  # a forked child: who held the lock may exist in the parent only
            self._lock = threading.Lock()
            self._pid = os.getpid()
        return self._lock


Read: TypeAlias = Callable[[str], Awaitable[Reply]]


class Operation:
    """One operation and the readings of it.

    Args:
        submitted: The reply to its submission, which must have an id (`operation_id`).
        readings: Whose turns the readings take.
        first: Seconds before the first reading; each wait is longer than the one before.
        longest: Seconds between two readings.
        until: Monotonic time when it is given up; None for no bound.
    """

    def __init__(
        self, submitted: Reply, *, readings: Readings, first: float, longest: float, until: float | None
    ) -> None:
        self.id = operation_id(submitted) or ""
        self.polls = 0
        self.failed_polls = 0
        self._readings = readings
        self._wait = first
        self._longest = longest
        self._until = until
        # A last reading shortly before the end, early enough for its answer.
        self._margin = 0.0 if until is None else min(_LAST_READING_S, 0.1 * max(0.0, until - time.monotonic()))
        self._seen = False
        self._odd = 0
        self._problem = ""

    @property
    def facts(self) -> dict[str, Any]:
        """For the metadata of the answer or of the error."""
        return {"id": self.id, "polls": self.polls, "failed_polls": self.failed_polls}

    async def outcome(self, read: Read) -> OperationReply:
        """Read until it is done, or until a reading says that it never will be.

        Args:
            read: Gets a path from the server of operations.

        Raises:
            ModelError: it is not done in time (`timeout`), it is gone (`server`; `not_found` where it was never seen),
                or its server refuses the connection for good.
        """
        path = f"operations/{quote(self.id, safe='')}"
        while True:
            await self._pause()
            await self.turn()
            try:
                async with asyncio.timeout(self._patience()):
                    reply = await read(path)
            except TimeoutError:
                self.missed("it was not answered")
                continue
            except ModelError as error:
                if not error.retryable:
                    error.response = self.blame()
                    raise
                self.missed(error.message)
                continue
            if self._is_final(reply):
                return OperationReply(reply.payload, reply.status, reply.headers, facts=self.facts)

    async def turn(self) -> None:
        """Wait for a turn to read, and count the reading."""
        await self._readings.turn()
        self.polls += 1

    def blame(self) -> dict[str, Any]:
        """The `response` of an error: nothing was answered, but there is an operation."""
        return {"content": "", "response_metadata": {"operation": self.facts}}

    def _is_final(self, reply: Reply) -> bool:
        payload = mapping(reply.payload)
        if reply.status in _PASSING or reply.status >= 500:
            self.missed(f"status {reply.status}")
            self._wait = max(self._wait, wait_seconds(reply.headers) or 0.0)
            return False
        if reply.status == 200 and ("done" in payload or payload.get("id") == self.id):
            # Where it is not done the key may be missing: the protocol leaves out what is false.
            self._seen, self._odd, self._problem = True, 0, ""
            return payload.get("done") is True
        if reply.status not in (200, 404):
            return True
        self.missed(f"status {reply.status}" if reply.status == 404 else "what came back is no operation")
        self._odd += 1
        if self._odd < PATIENCE:
            return False
        if reply.status == 404:
            raise self._gone(reply)
        return True

    def missed(self, problem: str) -> None:
        """A reading has failed; another one follows."""
        self.failed_polls += 1
        self._problem = problem

    def _gone(self, reply: Reply) -> ModelError:
        if self._seen:
            text = f"{SERVICE} has lost the operation {self.id}: it was there and is not found any more"
        else:
            text = f"{SERVICE} does not know the operation {self.id} that it has just begun (check operations_url)"
        return ModelError(
            text,
            kind="server" if self._seen else "not_found",
            status=reply.status,
            request_id=reply.headers.get("x-request-id"),
            response=self.blame(),
        )

    async def _pause(self) -> None:
        wait = self._wait * random.uniform(1 - _JITTER, 1 + _JITTER)
        self._wait = min(self._wait * GROWTH, self._longest)
        if self._until is not None:
            left = self._until - time.monotonic()
            if wait >= left:
                wait = left - self._margin
            if wait <= 0:
                raise self._late()
        await asyncio.sleep(wait)

    def _patience(self) -> float:
        """Seconds for one reading: one that hangs must not cost the operation."""
        if self._until is None:
            return _READING_S
        return min(_READING_S, max(_LAST_READING_S, (self._until - time.monotonic()) / 3))

    def _late(self) -> ModelError:
        problem = f"; the last reading failed: {self._problem}" if self._problem else ""
        return ModelError(
            f"The operation {self.id} was not done in time{problem}. {SERVICE} goes on with it and charges for it; "
            "raise timeout if that is usual",
            kind="timeout",
            response=self.blame(),
        )


def operation_id(reply: Reply) -> str | None:
    """The id of an operation that has begun and is not done; None where there is nothing to wait for."""
    payload: Mapping[str, Any] = mapping(reply.payload)
    if reply.status >= 400 or payload.get("done") is True or payload.get("error"):
        return None
    found = payload.get("id")
    return found if isinstance(found, str) and found else None
