"""A model's connections: a client per event loop, closed with the loop, on request, or when nobody holds the model."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Final, Protocol

from .engine.clients import LoopClients
from .engine.portal import run_blocking
from .errors import HiveTraceError, ModelError

_inherited: Final[list[LoopClients[Any]]] = []
"""Clients of the parent process that a forked child has copies of. They are kept for ever: their loops do not run here,
and to close or collect them would take their sockets out of the selector that the parent shares with its child."""


class Owner(Protocol):
    """Who makes and closes clients."""

    def make_client(self) -> Any:
        """A client for the running event loop."""

    async def close_client(self, client: Any) -> None:
        """Close one, in the same loop."""


class NoClientError(Exception):
    """No client can be made, and so no prompt be sent: none of them is to blame, and the whole call ends.

    Args:
        reason: What the owner raised, for the user.
    """

    def __init__(self, reason: HiveTraceError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Connections:
    """The clients of one owner.

    Args:
        owner: Only referred to weakly: a model that is dropped without being closed must not leave connections behind.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = weakref.ref(owner)
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._clients: LoopClients[Any] = LoopClients(self._make, _closer(self._owner))
        self._dropped: weakref.finalize[..., Owner] | None = None

    async def get(self) -> Any:
        """The running loop's client.

        Raises:
            NoClientError: the owner has said why there can be none.
        """
        self._leave_parent()
        try:
            return await self._clients.get()
        except ModelError:
            raise
        except HiveTraceError as exc:
            raise NoClientError(exc) from exc

    async def aclose(self) -> None:
        """Close the clients of all loops; a later use makes new ones."""
        self._leave_parent()
        await self._clients.aclose()

    def _make(self) -> Any:
        owner = self._owner()
        assert owner is not None, "a call is in progress"  # noqa: S101  # every caller holds one
        client = owner.make_client()
        if self._dropped is None:
            self._dropped = weakref.finalize(owner, _close_left, self._clients, self._pid)
            self._dropped.atexit = False  # at the end of the process, the loops close what is left
        return client

    def _leave_parent(self) -> None:
        if self._pid != os.getpid():
            if self._dropped is not None:
                self._dropped.detach()
            _inherited.append(self._clients)
            self._start()


async def close_ordinarily(client: Any) -> None:
    """Close a client by its `aclose` or `close`, where it has one."""
    close = getattr(client, "aclose", None) or getattr(client, "close", None)
    if close is not None:
        result = close()
        if hasattr(result, "__await__"):
            await result


def _closer(reference: weakref.ref[Owner]) -> Any:
    async def close(client: Any) -> None:
        owner = reference()
        await (owner.close_client(client) if owner is not None else close_ordinarily(client))

    return close


def _close_left(clients: LoopClients[Any], pid: int) -> None:
    if pid != os.getpid():
        _inherited.append(clients)
        return
    # In a thread: the garbage collector comes by at any moment, also while somebody holds a lock.
    threading.Thread(target=lambda: run_blocking(clients.aclose()), name="hivetrace-close", daemon=True).start()
