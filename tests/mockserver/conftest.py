"""A small dialect, a server for it, and clients from bare sockets upwards."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Self

import pytest

from hivetrace_core.mockserver import Dialect, MockServer, Turn, WireReply, WireRequest, json_reply, wait_headers

STATUSES = {"rate_limit": 429, "authentication": 401, "not_found": 404, "bad_request": 400, "server": 500, "quota": 402}


class PlainDialect(Dialect):
    """`{"prompt", "model", "stream"}` in, `{"text", "finish"}` out."""

    name = "plain"
    base_path = "/v1"
    variants: Mapping[str, str] = {"plain.filter": "blocked", "plain.broke": "quota", "plain.busy": "server"}
    final_variants = frozenset({"plain.busy"})

    def matches(self, request: WireRequest) -> bool:
        return (request.method, request.path) == ("POST", "/v1/ask")

    def prompt_of(self, request: WireRequest) -> str:
        prompt = request.body.get("prompt")
        return prompt if isinstance(prompt, str) else ""

    def wants_stream(self, request: WireRequest) -> bool:
        return request.body.get("stream") is True

    def reply(self, request: WireRequest, turn: Turn) -> WireReply:
        if turn.error is not None:
            status = turn.status or STATUSES.get(turn.error, 500)
            return json_reply({"error": turn.error, "variant": turn.variant}, status, wait_headers(turn))
        finish = {"text": turn.text, "finish": turn.outcome, "variant": turn.variant, "categories": turn.categories}
        return json_reply(finish, turn.status or 200)

    def stream(self, request: WireRequest, turn: Turn) -> Iterable[bytes] | None:
        if turn.error is not None and turn.after is None:
            return None
        words = turn.text.split()[: turn.after]
        end = "[DONE]" if turn.error is None else json.dumps({"error": turn.error})
        return [f"data: {word}\n\n".encode() for word in (*words, end)]

    def side(self, request: WireRequest) -> WireReply | None:
        return json_reply({"models": ["m"]}) if request.path == "/v1/models" else None


class OtherDialect(PlainDialect):
    name = "other"
    variants: Mapping[str, str] = {"other.filter": "blocked"}


Serve = Callable[..., MockServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server for this test."""
    with ExitStack() as stack:

        def start(script: Any = None, dialects: Iterable[Dialect] = (PlainDialect(), OtherDialect())) -> MockServer:
            return stack.enter_context(MockServer(script, dialects=dialects))

        yield start


class Client:
    """One connection: sends bytes as they are, reads one reply after the other."""

    def __init__(self, server: MockServer, timeout: float = 10) -> None:
        self.sock = socket.create_connection(("127.0.0.1", server.port), timeout=timeout)
        self._rest = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def ask(self, prompt: str = "Hello", **body: Any) -> Reply:
        self.send(question(prompt, **body))
        return self.read()

    def read(self) -> Reply:
        """One reply; raises EOFError where the connection ends before it does."""
        while b"\r\n\r\n" not in self._rest:
            self._more()
        top, _, self._rest = self._rest.partition(b"\r\n\r\n")
        first, *lines = top.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        status = int(first.split()[1])
        if headers.get("transfer-encoding") == "chunked":
            return Reply(first, status, headers, self._chunks())
        length = int(headers.get("content-length", 0))
        while len(self._rest) < length:
            self._more()
        body, self._rest = self._rest[:length], self._rest[length:]
        return Reply(first, status, headers, body)

    def _chunks(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self._rest:
                self._more()
            size, _, self._rest = self._rest.partition(b"\r\n")
            need = int(size, 16) + 2
            while len(self._rest) < need:
                self._more()
            body, self._rest = body + self._rest[: need - 2], self._rest[need:]
            if need == 2:
                return body

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise EOFError(self._rest.decode("latin-1"))
        self._rest += data

    @property
    def received(self) -> bytes:
        """What has come and was not yet read as a reply."""
        return self._rest

    def rest(self) -> bytes:
        """Everything until the connection ends."""
        while data := self.sock.recv(65536):
            self._rest += data
        return self._rest

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


class Reply:
    def __init__(self, start: str, status: int, headers: dict[str, str], body: bytes) -> None:
        self.start, self.status, self.headers, self.body = start, status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        return [event.removeprefix("data: ") for event in self.body.decode().split("\n\n") if event]


def request(method: str, path: str, body: bytes = b"", *headers: str, version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def question(prompt: str = "Hello", *, provider: str = "plain", headers: tuple[str, ...] = (), **body: Any) -> bytes:
    return request("POST", f"/{provider}/v1/ask", json.dumps({"prompt": prompt, **body}).encode(), *headers)


@pytest.fixture
def connect() -> Iterator[Callable[[MockServer], Client]]:
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(Client(server))


class Wire:
    """The pieces above, for tests: with importlib's import mode, test files cannot import each other."""

    plain, other = PlainDialect(), OtherDialect()
    request = staticmethod(request)
    question = staticmethod(question)


@pytest.fixture
def wire() -> type[Wire]:
    return Wire
