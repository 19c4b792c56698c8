"""`JsonHttp`: one provider's connections in one event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

from .._version import __version__
from ..errors import ConfigError, ModelError
from ..responses import Reply
from .bodies import json_bytes, payload_of
from .failures import transport_error
from .headers import check_header, lower_names, merged
from .options import HttpOptions, check_base_url
from .session import (
    StaleConnectionError,
    UnansweredError,
    body_payload,
    open_session,
    read_body,
    require_aiohttp,
    send_once,
)
from .statuses import error_kind_for_status
from .streams import EventParser, LineParser, Parser, ReplyStream, ServerEvent

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")

_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"


def _defaults(accept: str, encoding: str) -> dict[str, str]:
    return {"Accept": accept, "Accept-Encoding": encoding, "User-Agent": f"hivetrace/{__version__}"}


class JsonHttp:
    """JSON over HTTP to one server, for one event loop. Made inside that loop, closed there with `aclose`.

    Connections are kept alive and their number follows the requests in flight. Every call makes exactly one request: no
    retries, no redirects (the key would follow them), no cookies, nothing from the environment. A status is no error
    here: the `Reply` says what came, whatever it is.

    Args:
        options: The provider's options.
        base_url: Another server than `options.base_url`, such as the one that hands out tokens.
        headers: For every request; the user's `extra_headers` replace those of the same name.
        extras: Whether the user's `extra_headers` and `extra_body` go along; False for a second server.

    Raises:
        ConfigError: a URL, a header or `ca_bundle` cannot be used.
        MissingDependencyError: aiohttp is not installed.
    """

    def __init__(
        self,
        options: HttpOptions,
        *,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        extras: bool = True,
    ) -> None:
        require_aiohttp()
        import aiohttp
        from aiohttp.http_exceptions import HttpProcessingError

        try:
            self._base = check_base_url(options.base_url if base_url is None else base_url).rstrip("/")
            for name, value in (headers or {}).items():
                check_header("headers", name, value)
        except ValueError as exc:
            raise ConfigError(f"{exc}.") from None
        parts = urlsplit(self._base)
        self._where = f"{parts.scheme}://{parts.netloc}"
        self._proxy = options.proxy
        self._max_bytes = options.max_response_bytes
        self._extra_body = options.extra_body if extras else {}
        # Per request and not per session: aiohttp shows a session's headers, keys included, to the proxy as well.
        self._own = merged(headers or {}, options.extra_headers if extras else {})
        self._headers = merged(_defaults(_JSON, "gzip, deflate"), self._own)
        self._failures = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, RuntimeError)
        self._session = open_session(options, parts.netloc, secure=parts.scheme == "https")

    async def post(self, path: str, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> Reply:
        """Post JSON.

        Args:
            path: Below `base_url`; may have a query. Ids inside it are the caller's to quote.
            body: A JSON object; `extra_body` goes over it.
            headers: For this request, over all others.

        Returns:
            The reply as it came: status, headers in lower case, and the payload (decoded JSON, the text of anything
            else, None where the body is empty).

        Raises:
            ModelError: there is no reply. See `transport_error`; also `bad_request` for a body that JSON cannot
                express, `response_format` for an answer over `max_response_bytes`, `not_found` for a redirect.
        """
        return await self._exchange("POST", path, self._encode(body), _JSON, headers)

    async def post_form(
        self, path: str, fields: Mapping[str, str], *, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Post a form (`application/x-www-form-urlencoded`), as token endpoints want it. Otherwise as `post`."""
        return await self._exchange("POST", path, urlencode(fields).encode("ascii"), _FORM, headers)

    async def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """Get, otherwise as `post`."""
        return await self._exchange("GET", path, None, "", headers)

    def sse(
        self, path: str, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[ReplyStream[ServerEvent]]:
        """Post JSON and read server-sent events: `async with client.sse(...) as stream`. See `ReplyStream`."""
        return self._stream(path, body, headers, EventParser())

    def lines(
        self, path: str, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[ReplyStream[str]]:
        """Post JSON and read lines (NDJSON): `async with client.lines(...) as stream`. See `ReplyStream`."""
        return self._stream(path, body, headers, LineParser())

    async def aclose(self) -> None:
        """Close all connections; may be called again."""
        await self._session.close()

    # One request

    async def _exchange(
        self, method: str, path: str, body: bytes | None, content_type: str, headers: Mapping[str, str] | None
    ) -> Reply:
        own = self._headers if headers is None else merged(self._headers, headers)
        response = await self._open(method, path, body, content_type, own)
        try:
            return await self._reply(response)
        finally:
            # A body that was not read to its end takes its connection with it.
            response.release()

    @asynccontextmanager
    async def _stream(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None, parser: Parser[T]
    ) -> AsyncGenerator[ReplyStream[T], None]:
        # Uncompressed: a gateway that compresses collects pieces first.
        own = merged(_defaults(parser.accept, "identity"), self._own, headers or {})
        response = await self._open("POST", path, self._encode(body), _JSON, own)
        try:
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            streams = 200 <= response.status < 300 and parser.reads(media_type)
            yield ReplyStream(
                self._chunk_reader(response),
                parser,
                status=response.status,
                headers=lower_names(response.headers.items()),
                reply=None if streams else await self._reply(response),
            )
        finally:
            response.release()

    def _chunk_reader(self, response: aiohttp.ClientResponse) -> Callable[[], Awaitable[bytes]]:
        read = 0

        async def next_chunk() -> bytes:
            nonlocal read
            try:
                chunk = await response.content.readany()
            except self._failures as exc:
                self._fail(exc)
            read += len(chunk)
            if read > self._max_bytes:
                raise self._too_large(response.status)
            return chunk

        return next_chunk

    async def _open(
        self, method: str, path: str, body: bytes | None, content_type: str, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """Send the request and wait for the head of an answer that is no redirect."""
        while True:
            try:
                response = await self._session.request(
                    method,
                    f"{self._base}/{path.lstrip('/')}" if path else self._base,
                    data=None if body is None else body_payload(body, content_type),
                    headers=headers,
                    allow_redirects=False,
                    proxy=self._proxy,
                    middlewares=(send_once,) if method == "GET" else None,
                )
            except StaleConnectionError:
                continue  # that connection is gone, and nothing was sent
            except UnansweredError as exc:
                self._fail(exc.cause)
            except self._failures as exc:
                self._fail(exc)
            if 300 <= response.status < 400:
                response.close()
                raise self._redirected(response)
            return response

    async def _reply(self, response: aiohttp.ClientResponse) -> Reply:
        try:
            body = await read_body(response, self._max_bytes)
        except self._failures as exc:
            self._fail(exc)
        if body is None:
            raise self._too_large(response.status)
        headers = lower_names(response.headers.items())
        return Reply(payload_of(body, headers.get("content-type", "")), response.status, headers, size=len(body))

    def _encode(self, body: Mapping[str, Any]) -> bytes:
        return json_bytes({**body, **self._extra_body} if self._extra_body else body)

    # What can go wrong

    def _fail(self, exc: Exception) -> NoReturn:
        if isinstance(exc, RuntimeError):
            # aiohttp's "session is closed"; any other one is a fault of the program and not of the network.
            if not self._session.closed:
                raise exc
            raise ModelError(f"{self._where}: the client was closed meanwhile", kind="connection") from None
        error = transport_error(exc, where=self._where)
        try:
            raise error from None
        finally:
            # aiohttp's exceptions show the URL with its query, and hold the request's headers: not even a debugger or
            # an error tracker that follows hidden contexts gets them.
            error.__context__ = None

    def _too_large(self, status: int) -> ModelError:
        return ModelError(
            f"{self._where}: the answer is larger than {self._max_bytes:,} bytes; "
            "raise max_response_bytes if that is expected",
            kind="response_format",
            status=status,
        )

    def _redirected(self, response: aiohttp.ClientResponse) -> ModelError:
        try:
            target = urlsplit(urljoin(self._where, response.headers.get("Location", "")))
            port = f":{target.port}" if target.port else ""
            place = f"{target.scheme}://{target.hostname}{port}"
        except ValueError:
            place = "an unreadable address"
        if place == self._where:
            place = "another path of the same server"
        return ModelError(
            f"{self._where}: redirected with status {response.status} to {place}; redirects are not followed, "
            "so that the key stays here. Set base_url to the final address",
            kind=error_kind_for_status(response.status),
            status=response.status,
        )
