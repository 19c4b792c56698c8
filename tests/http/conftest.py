"""A loopback server that plays back bytes, and remembers what it was asked."""

import asyncio
import contextlib
import gc
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from hivetrace_core.http import HttpOptions, JsonHttp


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Wire:
    """One server. `reply` gets each request and the connection's writer, and sends what it likes."""

    reply: Callable[["Request", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    scheme: str = "http"
    greeting: bytes = b""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    open: set[int] = field(default_factory=set)
    all_closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self.open.add(number)
        try:
            if self.greeting:
                writer.write(self.greeting)
            while True:
                request = await read_request(reader, number)
                self.requests.append(request)
                await self.reply(request, reader, writer)
                await writer.drain()
                if writer.is_closing():
                    break
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.open.discard(number)
            if not self.open:
                self.all_closed.set()


async def read_request(reader: asyncio.StreamReader, connection: int) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body, connection)


def answer(
    body: bytes = b'{"ok": true}',
    *,
    status: str = "200 OK",
    headers: tuple[str, ...] = ("Content-Type: application/json",),
) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


class Play:
    """What tests are written with: a server made from bytes, and clients for it."""

    answer = staticmethod(answer)

    @staticmethod
    @contextlib.asynccontextmanager
    async def listen(
        serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        tls: ssl.SSLContext | None = None,
    ) -> AsyncIterator[int]:
        """Serve connections on a free port, which is the value; when it ends, none is left."""
        tasks: set[asyncio.Task[None]] = set()

        async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(reader, writer)
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    await writer.wait_closed()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(serve_and_close(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls, limit=2**26)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @classmethod
    @contextlib.asynccontextmanager
    async def wire(
        cls, reply: bytes | Callable[..., Awaitable[None]], *, tls: ssl.SSLContext | None = None, greeting: bytes = b""
    ) -> AsyncIterator[Wire]:
        """Serve HTTP; bytes are sent as they are, for every request."""

        async def send(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert isinstance(reply, bytes)
            writer.write(reply)

        wire = Wire(send if isinstance(reply, bytes) else reply, "https" if tls else "http", greeting)
        async with cls.listen(wire.serve, tls) as wire.port:
            yield wire

    @staticmethod
    @contextlib.asynccontextmanager
    async def client(
        base_url: str, *, headers: dict[str, str] | None = None, extras: bool = True, **options: Any
    ) -> AsyncIterator[JsonHttp]:
        client = JsonHttp(HttpOptions(base_url=base_url, **options), headers=headers, extras=extras)
        try:
            yield client
        finally:
            await client.aclose()


@pytest.fixture
def play() -> type[Play]:
    return Play


@dataclass
class Authority:
    """A private CA with its PEM file."""

    ca: trustme.CA
    pem: Path

    def server(self, *names: str, **options: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names or ("localhost",), **options).configure_cert(context)
        return context


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    ca = trustme.CA()
    pem = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(pem))
    return Authority(ca, pem)


@pytest.fixture
def nothing_left_open(recwarn: pytest.WarningsRecorder) -> Iterator[None]:
    """Unclosed sockets and sessions warn when they are collected: collect them while the test can still fail."""
    yield
    gc.collect()

    assert [str(warning.message) for warning in recwarn] == []
