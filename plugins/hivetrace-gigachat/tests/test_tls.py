"""Certificates: verified on both hosts, and one clear error that says where the root CA is to be had."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from hivetrace_gigachat import GigaChatModel

from hivetrace_core import ModelError

KEY = "Y2xpZW50LWlkOmNsaWVudC1zZWNyZXQtMTIz"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "root.pem"
    authority.cert_pem.write_to_path(path)
    return path


async def _both(request: web.Request) -> web.StreamResponse:
    """The token endpoint and the chat service."""
    if request.path == "/oauth":
        return web.json_response({"access_token": "token-1"})
    return web.json_response({"choices": [{"message": {"content": "Да"}, "finish_reason": "stop"}]})


@pytest.fixture
def secure(serve: Any, authority: trustme.CA) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return str(serve(_both, context))


def model(api: str, auth: str, **options: Any) -> GigaChatModel:
    return GigaChatModel("GigaChat", credentials=KEY, base_url=f"{api}/v1", auth_url=f"{auth}/oauth", **options)


def asked(made: GigaChatModel) -> Any:
    with made:
        return made.invoke("Привет")


def test_a_bundle_serves_for_both_hosts(secure: str, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(model(secure, secure, ca_bundle=bundle))["content"] == "Да"
    assert asked(model(secure, secure, ca_bundle_file=bundle))["content"] == "Да"

    monkeypatch.setenv("GIGACHAT_CA_BUNDLE_FILE", str(bundle))
    assert asked(model(secure, secure))["content"] == "Да"


@pytest.mark.parametrize("which", ["token endpoint", "chat service"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_chain_that_is_not_trusted_is_one_error_that_says_where_the_root_is(
    secure: str, serve: Any, which: str, stream: bool
) -> None:
    plain = serve(_both)
    api, auth = (plain, secure) if which == "token endpoint" else (secure, plain)
    with model(api, auth, max_attempts=5) as made, pytest.raises(ModelError) as caught:
        list(made.stream("Привет")) if stream else made.invoke("Привет")

    error = caught.value
    assert (error.kind, error.retryable, error.attempts) == ("connection", False, 1)
    assert secure in error.message
    assert "certificate was not accepted" in error.message
    assert "Russian Trusted Root CA" in error.message
    assert "https://www.gosuslugi.ru/crt" in error.message
    assert "GIGACHAT_CA_BUNDLE_FILE" in error.message
    assert error.message.startswith("No access token: ") is (which == "token endpoint")


def test_a_bundle_without_the_right_root_is_the_same_error(secure: str, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)

    with pytest.raises(ModelError, match="in place of the system's CAs"):
        asked(model(secure, secure, ca_bundle=other))


def test_a_certificate_of_another_host_is_no_matter_of_the_root(
    serve: Any, authority: trustme.CA, bundle: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("another.example").configure_cert(context)
    address = serve(_both, context)

    with pytest.raises(ModelError, match="check auth_url: the certificate is for another host") as caught:
        asked(model(address, address, ca_bundle=bundle))
    assert "gosuslugi" not in caught.value.message


def test_verification_can_be_switched_off_with_a_warning(secure: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="hivetrace_core.http"):
        assert asked(model(secure, secure, verify_ssl_certs=False))["content"] == "Да"

    assert "not verified" in caplog.text
