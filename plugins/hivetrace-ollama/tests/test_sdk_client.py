"""The official client that a model hands out: same server, same credential, nothing of the environment."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import ollama
import pytest
import trustme
from aiohttp import web
from hivetrace_ollama import OllamaModel
from hivetrace_ollama.dialect import OllamaDialect

from hivetrace_core import MissingDependencyError
from hivetrace_core.mockserver import MockServer

from .conftest import Recorder


async def listed(model: OllamaModel) -> Any:
    async with model.sdk_client() as client:
        return await client.list()


def test_it_asks_the_models_server_with_the_models_key(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "key-of-the-environment")
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    recorder.reply = {"models": []}

    asyncio.run(listed(OllamaModel("m", base_url=f"{recorder.url}/x", api_key="key-12345")))

    assert recorder.paths == ["/x/api/tags"]
    assert recorder.headers[0]["authorization"] == "Bearer key-12345"


def test_without_a_key_of_the_models_own_none_is_sent(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "key-of-the-environment")
    recorder.reply = {"models": []}

    asyncio.run(listed(OllamaModel("m", base_url=recorder.url, extra_headers={"X-Team": "red"})))
    asyncio.run(listed(OllamaModel("m", base_url=recorder.url, extra_headers={"AUTHORIZATION": "Basic eDp5"})))

    assert "authorization" not in recorder.headers[0]
    assert "key-of-the-environment" not in str(recorder.headers)
    assert recorder.headers[0]["x-team"] == "red"
    assert recorder.headers[1]["authorization"] == "Basic eDp5"


def test_proxies_of_the_environment_are_not_used(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    recorder.reply = {"models": []}

    asyncio.run(listed(OllamaModel("m", base_url=recorder.url)))

    assert recorder.paths == ["/api/tags"]


def test_redirects_are_refused() -> None:
    seen: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async def ask() -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", redirect)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            await listed(OllamaModel("m", base_url=f"http://127.0.0.1:{runner.addresses[0][1]}"))
        finally:
            await runner.cleanup()

    with pytest.raises(ollama.ResponseError):
        asyncio.run(ask())
    assert seen == ["/api/tags"]


def test_it_trusts_the_models_ca_bundle(tmp_path: Path) -> None:
    ca = trustme.CA()
    bundle = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(bundle))

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"models": []})

    async def ask(**options: Any) -> None:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("localhost").configure_cert(context)
        app = web.Application()
        app.router.add_get("/api/tags", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "localhost", 0, ssl_context=context).start()
        try:
            await listed(OllamaModel("m", base_url=f"https://localhost:{runner.addresses[0][1]}", **options))
        finally:
            await runner.cleanup()

    asyncio.run(ask(ca_bundle=bundle))
    with pytest.raises(ConnectionError):
        asyncio.run(ask())


def test_the_official_client_understands_the_dialect() -> None:
    """The mock server speaks to it as to us: whole, in pieces, and in errors."""

    async def talk(model: OllamaModel) -> tuple[Any, list[Any], str]:
        async with model.sdk_client() as client:
            messages = [{"role": "user", "content": "Hello"}]
            whole = await client.chat(model="m-1", messages=messages)
            pieces = [piece async for piece in await client.chat(model="m-1", messages=messages, stream=True)]
            assert (await client.show("mock")).capabilities
            assert (await client.ps()).models[0].name == "mock:latest"
            with pytest.raises(ollama.ResponseError, match="not found") as caught:
                await client.chat(model="m-1", messages=[{"role": "user", "content": "missing"}])
            return whole, pieces, str(caught.value.status_code)

    script = {"text": "one two", "rules": [{"match": "missing", "error": "not_found"}]}
    with MockServer(script, dialects=[OllamaDialect()]) as server:
        whole, pieces, status = asyncio.run(talk(OllamaModel("m-1", base_url=server.url("ollama"))))

    assert (whole.message.content, whole.done_reason, status) == ("one two", "stop", "404")
    assert [piece.message.content for piece in pieces] == ["one ", "two", ""]
    assert (pieces[-1].done, pieces[-1].eval_count) == (True, whole.eval_count)


def test_without_the_client_the_pip_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ollama", None)

    with pytest.raises(MissingDependencyError, match=r"pip install 'hivetrace-ollama\[sdk\]'"):
        OllamaModel("m").sdk_client()
