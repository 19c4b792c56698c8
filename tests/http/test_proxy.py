"""Through a proxy: CONNECT for https, the whole URL for http; the key is the server's and not the proxy's."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from hivetrace_core import ModelError


@dataclass
class Proxy:
    """A proxy that remembers the heads of the requests it was sent, and can refuse them."""

    refusal: bytes = b""
    heads: list[str] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode("latin-1"))
        if self.refusal:
            writer.write(self.refusal)
            await writer.drain()
            return
        method, target, _ = self.heads[-1].split("\r\n")[0].split(" ")
        if method == "CONNECT":
            port = target.rpartition(":")[2]
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            port = target.removeprefix("http://").split("/")[0].rpartition(":")[2]
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", int(port))
            server_writer.write(head)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(pump(reader, server_writer))
                group.create_task(pump(server_reader, writer))
        finally:
            server_writer.close()
            with contextlib.suppress(ConnectionError):
                await server_writer.wait_closed()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def proxy(play: Any, refusal: bytes = b"") -> AsyncIterator[Proxy]:
    running = Proxy(refusal)
    async with play.listen(running.serve) as port:
        running.url = f"http://localhost:{port}"
        yield running


async def failure(client: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await client.post("/chat?token=secret", {})
    assert "secret" not in str(caught.value)
    return caught.value


def test_https_goes_through_a_tunnel_that_never_sees_the_key(play: Any, authority: Any) -> None:
    async def main() -> None:
        async with (
            proxy(play) as via,
            play.wire(play.answer(), tls=authority.server()) as wire,
            play.client(
                wire.url,
                proxy=via.url,
                ca_bundle=authority.pem,
                headers={"Authorization": "Bearer sk-key"},
                extra_headers={"X-Team": "red"},
            ) as client,
        ):
            for _ in range(2):
                assert (await client.post("/chat", {"a": 1})).payload == {"ok": True}

        assert [request.headers["authorization"] for request in wire.requests] == ["Bearer sk-key"] * 2
        (head,) = via.heads
        assert head.startswith(f"CONNECT localhost:{wire.port} HTTP/1.1\r\n")
        assert "sk-key" not in head
        assert "x-team" not in head.lower()

    asyncio.run(main())


def test_http_goes_through_with_the_whole_url(play: Any) -> None:
    async def main() -> None:
        async with (
            proxy(play) as via,
            play.wire(play.answer()) as wire,
            play.client(f"{wire.url}/v1", proxy=via.url) as client,
        ):
            assert (await client.post("/chat", {"a": 1})).payload == {"ok": True}

        assert via.heads[0].startswith(f"POST http://localhost:{wire.port}/v1/chat HTTP/1.1\r\n")
        assert len(wire.requests) == 1

    asyncio.run(main())


@pytest.mark.parametrize("secure", [True, False])
def test_credentials_for_the_proxy_go_to_the_proxy_only(play: Any, authority: Any, secure: bool) -> None:
    async def main() -> None:
        async with (
            proxy(play) as via,
            play.wire(play.answer(), tls=authority.server() if secure else None) as wire,
            play.client(
                wire.url,
                proxy=via.url.replace("://", "://me:pass%20word@"),
                ca_bundle=authority.pem,
                headers={"Authorization": "Bearer sk-key"},
            ) as client,
        ):
            await client.post("/chat", {})
            await client.post("/chat", {})

        token = base64.b64encode(b"me:pass word").decode()
        assert f"Proxy-Authorization: Basic {token}\r\n" in via.heads[0]
        assert [request.headers["authorization"] for request in wire.requests] == ["Bearer sk-key"] * 2
        if secure:
            assert all("proxy-authorization" not in request.headers for request in wire.requests)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        ("407 Proxy Authentication Required", "authentication", "user and password into the option proxy"),
        ("403 Forbidden", "permission", "the proxy does not let this host through"),
        ("502 Bad Gateway", "connection", "check the option proxy"),
    ],
)
def test_a_proxy_that_refuses_is_named_and_its_password_is_not(
    play: Any, authority: Any, status: str, kind: str, says: str
) -> None:
    async def main() -> None:
        async with (
            proxy(play, play.answer(b"", status=status)) as via,
            play.wire(play.answer(), tls=authority.server()) as wire,
            play.client(wire.url, proxy=via.url.replace("://", "://me:secret@"), ca_bundle=authority.pem) as client,
        ):
            error = await failure(client)

        assert (error.kind, error.status) == (kind, int(status[:3]))
        assert error.retryable is (kind == "connection")
        assert f"{wire.url}: the proxy refused the connection with status {status[:3]}; " in error.message
        assert says in error.message
        assert (len(via.heads), wire.connections) == (1, 0)

    asyncio.run(main())


def test_a_plain_request_that_the_proxy_answers_itself_is_a_reply(play: Any) -> None:
    async def main() -> None:
        async with (
            proxy(play, play.answer(b"no", status="407 Proxy Authentication Required")) as via,
            play.client("http://api.invalid/v1", proxy=via.url) as client,
        ):
            reply = await client.post("/chat", {})

        assert (reply.status, reply.payload) == (407, "no")

    asyncio.run(main())


def test_a_proxy_that_is_not_there_is_named(play: Any) -> None:
    async def main() -> None:
        async with proxy(play) as via:
            pass
        async with play.client("https://api.invalid", proxy=via.url.replace("://", "://me:secret@")) as client:
            error = await failure(client)

        assert (error.kind, error.retryable) == ("connection", True)
        port = via.url.rpartition(":")[2]
        assert (
            f"https://api.invalid: could not connect to the proxy localhost:{port} (Connection refused)"
            in error.message
        )

    asyncio.run(main())


def test_a_proxy_whose_name_does_not_exist_is_named(play: Any) -> None:
    async def main() -> None:
        async with play.client("https://api.example", proxy="http://me:secret@proxy.invalid:3128") as client:
            error = await failure(client)

        assert error.message.startswith("https://api.example: the host name proxy.invalid was not found (")

    asyncio.run(main())


def test_an_untrusted_proxy_is_told_from_an_untrusted_server(play: Any, authority: Any) -> None:
    async def main() -> None:
        async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        async with (
            play.listen(silent, authority.server()) as port,
            play.client("https://api.example", proxy=f"https://localhost:{port}") as client,
        ):
            error = await failure(client)

        assert error.message.startswith(f"https://api.example, by way of localhost:{port}: the server's certificate")
        assert error.retryable is False

    asyncio.run(main())
