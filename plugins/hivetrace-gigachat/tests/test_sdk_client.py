"""The vendor's SDK that a model hands out: same service, same credential, same trust, nothing else."""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from hivetrace_gigachat import GigaChatModel
from hivetrace_gigachat.dialect import AUTH_PATH, GigaChatDialect
from hivetrace_gigachat.dialect_tokens import mint

from hivetrace_core import ConfigError, MissingDependencyError
from hivetrace_core.mockserver import MockServer

KEY = "Y2xpZW50LWlkOmNsaWVudC1zZWNyZXQtMTIz"


def listed(model: GigaChatModel) -> list[str]:
    async def main() -> list[str]:
        async with model.sdk_client() as client:
            return [found.id_ for found in (await client.aget_models()).data]

    return asyncio.run(main())


@pytest.mark.parametrize("options", [{"credentials": KEY}, {"user": "me", "password": "password-1"}])
def test_it_logs_in_as_the_model_does(model_of: Any, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with MockServer(dialects=[GigaChatDialect()]) as server:
        model = model_of(server, **options)
        for name in ("ACCESS_TOKEN", "CREDENTIALS", "USER", "PASSWORD", "CA_BUNDLE_FILE"):
            monkeypatch.setenv(f"GIGACHAT_{name}", "of-the-environment")
        assert listed(model) == ["GigaChat"]
        paths = [record.path for record in server.log]

    login = AUTH_PATH if "credentials" in options else "/v1/token"
    assert paths == [f"/gigachat{login}", "/gigachat/v1/models"]


def test_it_takes_a_token_of_ones_own(model_of: Any) -> None:
    with MockServer(dialects=[GigaChatDialect()]) as server:
        assert listed(model_of(server, access_token=mint("x", lifetime=60))) == ["GigaChat"]
        assert len(server.log) == 1


def test_it_trusts_the_models_bundle_and_repeats_nothing(serve: Any, tmp_path: Path) -> None:
    authority, calls = trustme.CA(), []
    authority.cert_pem.write_to_path(tmp_path / "root.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def handle(request: web.Request) -> web.StreamResponse:
        calls.append(request.path)
        if request.path == "/oauth":
            return web.json_response({"access_token": "token-1", "expires_at": 32_503_680_000_000})
        return web.json_response({"status": 500, "message": "no"}, status=500)

    address = serve(handle, context)
    model = GigaChatModel(
        "GigaChat",
        credentials=KEY,
        base_url=f"{address}/v1",
        auth_url=f"{address}/oauth",
        ca_bundle=tmp_path / "root.pem",
    )
    with pytest.raises(Exception, match="500"):
        listed(model)
    assert calls == ["/oauth", "/v1/models"]


def test_a_proxy_that_the_sdk_cannot_be_given_is_refused() -> None:
    model = GigaChatModel("GigaChat", credentials=KEY, proxy="http://proxy.example:3128")

    with pytest.raises(ConfigError, match="proxy"):
        model.sdk_client()


def test_without_the_sdk_the_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gigachat", None)

    with pytest.raises(MissingDependencyError, match=r"pip install 'hivetrace-gigachat\[sdk\]'"):
        GigaChatModel("GigaChat", credentials=KEY).sdk_client()
