"""A loopback server that answers with the corpus, byte for byte: the case is the first segment of the path."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from http.client import responses
from threading import Thread
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote, unquote

from .corpus import Case

_TOKEN: Final = b'{"access_token": "token-of-the-corpus", "expires_at": 4102444800000}'
_PIECE_S: Final = 0.005
"""Between two pieces of a stream, so that they arrive as two."""


class ReplyServer:
    """Serves the cases while its `with` block runs, in a thread of its own.

    Args:
        cases: What it answers with.
    """

    def __init__(self, cases: Iterable[Case]) -> None:
        self._cases = {case.id: case for case in cases}
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._port = 0
        self.requests: dict[str, int] = dict.fromkeys(self._cases, 0)

    def __enter__(self) -> Self:
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self._server = started.result()
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def url(self, case: Case) -> str:
        """Where every request gets this case's reply; a token is given out below `/token`, unless that is the case."""
        return f"http://127.0.0.1:{self._port}/{quote(case.id, safe='')}"

    async def _end(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            await _read_body(reader, head)
            _, id_, *rest = head.split(b" ", 2)[1].decode().split("/", 2)
            case = self._cases[unquote(id_)]
            if rest and rest[0].startswith("token") and case.service != "oauth":
                _write_head(writer, 200, {"content-type": "application/json"})
                writer.write(_TOKEN)
            else:
                self.requests[case.id] += 1
                await _answer(writer, case)
            await writer.drain()
        # An end that is not announced by a length: also for what arrives in pieces.
        writer.close()


async def _read_body(reader: asyncio.StreamReader, head: bytes) -> None:
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        while int(size := (await reader.readline()).strip() or b"0", 16):
            await reader.readexactly(int(size, 16) + 2)
    else:
        await reader.readexactly(int(fields.get(b"content-length", b"0")))


async def _answer(writer: asyncio.StreamWriter, case: Case) -> None:
    _write_head(writer, case.status, {"content-type": "application/json", **case.headers})
    for number, piece in enumerate(case.stream or ()):
        await writer.drain()
        await asyncio.sleep(_PIECE_S if number else 0)
        writer.write(piece.encode())
    if case.stream is None:
        writer.write(case.raw)


def _write_head(writer: asyncio.StreamWriter, status: int, headers: dict[str, str]) -> None:
    lines = [f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode())
