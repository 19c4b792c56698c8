"""aiohttp, made to do exactly what it is told: one request on the wire per call, and the answer to that request.

Everything here imports aiohttp when it is called, so that importing the package needs and costs nothing.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from ..errors import ConfigError, MissingDependencyError
from .options import HttpOptions
from .tls import trust_only, warn_unverified

if TYPE_CHECKING:
    import aiohttp
    from aiohttp.client_middlewares import ClientHandlerType
    from aiohttp.connector import Connection

_LARGE_BODY: Final = 512 * 1024
"""Above this a body is written in pieces, so that sending it does not hold up everybody else."""

_HEADER_BYTES: Final = 65_536
"""For one response header; gateways put long policies and cookies there, and aiohttp's default is 8,190."""


class StaleConnectionError(Exception):
    """A pooled connection already holds bytes that nobody asked for; nothing was sent on it."""


class UnansweredError(Exception):
    """A request that aiohttp would send a second time on its own."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


def require_aiohttp() -> None:
    """Raises `MissingDependencyError`, with the install line, where aiohttp cannot be imported."""
    try:
        import aiohttp  # noqa: F401
    except ImportError as exc:
        raise MissingDependencyError(
            f"JSON over HTTP needs aiohttp, which cannot be imported ({exc}). Run: pip install 'hivetrace-core[http]'"
        ) from exc


def open_session(options: HttpOptions, host: str, *, secure: bool) -> aiohttp.ClientSession:
    """A session for the running event loop.

    The pool has no limit of its own: the engine's slots are the only queue. A request that waited here would spend its
    attempt's time waiting, and a stream and a token refresh could wait for each other.

    Raises:
        ConfigError: `ca_bundle` cannot be read any more.
    """
    import aiohttp

    trust: Any = True
    if options.ca_bundle is not None:
        try:
            trust = trust_only(options.ca_bundle)
        except ValueError as exc:
            raise ConfigError(f"{exc}.") from None
    elif not options.verify_tls:
        trust = False
        if secure:
            warn_unverified(host)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=trust),
        cookie_jar=aiohttp.DummyCookieJar(),
        # One total bound per attempt is the engine's business.
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=options.connect_timeout),
        request_class=_guarded_request_class(),
        trust_env=False,
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
    )


def _guarded_request_class() -> type[aiohttp.ClientRequest]:
    """Requests that are never sent on a connection on which the server has spoken out of turn.

    aiohttp would take what waits there (a 408 for an idle connection, the second of two answers) for the answer to the
    next request, and from then on give every request the answer of the one before.
    """
    import aiohttp

    # A server may greet a new connection with an error before it has read anything: that is an answer.
    used: WeakSet[Any] = WeakSet()

    class GuardedRequest(aiohttp.ClientRequest):
        async def send(self, conn: Connection) -> aiohttp.ClientResponse:
            protocol = conn.protocol
            if protocol not in used:
                used.add(protocol)
            elif protocol is not None and protocol.should_close:
                raise StaleConnectionError
            return await super().send(conn)

    return GuardedRequest


async def send_once(request: aiohttp.ClientRequest, handler: ClientHandlerType) -> aiohttp.ClientResponse:
    """Middleware for methods that aiohttp calls idempotent: it would repeat them, unseen, when a connection breaks."""
    import aiohttp

    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise UnansweredError(exc) from exc


def body_payload(body: bytes, content_type: str) -> aiohttp.Payload:
    """A request body that does not block the loop, however large it is."""
    import aiohttp

    if len(body) > _LARGE_BODY:
        return aiohttp.BytesIOPayload(io.BytesIO(body), content_type=content_type)
    return aiohttp.BytesPayload(body, content_type=content_type)


async def read_body(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """The decompressed body; None as soon as it is known to be larger than the limit."""
    if (response.content_length or 0) > limit:
        return None
    content = response.content
    chunks: list[bytes] = []
    left = limit
    while chunk := await content.readany():
        left -= len(chunk)
        if left < 0:
            return None
        chunks.append(chunk)
        if content.at_eof():
            break
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
