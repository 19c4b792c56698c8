"""The one place where aiohttp's exceptions become `ModelError`s.

Messages are written here from scratch: aiohttp's own show whole URLs, and its exceptions carry the request's headers.
"""

from __future__ import annotations

import os
import re
from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from ..errors import ErrorKind, ModelError

if TYPE_CHECKING:
    import ssl

    import aiohttp

_X509_EXPIRED: Final = 10
_X509_HOSTNAME_MISMATCH: Final = 62
_X509_IP_MISMATCH: Final = 64

UNREACHABLE: Final = "unreachable"
UNTRUSTED: Final = "untrusted_certificate"

_TLS_REASON: Final = re.compile(r"\[SSL: (\w+)\]")

_NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL"})
"""Reasons of a failed handshake that another attempt cannot cure: one side speaks no TLS, or another version of it."""

_Rule: TypeAlias = tuple[tuple[type[BaseException], ...], str, ErrorKind]


def transport_error(exc: BaseException, *, where: str) -> ModelError:
    """The `ModelError` that a failure of the transport amounts to.

    Args:
        exc: What aiohttp raised.
        where: The server, as scheme, host and port; never a path, a query or credentials.

    Returns:
        Kind `connection` (retryable, unless TLS says no for good), `timeout`, `bad_request` for a request that cannot
        be sent at all, `authentication` or `permission` from a proxy, `response_format` for an answer that is not HTTP
        or cannot be decompressed (something else listens there, and the next attempt would meet it too).
        `unexpected` for an exception that is not the transport's. `code` is `UNREACHABLE` where there was no connection
        to the server itself, and `UNTRUSTED` where its certificate leads to no CA that is trusted here.
    """
    return _while_connecting(exc, where) or _while_exchanging(exc, where)


def _while_connecting(exc: BaseException, where: str) -> ModelError | None:
    import ssl

    import aiohttp

    if isinstance(exc, ssl.SSLCertVerificationError):
        return _certificate(exc, _peer(exc, where))
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        return _proxy_refusal(exc, where)
    if isinstance(exc, ssl.SSLError):
        return _handshake(exc, _peer(exc, where))
    if isinstance(exc, aiohttp.ServerFingerprintMismatch):
        return _error(where, "the server's certificate is not the pinned one", "connection", retryable=False)
    if not isinstance(exc, aiohttp.ClientConnectorError):
        return None
    reason = _reason(exc.os_error)
    if isinstance(exc, aiohttp.ClientProxyConnectionError):
        text = f"could not connect to the proxy {exc.host}:{exc.port} ({reason}); check the option proxy"
    elif isinstance(exc, aiohttp.ClientConnectorDNSError):
        text = f"the host name {exc.host} was not found ({reason}); check base_url, proxy and the network"
    else:
        text = f"could not connect ({reason}); check base_url and the network"
        return _error(where, text, "connection", code=UNREACHABLE)
    return _error(where, text, "connection")


def _while_exchanging(exc: BaseException, where: str) -> ModelError:
    import aiohttp

    if isinstance(exc, aiohttp.ConnectionTimeoutError):
        text = "no connection within connect_timeout; check base_url, proxy"
        return _error(where, text, "timeout", code=UNREACHABLE)
    for classes, text, kind in _rules():
        if isinstance(exc, classes):
            if isinstance(exc.__cause__, _undecodable()):
                return _error(where, "the answer could not be decompressed", "response_format")
            return _error(where, text, kind)
    if isinstance(exc, OSError):
        return _error(where, f"the connection broke ({_reason(exc)})", "connection")
    if isinstance(exc, aiohttp.ClientError):
        return _error(where, "the connection was closed", "connection")
    return ModelError(f"{where}: unexpected {type(exc).__name__}", kind="unexpected")


@cache
def _rules() -> tuple[_Rule, ...]:
    """Failures that need no closer look; the first that fits counts."""
    import aiohttp
    from aiohttp.http_exceptions import HttpProcessingError

    # Newer than the oldest aiohttp that will do.
    aborted = tuple(filter(None, [getattr(aiohttp, "UploadAbortedError", None)]))
    elsewhere = (aiohttp.TooManyRedirects, aiohttp.RedirectClientError)
    not_http = (aiohttp.ClientResponseError, HttpProcessingError, aiohttp.WSMessageTypeError)
    unsendable = (aiohttp.NonHttpUrlClientError, ValueError)
    return (
        ((TimeoutError,), "the server stopped sending", "timeout"),
        ((aiohttp.ClientPayloadError,), "the answer was cut off before its end", "connection"),
        ((aiohttp.ServerDisconnectedError,), "the server closed the connection without an answer", "connection"),
        (elsewhere, "the server redirects; set base_url to the final address", "not_found"),
        (not_http, "what came back is not HTTP; check the scheme and the port of base_url", "response_format"),
        (unsendable, "the request's URL or a header has characters that HTTP does not allow", "bad_request"),
        (aborted, "the request was cut off before it was sent", "connection"),
    )


def _undecodable() -> type[Exception]:
    from aiohttp.http_exceptions import ContentEncodingError

    return ContentEncodingError


def _certificate(exc: ssl.SSLCertVerificationError, where: str) -> ModelError:
    cause = getattr(exc, "certificate_error", exc)  # aiohttp wraps the error without copying its attributes
    verdict, code = getattr(cause, "verify_code", 0), None
    if verdict in (_X509_HOSTNAME_MISMATCH, _X509_IP_MISMATCH):
        remedy = "check base_url: the certificate is for another host"
    elif verdict == _X509_EXPIRED:
        remedy = "its owner has to renew it, or this machine's clock is wrong"
    else:
        remedy = "if a private CA has signed it, set ca_bundle to that CA's PEM file"
        code = UNTRUSTED
    why = getattr(cause, "verify_message", "") or "verification failed"
    text = f"the server's certificate was not accepted ({why}); {remedy}"
    return _error(where, text, "connection", retryable=False, code=code)


def _handshake(exc: ssl.SSLError, where: str) -> ModelError:
    reason = getattr(getattr(exc, "os_error", exc), "reason", None) or "handshake failed"
    final = reason in _NOT_TLS
    remedy = "; check the scheme and the port of base_url" if final else ""
    return _error(where, f"TLS failed ({reason}){remedy}", "connection", retryable=not final)


def _proxy_refusal(exc: aiohttp.ClientHttpProxyError, where: str) -> ModelError:
    kind: ErrorKind = "connection"
    remedy = "check the option proxy"
    if exc.status == 407:
        kind, remedy = "authentication", "put user and password into the option proxy (http://user:password@host:port)"
    elif 400 <= exc.status < 500:
        kind, remedy = "permission", "the proxy does not let this host through"
    error = _error(where, f"the proxy refused the connection with status {exc.status}; {remedy}", kind)
    error.status = exc.status
    return error


def _peer(exc: BaseException, where: str) -> str:
    """Whom the failed handshake was with: the server, or the proxy in front of it."""
    host = getattr(exc, "host", None)
    if not host or host == urlsplit(where).hostname:
        return where
    return f"{where}, by way of {host}:{getattr(exc, 'port', '')}"


def _reason(exc: OSError) -> str:
    """Why the system refused; its texts, but not its addresses and paths."""
    import socket

    text = exc.strerror or ""
    alert = _TLS_REASON.search(text)
    if alert is not None:
        return alert[1]
    if isinstance(exc, socket.gaierror) and text:
        return text
    if exc.errno is not None and exc.errno > 0:
        return os.strerror(exc.errno)
    return "connection reset" if isinstance(exc, ConnectionResetError) else type(exc).__name__


def _error(
    where: str, text: str, kind: ErrorKind, *, retryable: bool | None = None, code: str | None = None
) -> ModelError:
    return ModelError(f"{where}: {text}", kind=kind, retryable=retryable, code=code)
