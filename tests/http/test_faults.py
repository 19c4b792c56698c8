"""What can go wrong on the wire: each fault is one `ModelError` of the right kind, and one request."""

import asyncio
import gzip
import os
import socket
import ssl
import traceback
from typing import Any

import pytest

from hivetrace_core import ModelError

CUT_BODY = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"a": 1'
CUT_CHUNK = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{"a": 1'
NO_LAST_CHUNK = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{"a":1}\r\n'
CUT_HEAD = b"HTTP/1.1 200 OK\r\nContent-Ty"
BAD_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nrubbish\r\n"


def then_close(sent: bytes) -> Any:
    async def reply(_: Any, __: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        writer.close()

    return reply


def then_reset(sent: bytes) -> Any:
    async def reply(_: Any, __: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    return reply


async def failure(client: Any, call: str = "post") -> ModelError:
    with pytest.raises(ModelError) as caught:
        await (client.post("/chat?key=secret", {}) if call == "post" else client.get("/chat?key=secret"))
    # What a log would show of it, chained exceptions included.
    assert "secret" not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize("call", ["post", "get"])
@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        pytest.param(then_close(b""), "connection", "closed the connection without an answer", id="nothing"),
        pytest.param(then_close(CUT_HEAD), "connection", "closed the connection without an answer", id="head"),
        pytest.param(then_close(CUT_BODY), "connection", "cut off before its end", id="body"),
        pytest.param(then_close(CUT_CHUNK), "connection", "cut off before its end", id="chunk"),
        pytest.param(then_close(NO_LAST_CHUNK), "connection", "cut off before its end", id="last-chunk"),
        pytest.param(then_close(BAD_CHUNK), "response_format", "not HTTP", id="bad-chunk"),
        pytest.param(then_reset(b""), "connection", "the connection broke (Connection reset by peer)", id="reset"),
        pytest.param(then_reset(CUT_BODY), "connection", "cut off before its end", id="reset-in-body"),
        pytest.param(then_close(b"SSH-2.0-OpenSSH_9.6\r\n"), "response_format", "not HTTP", id="ssh"),
        pytest.param(then_close(b"\x15\x03\x03\x00\x02\x02\x50"), "response_format", "not HTTP", id="tls-alert"),
        pytest.param(
            then_close(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"),
            "response_format",
            "not HTTP",
            id="huge-header",
        ),
        pytest.param(
            then_close(b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n"), "response_format", "not HTTP", id="length"
        ),
        pytest.param(
            then_close(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\nrubbish"),
            "response_format",
            "could not be decompressed",
            id="gzip",
        ),
    ],
)
def test_a_broken_answer_is_one_error_after_one_request(play: Any, reply: Any, kind: str, says: str, call: str) -> None:
    async def main() -> None:
        async with play.wire(reply) as wire, play.client(wire.url) as client:
            error = await failure(client, call)

        assert error.kind == kind
        assert says in error.message
        assert error.message.startswith(f"{wire.url}: ")
        assert error.retryable is (kind == "connection")
        assert len(wire.requests) == 1

    asyncio.run(main())


def test_a_compressed_body_cut_within_its_length_is_no_json(play: Any) -> None:
    async def main() -> None:
        body = gzip.compress(b'{"a": ' + os.urandom(500).hex().encode() + b"}")
        async with (
            play.wire(play.answer(body[:200], headers=("Content-Encoding: gzip",))) as wire,
            play.client(wire.url) as client,
        ):
            assert isinstance((await client.post("/", {})).payload, str)

    asyncio.run(main())


def test_a_refused_connection_says_so(play: Any) -> None:
    async def main() -> None:
        async with play.wire(b"") as wire:
            pass
        async with play.client(f"http://127.0.0.1:{wire.port}") as client:
            error = await failure(client)

        assert (error.kind, error.retryable) == ("connection", True)
        assert "could not connect (Connection refused); check base_url" in error.message

    asyncio.run(main())


def test_an_unknown_host_is_named(play: Any) -> None:
    async def main() -> None:
        async with play.client("http://nowhere.invalid/v1") as client:
            error = await failure(client)

        assert (error.kind, error.retryable) == ("connection", True)
        assert error.message.startswith("http://nowhere.invalid: the host name nowhere.invalid was not found (")

    asyncio.run(main())


def test_a_host_name_that_cannot_exist_is_an_error_of_the_request(play: Any) -> None:
    async def main() -> None:
        async with play.client(f"http://{'a' * 70}.example") as client:
            error = await failure(client)

        assert error.kind in ("bad_request", "connection")

    asyncio.run(main())


def test_a_connection_that_does_not_open_runs_into_connect_timeout(play: Any) -> None:
    """The kernel completes handshakes for a listener only as long as its backlog has room."""

    async def main() -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            address = listener.getsockname()
            with socket.socket() as first, socket.socket() as second:
                for filler in (first, second):
                    filler.setblocking(False)
                    filler.connect_ex(address)
                await asyncio.sleep(0.05)
                async with play.client(f"http://127.0.0.1:{address[1]}", connect_timeout=0.2) as client:
                    error = await failure(client)

        assert (error.kind, error.retryable) == ("timeout", True)
        assert "no connection within connect_timeout" in error.message

    asyncio.run(main())


def test_tls_counts_towards_connect_timeout(play: Any, authority: Any) -> None:
    async def silent(*_: Any) -> None: ...

    async def main() -> None:
        async with play.wire(silent) as wire:  # takes connections, and never begins TLS
            url = wire.url.replace("http:", "https:")
            async with play.client(url, connect_timeout=0.2, ca_bundle=authority.pem) as client:
                error = await failure(client)

        assert error.kind == "timeout"

    asyncio.run(main())


def test_a_slow_trickle_ends_with_the_callers_own_timeout(play: Any) -> None:
    closed = asyncio.Event()

    async def trickle(_: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            closed.set()
            raise

    async def main() -> None:
        async with play.wire(trickle) as wire, play.client(wire.url) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.post("/", {})
            await asyncio.wait_for(closed.wait(), 5)

            # The connection of the cancelled request is gone; nothing of its answer reaches the next one.
            wire.reply = then_close(play.answer())
            assert (await client.post("/", {})).payload == {"ok": True}
        assert wire.connections == 2

    asyncio.run(main())


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000,
        b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"x" * 1000 + b"\r\n3e8\r\n" + b"x" * 1000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1500\r\n\r\n" + b"x" * 1500,
    ],
)
def test_an_answer_over_the_limit_is_not_read_to_its_end(play: Any, reply: bytes) -> None:
    async def main() -> None:
        async with play.wire(reply) as wire, play.client(wire.url, max_response_bytes=1024) as client:
            error = await failure(client)

        assert (error.kind, error.retryable) == ("response_format", False)
        assert "larger than 1,024 bytes; raise max_response_bytes" in error.message
        assert error.status == int(reply[9:12])

    asyncio.run(main())


def test_an_answer_of_exactly_the_limit_passes(play: Any) -> None:
    async def main() -> None:
        async with play.wire(play.answer(b"x" * 1024)) as wire:
            async with play.client(wire.url, max_response_bytes=1024) as client:
                assert (await client.post("/", {})).payload == "x" * 1024
            async with play.client(wire.url, max_response_bytes=1023) as client:
                assert (await failure(client)).kind == "response_format"

    asyncio.run(main())


def test_an_announced_length_over_the_limit_is_not_waited_for(play: Any) -> None:
    async def main() -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n"
        async with play.wire(head) as wire, play.client(wire.url) as client, asyncio.timeout(5):
            assert (await failure(client)).kind == "response_format"

    asyncio.run(main())


def test_an_endless_answer_is_left_at_the_limit(play: Any) -> None:
    async def endless(_: Any, __: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()

    async def main() -> None:
        async with play.wire(endless) as wire, play.client(wire.url, max_response_bytes=1_000_000) as client:
            assert (await failure(client)).kind == "response_format"

    asyncio.run(main())


def test_a_decompression_bomb_counts_as_what_it_becomes(play: Any) -> None:
    import resource

    async def main() -> None:
        bomb = gzip.compress(b"\0" * 2**26, 1)
        assert len(bomb) < 500_000
        async with (
            play.wire(play.answer(bomb, headers=("Content-Encoding: gzip",))) as wire,
            play.client(wire.url, max_response_bytes=500_000) as client,
        ):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            error = await failure(client)
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

        assert error.kind == "response_format"
        assert grown < 32 * 1024

    asyncio.run(main())


@pytest.mark.parametrize("call", ["post", "get"])
def test_a_connection_closed_while_idle_costs_one_error_and_no_second_request(play: Any, call: str) -> None:
    """The server closes at the very moment the next request is on its way."""

    async def main() -> None:
        async with play.wire(play.answer()) as wire, play.client(wire.url) as client:
            await client.post("/", {})
            wire.reply = then_close(b"")
            error = await failure(client, call)

            assert (error.kind, error.retryable) == ("connection", True)
            assert [request.connection for request in wire.requests] == [1, 1]

    asyncio.run(main())


def test_a_connection_that_was_closed_before_is_not_used_again(play: Any) -> None:
    async def main() -> None:
        async with play.wire(then_close(play.answer())) as wire, play.client(wire.url) as client:
            await client.post("/", {})
            await asyncio.sleep(0.05)
            await client.post("/", {})

        assert [request.connection for request in wire.requests] == [1, 2]

    asyncio.run(main())


@pytest.mark.parametrize("call", ["post", "get"])
@pytest.mark.parametrize("pause", [0.0, 0.02])
def test_an_answer_that_nobody_asked_for_never_becomes_the_answer_to_the_next_request(
    play: Any, pause: float, call: str
) -> None:
    async def talkative(request: Any, _: Any, writer: asyncio.StreamWriter) -> None:
        number = len(wire_requests) + 1
        wire_requests.append(request)
        writer.write(play.answer(b'{"n": %d}' % number))
        if pause:
            await asyncio.sleep(pause)
        writer.write(play.answer(b'{"n": "timed out"}', status="408 Request Timeout"))

    wire_requests: list[Any] = []

    async def main() -> None:
        async with play.wire(talkative) as wire, play.client(wire.url) as client:
            answers = []
            for _ in range(4):
                answers.append(await (client.post("/", {}) if call == "post" else client.get("/")))
                await asyncio.sleep(0.05)

        assert [answer.payload for answer in answers] == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
        assert len(wire.requests) == 4

    asyncio.run(main())


@pytest.mark.parametrize("secure", [False, True])
def test_a_server_that_answers_before_it_reads_is_believed(play: Any, authority: Any, secure: bool) -> None:
    """A full server may greet a new connection with an error; up to TLS 1.2 in one packet with the handshake's end."""
    tls = authority.server() if secure else None
    if tls is not None:
        tls.maximum_version = ssl.TLSVersion.TLSv1_2

    async def main() -> None:
        busy = play.answer(b'{"busy": true}', status="503 Busy", headers=("Connection: close",))
        async with (
            play.wire(then_close(b""), greeting=busy, tls=tls) as wire,
            play.client(wire.url, ca_bundle=authority.pem) as client,
        ):
            async with asyncio.timeout(5):
                reply = await client.post("/", {})

        assert (reply.status, reply.payload) == (503, {"busy": True})
        assert wire.connections == 1

    asyncio.run(main())


def test_a_reply_to_a_half_sent_request_is_still_a_reply(play: Any) -> None:
    async def main() -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(play.answer(b'{"error": "too large"}', status="413 Payload Too Large"))
            while await reader.read(65536):
                pass

        async with play.listen(refuse) as port, play.client(f"http://127.0.0.1:{port}") as client:
            reply = await client.post("/", {"prompt": "p" * 20_000_000})

        assert (reply.status, reply.payload) == (413, {"error": "too large"})

    asyncio.run(main())


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("call", ["post", "get"])
def test_redirects_are_refused_and_the_key_stays(play: Any, status: int, call: str) -> None:
    async def main() -> None:
        async with play.wire(play.answer()) as thief:
            location = f"Location: http://me:pw@localhost:{thief.port}/v2?token=secret"
            body = b"" if status == 304 else b"moved"
            async with (
                play.wire(play.answer(body, status=f"{status} Moved", headers=(location,))) as wire,
                play.client(wire.url, headers={"Authorization": "Bearer k"}) as client,
            ):
                error = await failure(client, call)

            assert (error.kind, error.status, error.retryable) == ("not_found", status, False)
            assert f"redirected with status {status} to http://localhost:{thief.port};" in error.message
            assert "Set base_url" in error.message
            assert (len(wire.requests), thief.connections) == (1, 0)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("Location: /v2/chat?token=secret", "to another path of the same server;"),
        ("Location: https://[::1", "to an unreadable address;"),
        ("Location: chat", "to another path of the same server;"),
        ("Location: //other.example/secret", "to http://other.example;"),
        ("X: y", "to another path of the same server;"),
    ],
)
def test_odd_redirects_are_refused_too(play: Any, header: str, says: str) -> None:
    async def main() -> None:
        async with (
            play.wire(play.answer(status="302 Found", headers=(header,))) as wire,
            play.client(wire.url) as client,
        ):
            error = await failure(client)

        assert says in error.message

    asyncio.run(main())


def test_the_pool_holds_nobody_back(play: Any) -> None:
    """200 requests at once on one client: nobody waits for a connection."""

    async def main() -> None:
        gate = asyncio.Event()
        waiting = 0

        async def reply(_: Any, __: Any, writer: asyncio.StreamWriter) -> None:
            nonlocal waiting
            waiting += 1
            if waiting == 200:
                gate.set()
            await gate.wait()
            writer.write(play.answer())

        async with play.wire(reply) as wire, play.client(wire.url) as client:
            async with asyncio.timeout(30):
                replies = await asyncio.gather(*[client.post("/", {}) for _ in range(200)])

            assert len(replies) == wire.connections == 200

    asyncio.run(main())
