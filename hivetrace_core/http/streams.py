"""Answers that arrive in pieces: server-sent events and lines.

The parsers do no I/O: bytes go in as the network cut them, whole events and lines come out.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Generic, NamedTuple, Protocol, Self, TypeVar

from ..responses import Reply

T = TypeVar("T")

_SSE_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class ServerEvent(NamedTuple):
    """One server-sent event.

    Attributes:
        data: Its `data` lines, joined by line feeds.
        event: Its type; `message` where it names none.
    """

    data: str
    event: str = "message"


class Parser(Protocol[T]):
    """Turns bytes, cut anywhere, into items.

    Attributes:
        accept: What to ask the server for.
    """

    accept: str

    def reads(self, media_type: str) -> bool:
        """Whether a body of this type is a stream of such items, and not one whole answer."""

    def feed(self, chunk: bytes) -> list[T]:
        """The items that are complete with these bytes."""

    def end(self) -> list[T]:
        """What the bytes left over at a proper end of the body amount to."""


class EventParser:
    """Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    Lines end with CRLF, LF or CR; comments and unknown fields are ignored; an event without data, and one that the end
    of the body cuts off, is none.
    """

    accept = "text/event-stream"

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._first = True
        self._skip_lf = False
        self._data: list[str] = []
        self._event = ""

    def reads(self, media_type: str) -> bool:
        """The right type, and what servers send that name none."""
        return media_type in ("text/event-stream", "text/plain", "application/octet-stream", "")

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that are complete with these bytes."""
        if self._skip_lf and chunk:
            # The line was already ended by the CR at the end of the chunk before.
            self._skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        if b"\n" not in chunk and b"\r" not in chunk:
            if chunk:
                self._rest.append(chunk)
            return []
        self._skip_lf = chunk.endswith(b"\r")
        *lines, rest = _SSE_LINE_END.split(b"".join((*self._rest, chunk)))
        self._rest = [rest] if rest else []
        return [event for line in lines if (event := self._line(line)) is not None]

    def end(self) -> list[ServerEvent]:
        """Nothing: what has not ended is no event."""
        return []

    def _line(self, raw: bytes) -> ServerEvent | None:
        # Whole lines only are decoded: no chunk boundary can fall inside a character.
        line = raw.decode("utf-8", "replace")
        if self._first:
            self._first = False
            line = line.removeprefix("\ufeff")
        if not line:
            data, event = self._data, self._event
            self._data, self._event = [], ""
            return ServerEvent("\n".join(data), event or "message") if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        return None


class LineParser:
    """Lines of text that end with LF or CRLF, empty ones left out; the last one may lack its end (NDJSON)."""

    accept = "application/x-ndjson, application/json"

    def __init__(self) -> None:
        self._rest: list[bytes] = []

    def reads(self, media_type: str) -> bool:
        """Anything but the page of a gateway or a login."""
        return media_type not in ("text/html", "application/xhtml+xml")

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that are complete with these bytes."""
        if b"\n" not in chunk:
            if chunk:
                self._rest.append(chunk)
            return []
        *lines, rest = b"".join((*self._rest, chunk)).split(b"\n")
        self._rest = [rest] if rest else []
        return [line for raw in lines if (line := _text(raw))]

    def end(self) -> list[str]:
        """The last line, where it lacks its end."""
        line = _text(b"".join(self._rest))
        return [line] if line else []


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").strip("\r \t")


class ReplyStream(Generic[T]):
    """A response in pieces, or the whole reply where the server gave no stream.

        async with client.sse("/chat/completions", body) as stream:
            if stream.reply is not None:
                ...                             # an error, a block, an answer in one piece: classify it
            async for event in stream:
                ...

    Iterating raises `ModelError`: kind `connection` where the body is cut, `response_format` where it grows over
    `max_response_bytes`. With a `reply`, there is nothing to iterate over.

    Attributes:
        status: HTTP status.
        headers: Response headers, names in lower case.
        reply: The whole reply, when the status was not 2xx or the content was no stream; else None.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[bytes]],
        parser: Parser[T],
        *,
        status: int,
        headers: Mapping[str, str],
        reply: Reply | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.reply = reply
        self._read = read
        self._parser = parser
        self._ready: deque[T] = deque()
        self._ended = reply is not None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        # No async generator: one that is left early would be closed at some later time, by the garbage collector.
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            chunk = await self._read()
            if chunk:
                self._ready.extend(self._parser.feed(chunk))
            else:
                self._ended = True
                self._ready.extend(self._parser.end())
        return self._ready.popleft()
