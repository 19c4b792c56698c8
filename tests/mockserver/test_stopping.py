"""A server that stops while clients connect lets go of them all."""

from __future__ import annotations

import contextlib
import gc
import socket
import sys
import threading
from typing import Any

import pytest
from hivetrace_globex.dialect import GlobexDialect

from hivetrace_core.mockserver import MockServer

CLIENTS = 60


def connect(port: int, opened: list[socket.socket], begun: threading.Barrier) -> None:
    begun.wait()
    with contextlib.suppress(OSError):
        opened.extend(socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(CLIENTS))


def test_no_connection_is_left_open_by_a_server_that_stops_while_clients_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left: list[Any] = []
    gc.collect()  # what others have left behind
    monkeypatch.setattr(sys, "unraisablehook", left.append)

    for _ in range(10):
        opened: list[socket.socket] = []
        begun = threading.Barrier(2)
        server = MockServer(dialects=[GlobexDialect()])
        server.start()
        client = threading.Thread(target=connect, args=(server.port, opened, begun))
        client.start()
        begun.wait()
        server.stop()
        client.join()
        for connection in opened:
            connection.close()
    gc.collect()

    assert [str(one.exc_value) for one in left] == []
