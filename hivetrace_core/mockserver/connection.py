"""One connection: parses requests, however they are cut, and answers them in order."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import Any, Final, TypeAlias

from .playing import play
from .service import Plan, Service
from .wire import CONTINUE, LAST_CHUNK, Headers, chunk, head

MAX_BODY: Final = 64 * 1024 * 1024
"""Bytes of a request's body."""

_BUFFER: Final = 16 * 1024
_MOST_WAITING: Final = 64  # requests sent ahead on one connection before it is read from no further
_Request: TypeAlias = tuple[str, bytes, Headers, bytes, bool]  # method, target, headers, body, whether to keep alive
_RST: Final = struct.pack("ii", 1, 0)


class Connection(asyncio.BufferedProtocol):
    """Server side of one connection.

    Args:
        service: Says what to answer.
        live: The connections that are open; this one is in it while it is.
        make_parser: httptools' class of request parsers.
        errors: What such a parser raises.
    """

    def __init__(self, service: Service, live: set[Connection], make_parser: Any, errors: type[Exception]) -> None:
        self._service = service
        self._live = live
        self._headers: dict[bytes, bytes] = {}
        # The parser calls this for each header; of equal ones the last counts. No method, for it is called so often.
        self.on_header = self._headers.__setitem__
        self._parser = make_parser(self)
        # An own buffer: for an ordinary protocol asyncio allocates 256 KiB for each read, which outside of the main
        # thread costs more than the rest of a request.
        self._buffer = memoryview(bytearray(_BUFFER))
        self._errors = errors
        self._transport: Any = None
        self._waiting: deque[_Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False  # a request is being answered, or is about to be
        self._counted = False  # and it is counted as in flight
        self._closing = False
        self._clogged = False
        self._doomed = False
        self._target = b""
        self._body: list[bytes] = []
        self._size = 0

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = transport
        self._live.add(self)
        self._service.records.connections += 1
        self._service.records.open_connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, or we are."""
        self._live.discard(self)
        self._closing = True
        self._waiting.clear()
        self._service.records.open_connections -= 1
        if self._counted:
            self._counted = False
            self._service.records.gone(answered=False)
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what has come; whole requests are handled on the way."""
        if self._closing:
            return
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except self._errors:
            if not self._closing:
                self._refuse(400, b"This is not an HTTP/1.1 request that the mock server understands.\n")

    def pause_writing(self) -> None:
        """The client reads too slowly: answer and read nothing more until it has caught up."""
        self._clogged = True
        self._regulate()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._clogged = False
        self._regulate()
        if not self._busy:
            self._take_next()

    # The parser's callbacks

    def on_message_begin(self) -> None:
        """A request begins."""
        self._target = b""
        self._headers.clear()
        self._body = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._target += url

    def on_headers_complete(self) -> None:
        """The body is next."""
        if self._parser.should_upgrade():
            self._refuse(400, b"The mock server speaks HTTP/1.1 only.\n")
        elif (b"Expect" in self._headers or b"expect" in self._headers) and not self._closing:
            self._transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._size += len(body)
        if self._size <= MAX_BODY:
            self._body.append(body)
        elif not self._closing:
            self._refuse(413, b"The request's body is too large.\n")

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._closing:
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        method = self._parser.get_method().decode("ascii")
        request = (method, self._target, Headers(tuple(self._headers.items())), body, self._parser.should_keep_alive())
        if self._busy or self._clogged:
            self._waiting.append(request)
            self._regulate()
        else:
            self._answer(request)

    # Answering

    def _answer(self, request: _Request) -> None:
        method, target, headers, body, keep_alive = request
        if self._doomed:
            self._service.dropped(method, target, headers)
            self.close()
            return
        plan = self._service.plan(method, target, headers, body)
        self._busy = True
        self._counted = plan.number > 0  # the server's own pages are not
        if plan.fault is None and plan.pace is None:
            if not plan.delay:
                self._send(plan, method, keep_alive)
                return
            self._timer = asyncio.get_running_loop().call_later(plan.delay, self._send, plan, method, keep_alive)
            return
        self._task = asyncio.get_running_loop().create_task(self._play(plan, keep_alive))

    def _send(self, plan: Plan, method: str, keep_alive: bool) -> None:
        """Everything at once, which is the common case."""
        self._timer = None
        status, headers, body = plan.reply
        if plan.pieces is None:
            start = head(status, headers, number=plan.number, length=len(body), close=not keep_alive)
            self._transport.write(start if method == "HEAD" else start + body)
        else:
            start = head(status, headers, number=plan.number, length=None, close=not keep_alive)
            if keep_alive:
                self._transport.write(b"".join([start, *map(chunk, plan.pieces), LAST_CHUNK]))
            else:
                self._transport.write(b"".join([start, *plan.pieces]))
        self._answered(keep_alive=keep_alive)

    async def _play(self, plan: Plan, keep_alive: bool) -> None:
        keep_alive = await play(plan, self, keep_alive=keep_alive)
        self._task = None
        self._answered(keep_alive=keep_alive)

    def _answered(self, *, keep_alive: bool) -> None:
        self._busy = False
        if self._counted:
            self._counted = False
            self._service.records.gone(answered=True)
        if self._closing:
            return
        if not keep_alive:
            self.close()
        elif not self._clogged:
            self._take_next()

    def _take_next(self) -> None:
        if not self._waiting or self._closing:
            return
        request = self._waiting.popleft()
        self._regulate()
        # Later, so that a thousand requests sent ahead are no thousand levels of calls.
        self._busy = True
        asyncio.get_running_loop().call_soon(self._next, request)

    def _next(self, request: _Request) -> None:
        if not self._closing:
            self._answer(request)

    def _refuse(self, status: int, text: bytes) -> None:
        start = head(status, {"Content-Type": "text/plain"}, number=0, length=len(text), close=True)
        self._transport.write(start + text)
        self.close()

    def _regulate(self) -> None:
        if self._closing:
            return
        if self._clogged or len(self._waiting) > _MOST_WAITING:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # For `play`, and for the server when it stops

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self._closing:
            self._transport.write(data)

    def doom(self) -> None:
        """Close instead of answering the next request."""
        self._doomed = True

    def close(self) -> None:
        """Close when everything is sent."""
        self._closing = True
        self._transport.close()

    def reset(self) -> None:
        """Close at once, with a TCP reset."""
        self._closing = True
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self._transport.abort()
