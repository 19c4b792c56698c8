"""Every exception that aiohttp's client can raise has its place."""

import socket
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from hivetrace_core.http import transport_error

WHERE = "https://api.example:8443"
SECRET = URL("https://me:secret@api.example:8443/v1?token=secret")
KEY = ConnectionKey("api.example", 8443, True, True, None, None, None)
INFO = aiohttp.RequestInfo(SECRET, "POST", CIMultiDictProxy(CIMultiDict({"Authorization": "secret"})), SECRET)
REFUSED = OSError(111, "Connect call failed ('10.0.0.1', 8443)")


def connector(cls: Any) -> Callable[[], BaseException]:
    return lambda: cls(KEY, REFUSED)


def response(cls: Any, status: int = 400) -> Callable[[], BaseException]:
    return lambda: cls(INFO, (), status=status, message="secret", headers=CIMultiDict({"X": "secret"}))


def tls(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] secret (_ssl.c:1006)")
    error.reason = reason
    return error


def certificate() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "secret")
    error.verify_code, error.verify_message = 18, "self-signed certificate"
    return error


# Class -> how to make one, and the kind, retryable or not, and words of the error that it becomes.
CASES: dict[type[BaseException], tuple[Callable[[], BaseException], str, bool, str]] = {
    client_exceptions.ClientError: (lambda: aiohttp.ClientError("secret"), "connection", True, "connection was closed"),
    client_exceptions.ClientConnectionError: (
        lambda: aiohttp.ClientConnectionError("secret"),
        "connection",
        True,
        "connection was closed",
    ),
    client_exceptions.ClientConnectionResetError: (
        lambda: aiohttp.ClientConnectionResetError("secret"),
        "connection",
        True,
        "broke (connection reset)",
    ),
    client_exceptions.ClientOSError: (
        lambda: aiohttp.ClientOSError(32, "Can not write request body for secret"),
        "connection",
        True,
        "(Broken pipe)",
    ),
    client_exceptions.ClientConnectorError: (
        connector(aiohttp.ClientConnectorError),
        "connection",
        True,
        "could not connect (Connection refused)",
    ),
    client_exceptions.ClientProxyConnectionError: (
        connector(aiohttp.ClientProxyConnectionError),
        "connection",
        True,
        "the proxy api.example:8443 (Connection refused)",
    ),
    client_exceptions.UnixClientConnectorError: (
        lambda: client_exceptions.UnixClientConnectorError("/secret", KEY, REFUSED),
        "connection",
        True,
        "could not connect",
    ),
    client_exceptions.ClientSSLError: (connector(aiohttp.ClientSSLError), "connection", True, "could not connect"),
    client_exceptions.ClientConnectorDNSError: (
        lambda: aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "Name or service not known")),
        "connection",
        True,
        "the host name api.example was not found (Name or service not known)",
    ),
    client_exceptions.ClientConnectorSSLError: (
        lambda: aiohttp.ClientConnectorSSLError(KEY, tls("WRONG_VERSION_NUMBER")),
        "connection",
        False,
        "WRONG_VERSION_NUMBER",
    ),
    client_exceptions.ClientConnectorCertificateError: (
        lambda: aiohttp.ClientConnectorCertificateError(KEY, certificate()),
        "connection",
        False,
        "(self-signed certificate); if a private CA has signed it, set ca_bundle",
    ),
    client_exceptions.ConnectionTimeoutError: (
        lambda: aiohttp.ConnectionTimeoutError(f"Connection timeout to host {SECRET}"),
        "timeout",
        True,
        "connect_timeout",
    ),
    client_exceptions.SocketTimeoutError: (
        lambda: aiohttp.SocketTimeoutError("secret"),
        "timeout",
        True,
        "stopped sending",
    ),
    client_exceptions.ServerTimeoutError: (
        lambda: aiohttp.ServerTimeoutError("secret"),
        "timeout",
        True,
        "stopped sending",
    ),
    client_exceptions.ServerConnectionError: (
        lambda: aiohttp.ServerConnectionError("secret"),
        "connection",
        True,
        "connection was closed",
    ),
    client_exceptions.ServerDisconnectedError: (
        lambda: aiohttp.ServerDisconnectedError("secret"),
        "connection",
        True,
        "without an answer",
    ),
    client_exceptions.ServerFingerprintMismatch: (
        lambda: aiohttp.ServerFingerprintMismatch(b"secret", b"secret", "secret", 1),
        "connection",
        False,
        "pinned",
    ),
    client_exceptions.ClientResponseError: (
        response(aiohttp.ClientResponseError),
        "response_format",
        False,
        "not HTTP",
    ),
    client_exceptions.ContentTypeError: (response(aiohttp.ContentTypeError), "response_format", False, "not HTTP"),
    client_exceptions.WSServerHandshakeError: (
        response(aiohttp.WSServerHandshakeError),
        "response_format",
        False,
        "not HTTP",
    ),
    client_exceptions.TooManyRedirects: (response(aiohttp.TooManyRedirects, 302), "not_found", False, "redirects"),
    client_exceptions.ClientHttpProxyError: (
        response(aiohttp.ClientHttpProxyError, 407),
        "authentication",
        False,
        "with status 407",
    ),
    client_exceptions.ClientPayloadError: (
        lambda: aiohttp.ClientPayloadError("secret"),
        "connection",
        True,
        "cut off before its end",
    ),
    client_exceptions.InvalidURL: (lambda: aiohttp.InvalidURL(SECRET), "bad_request", False, "does not allow"),
    client_exceptions.InvalidUrlClientError: (
        lambda: aiohttp.InvalidUrlClientError(SECRET),
        "bad_request",
        False,
        "does not allow",
    ),
    client_exceptions.NonHttpUrlClientError: (
        lambda: aiohttp.NonHttpUrlClientError("secret"),
        "bad_request",
        False,
        "does not allow",
    ),
    client_exceptions.RedirectClientError: (
        lambda: aiohttp.RedirectClientError("secret"),
        "not_found",
        False,
        "redirects",
    ),
    client_exceptions.InvalidUrlRedirectClientError: (
        lambda: aiohttp.InvalidUrlRedirectClientError(SECRET),
        "not_found",
        False,
        "redirects",
    ),
    client_exceptions.NonHttpUrlRedirectClientError: (
        lambda: aiohttp.NonHttpUrlRedirectClientError("secret"),
        "not_found",
        False,
        "redirects",
    ),
    client_exceptions.WSMessageTypeError: (
        lambda: client_exceptions.WSMessageTypeError("secret"),
        "response_format",
        False,
        "not HTTP",
    ),
}
if hasattr(client_exceptions, "UploadAbortedError"):
    CASES[client_exceptions.UploadAbortedError] = (
        lambda: client_exceptions.UploadAbortedError("secret"),
        "connection",
        True,
        "before it was sent",
    )


def test_no_exception_of_aiohttps_client_is_forgotten() -> None:
    exported = {
        thing
        for module in (aiohttp, client_exceptions)
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, BaseException)
        and thing.__module__ == client_exceptions.__name__
    }

    assert exported == set(CASES)


@pytest.mark.parametrize("cls", CASES, ids=lambda cls: cls.__name__)
def test_each_becomes_one_kind_without_its_secrets(cls: type[BaseException]) -> None:
    make, kind, retryable, words = CASES[cls]

    error = transport_error(make(), where=WHERE)

    assert (error.kind, error.retryable) == (kind, retryable)
    assert error.message.startswith(f"{WHERE}: ")
    assert words in error.message
    assert "secret" not in error.message
    assert "10.0.0.1" not in error.message


@pytest.mark.parametrize(
    ("exc", "kind", "words"),
    [
        (http_exceptions.BadStatusLine("secret"), "response_format", "not HTTP"),
        (http_exceptions.LineTooLong(b"secret", 10), "response_format", "not HTTP"),
        (ConnectionResetError(104, "secret"), "connection", "(Connection reset by peer)"),
        (ConnectionResetError("secret"), "connection", "(connection reset)"),
        (OSError("secret"), "connection", "(OSError)"),
        (aiohttp.ClientOSError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] secret"), "connection", "(TLSV13_ALERT_"),
        (TimeoutError(), "timeout", "stopped sending"),
        (certificate(), "connection", "set ca_bundle"),
        (tls("SSLV3_ALERT_HANDSHAKE_FAILURE"), "connection", "TLS failed (SSLV3_ALERT_HANDSHAKE_FAILURE)"),
        (ssl.SSLEOFError(8, "secret"), "connection", "TLS failed (handshake failed)"),
        (UnicodeEncodeError("utf-8", "secret", 0, 1, "secret"), "bad_request", "does not allow"),
        (ValueError("Newline in secret"), "bad_request", "does not allow"),
        (KeyError("secret"), "unexpected", "unexpected KeyError"),
        (response(aiohttp.ClientHttpProxyError, 403)(), "permission", "does not let this host through"),
        (response(aiohttp.ClientHttpProxyError, 503)(), "connection", "check the option proxy"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_lies_below_aiohttp_has_its_place_too(exc: BaseException, kind: str, words: str) -> None:
    error = transport_error(exc, where=WHERE)

    assert error.kind == kind
    assert words in error.message
    assert "secret" not in error.message


def test_a_body_that_cannot_be_decompressed_is_told_from_one_that_is_cut() -> None:
    cut, packed = aiohttp.ClientPayloadError("400"), aiohttp.ClientPayloadError("400")
    cut.__cause__ = http_exceptions.TransferEncodingError("secret")
    packed.__cause__ = http_exceptions.ContentEncodingError("secret")

    assert transport_error(cut, where=WHERE).kind == "connection"
    assert transport_error(packed, where=WHERE).kind == "response_format"


def test_certificates_of_a_proxy_name_the_proxy() -> None:
    key = KEY._replace(host="proxy.example", port=3128)
    error = transport_error(aiohttp.ClientConnectorCertificateError(key, certificate()), where=WHERE)

    assert error.message.startswith(f"{WHERE}, by way of proxy.example:3128: ")


def test_an_ipv6_server_is_not_taken_for_a_proxy() -> None:
    error = transport_error(
        aiohttp.ClientConnectorCertificateError(KEY._replace(host="::1"), certificate()), where="https://[::1]:8443"
    )

    assert error.message.startswith("https://[::1]:8443: ")
