"""Parsing, keeping connections, routes, the log and the server's life."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivetrace_core import ConfigError
from hivetrace_core.mockserver import MockServer

Serve = Callable[..., MockServer]
Connect = Callable[[MockServer], Any]


def test_a_connection_is_kept_and_requests_are_numbered(serve: Serve, connect: Connect) -> None:
    server = serve()
    client = connect(server)

    replies = [client.ask(f"p{number}") for number in range(3)]

    assert [reply.headers["x-request-id"] for reply in replies] == ["mock-1", "mock-2", "mock-3"]
    assert server.stats()["connections"] == 1


def test_requests_that_are_sent_ahead_are_answered_in_order(serve: Serve, connect: Connect, wire: Any) -> None:
    server = serve({"text": "{prompt}", "rules": [{"match": "^[13]$", "delay": 0.02, "text": "{prompt}"}]})
    client = connect(server)
    prompts = [str(number) for number in range(200)]

    client.send(b"".join(wire.question(prompt) for prompt in prompts))

    assert [client.read().json["text"] for _ in prompts] == prompts
    assert server.stats()["most_in_flight"] == 1


def test_a_request_may_come_byte_by_byte(serve: Serve, connect: Connect, wire: Any) -> None:
    client = connect(serve({"text": "{prompt}"}))
    client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    for byte in wire.question("Привет"):
        client.send(bytes([byte]))

    assert client.read().json["text"] == "Привет"


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 900), max_size=6), prompts=st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts: list[int], prompts: list[str]) -> None:
    from hivetrace_core.mockserver.connection import Connection

    requests = [json.dumps({"prompt": prompt}).encode() for prompt in prompts]
    heads = [
        b"POST /plain/v1/ask?x=%d HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (i, len(r)) for i, r in enumerate(requests)
    ]
    data = b"".join(head + body for head, body in zip(heads, requests, strict=True))
    seen: list[tuple[bytes, bytes]] = []

    class Service:
        records: Any = type("Records", (), {"connections": 0, "open_connections": 0, "gone": lambda *_, **__: None})()

        def plan(self, method: str, target: bytes, headers: Any, raw: bytes) -> Any:
            from hivetrace_core.mockserver.dialect import WireReply
            from hivetrace_core.mockserver.service import Plan

            seen.append((target, raw))
            return Plan(0, WireReply(200, {}, b""))

    class Transport:
        def write(self, data: bytes) -> None: ...

    import httptools

    connection = Connection(Service(), set(), httptools.HttpRequestParser, httptools.HttpParserError)  # type: ignore[arg-type]
    connection.connection_made(Transport())  # type: ignore[arg-type]
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in pairwise(edges):
        buffer = connection.get_buffer(-1)
        buffer[: end - start] = data[start:end]
        connection.buffer_updated(end - start)

    assert seen == [(b"/plain/v1/ask?x=%d" % i, body) for i, body in enumerate(requests)]


def test_a_large_body_arrives_whole(serve: Serve, connect: Connect) -> None:
    prompt = "ж" * 500_000

    assert connect(serve({"text": "{prompt}"})).ask(prompt).json["text"] == prompt


def test_a_body_in_chunks_is_read(serve: Serve, connect: Connect) -> None:
    client = connect(serve({"text": "{prompt}"}))

    client.send(b"POST /plain/v1/ask HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b'9\r\n{"prompt"\r\n6\r\n: "ab"\r\n1\r\n}\r\n0\r\n\r\n')

    assert client.read().json["text"] == "ab"


def test_a_client_that_wants_a_go_ahead_gets_it(serve: Serve, connect: Connect, wire: Any) -> None:
    client = connect(serve())

    client.send(wire.question(headers=("Expect: 100-continue",)))

    assert client.read().status == 100
    assert client.read().status == 200


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_client_that_wants_the_end_gets_it(serve: Serve, connect: Connect, wire: Any, version: str) -> None:
    body = b'{"prompt": "x", "stream": true}'
    close = () if version == "1.0" else ("Connection: close",)
    client = connect(serve({"text": "a b"}))

    client.send(wire.request("POST", "/plain/v1/ask", body, *close, version=version))
    received = client.rest()

    assert b"Connection: close" in received
    assert received.endswith(b"\r\n\r\ndata: a\n\ndata: b\n\ndata: [DONE]\n\n")


@pytest.mark.parametrize("nonsense", [b"\x16\x03\x01\x02\x00\x01", b"GET / FTP/1.1\r\n\r\n", b"hello\r\n\r\n"])
def test_what_is_not_http_is_refused_and_others_are_served_on(serve: Serve, connect: Connect, nonsense: bytes) -> None:
    server = serve()
    client = connect(server)

    client.send(nonsense)

    assert client.rest().startswith(b"HTTP/1.1 400 ")
    assert connect(server).ask().status == 200


def test_an_upgrade_is_refused(serve: Serve, connect: Connect) -> None:
    server = serve()
    client = connect(server)

    client.send(b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")

    assert b"speaks HTTP/1.1 only" in client.rest()
    assert server.log == []


def test_a_body_beyond_all_use_is_refused(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hivetrace_core.mockserver.connection.MAX_BODY", 1000)

    reply = connect(serve()).ask("x" * 2000)

    assert reply.status == 413


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_object_gets_the_dialects_400(
    serve: Serve, connect: Connect, wire: Any, body: bytes
) -> None:
    client = connect(serve())

    client.send(wire.request("POST", "/plain/v1/ask", body))

    reply = client.read()
    assert (reply.status, reply.json["error"]) == (400, "bad_request")


def test_routes(serve: Serve, connect: Connect, wire: Any) -> None:
    server = serve()
    client = connect(server)

    def get(path: str) -> Any:
        client.send(wire.request("GET", path))
        return client.read()

    assert get("/plain/v1/models").json == {"models": ["m"]}
    assert (get("/plain/v1/ask").status, get("/plain/v2/x").json["error"]) == (404, "not_found")
    assert "/plain/v1, /other/v1" in get("/v1/ask").json["error"]
    assert get(f"http://127.0.0.1:{server.port}/plain/v1/models?x=1").status == 200
    assert server.url("plain") == f"http://127.0.0.1:{server.port}/plain/v1"
    assert server.root("plain") == f"http://127.0.0.1:{server.port}/plain"
    assert server.providers == ("plain", "other")
    with pytest.raises(ConfigError, match="speaks no 'acme'; it speaks plain, other"):
        server.url("acme")


def test_a_head_request_gets_no_body(serve: Serve, connect: Connect, wire: Any) -> None:
    client = connect(serve())

    client.send(wire.request("HEAD", "/plain/v1/models") + wire.question())
    received = b""
    while b"scripted" not in received:
        received += client.sock.recv(65536)

    head, _, rest = received.partition(b"\r\n\r\n")
    assert b"Content-Length: 16" in head
    assert rest.startswith(b"HTTP/1.1 200")


def test_the_log_has_who_what_and_how_often_and_no_secret(serve: Serve, connect: Connect, wire: Any) -> None:
    server = serve({"rules": [{"match": "x", "outcome": "blocked"}]})
    client = connect(server)
    client.send(wire.question("x", model="m-1", headers=("Authorization: Bearer top-secret", "X-Other: seen")))
    client.read()
    client.ask("x", model="m-1", stream=True)
    client.ask("y" * 2000)

    client.send(wire.request("GET", "/_log"))
    served = client.read().json
    client.send(wire.request("GET", "/_stats"))
    stats = client.read().json

    first, second, third = server.log
    assert served == [{**record._asdict(), "headers": dict(record.headers)} for record in server.log]
    assert (first.provider, first.model, first.path, first.prompt) == ("plain", "m-1", "/plain/v1/ask", "x")
    assert (first.attempt, first.said, first.rule, first.in_flight, first.stream) == (1, "blocked", 0, 1, False)
    assert (second.attempt, second.stream, third.attempt, third.rule) == (2, True, 1, None)
    assert len(third.prompt) == 1000
    assert abs(first.time - time.time()) < 60
    assert (first.headers["authorization"], first.headers["x-other"]) == ("***", "seen")
    assert "x-other" not in second.headers
    assert stats["said"] == {"plain": {"answered": 1, "blocked": 2}}
    assert stats == server.stats()
    assert (stats["requests"], stats["connections"], stats["in_flight"]) == (3, 1, 0)


def test_a_reset_forgets_everything_but_what_is_open(serve: Serve, connect: Connect, wire: Any) -> None:
    server = serve({"rate_limit": {"rpm": 1}, "rules": [{"times": 1, "outcome": "blocked"}]})
    client = connect(server)
    client.ask("x")

    client.send(wire.request("POST", "/_reset"))
    client.read()

    assert (server.log, server.stats()["requests"], server.stats()["connections"]) == ([], 0, 1)
    assert client.ask("x").json["finish"] == "blocked"
    assert server.log[0].attempt == 1


def test_the_log_keeps_the_newest(serve: Serve, connect: Connect) -> None:
    server = serve({"log_size": 2})
    client = connect(server)
    for prompt in "abc":
        client.ask(prompt)

    assert [record.prompt for record in server.log] == ["b", "c"]
    assert server.stats()["requests"] == 3


def test_requests_in_flight_are_counted(serve: Serve) -> None:
    server = serve({"delay": 0.2})

    async def all_at_once() -> list[int]:
        async with aiohttp.ClientSession() as session:

            async def ask(number: int) -> int:
                async with session.post(f"{server.url('plain')}/ask", json={"prompt": str(number)}) as response:
                    await response.read()
                    return response.status

            return await asyncio.gather(*map(ask, range(20)))

    assert asyncio.run(all_at_once()) == [200] * 20
    assert server.stats()["most_in_flight"] == 20


def test_a_stream_is_read_by_a_real_client(serve: Serve) -> None:
    server = serve({"text": "один два"})

    async def events() -> list[bytes]:
        async with aiohttp.ClientSession() as session:
            body = {"prompt": "x", "stream": True}
            async with session.post(f"{server.url('plain')}/ask", json=body) as response:
                assert response.content_type == "text/event-stream"
                return [line async for line in response.content if line.strip()]

    assert asyncio.run(events()) == ["data: один\n".encode(), "data: два\n".encode(), b"data: [DONE]\n"]


def test_a_server_can_go_down_and_come_back(serve: Serve, connect: Connect) -> None:
    server = serve({"rules": [{"times": 1, "error": "server"}]})
    port, client = server.port, connect(server)
    client.ask("x")

    server.stop()

    with pytest.raises((ConnectionError, EOFError)):
        client.ask("x")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert len(server.log) == 1

    server.start()

    assert server.port == port
    assert connect(server).ask("x").status == 200
    assert len(server.log) == 2
    assert server.stats()["open_connections"] == 1


def test_stopping_ends_what_hangs_and_leaves_no_thread(wire: Any, connect: Connect) -> None:
    with MockServer({"rules": [{"fault": "hang"}]}, dialects=[wire.plain]) as server:
        client = connect(server)
        client.send(wire.question())
        while not server.log:
            time.sleep(0.005)

    with pytest.raises((ConnectionError, EOFError)):
        client.read()
    server.stop()
    assert [thread.name for thread in threading.enumerate() if "mock" in thread.name] == []


def test_a_port_that_is_taken_is_a_clear_error(serve: Serve, wire: Any) -> None:
    port = serve().port

    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use. Choose another"):
        MockServer(dialects=[wire.plain], port=port).start()


def test_a_server_is_started_once_and_has_no_port_before(serve: Serve, wire: Any) -> None:
    with pytest.raises(ConfigError, match="runs already"):
        serve().start()
    with pytest.raises(ConfigError, match="no port before it is started"):
        _ = MockServer(dialects=[wire.plain]).port


@pytest.mark.parametrize("delay", [0.0, 0.0005])
def test_a_slow_reader_is_waited_for(serve: Serve, connect: Connect, wire: Any, delay: float) -> None:
    server = serve({"text": "x" * 200_000, "delay": delay})
    client = connect(server)

    client.send(b"".join(wire.question() for _ in range(100)))
    time.sleep(0.4)
    before = server.stats()["requests"]

    assert [len(client.read().json["text"]) for _ in range(100)] == [200_000] * 100
    assert before < 100


def test_requests_behind_one_that_hangs_are_not_read_without_end(serve: Serve, connect: Connect, wire: Any) -> None:
    client = connect(serve({"rules": [{"fault": "hang"}]}))
    client.sock.settimeout(0.3)

    with pytest.raises(TimeoutError):
        client.send(wire.question("x" * 10_000) * 3000)


def test_what_hangs_ends_with_its_connection(serve: Serve, connect: Connect, wire: Any) -> None:
    server = serve({"rules": [{"fault": "hang"}]})

    def tasks() -> int:
        return server._in_loop(lambda: len(asyncio.all_tasks()))

    alone = tasks()
    client = connect(server)
    client.send(wire.question())
    while tasks() == alone:
        time.sleep(0.005)
    client.sock.close()

    deadline = time.monotonic() + 5
    while tasks() != alone and time.monotonic() < deadline:
        time.sleep(0.005)
    assert tasks() == alone
