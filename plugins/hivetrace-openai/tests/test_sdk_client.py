"""The official SDK's client that a model hands out: same server, same credential, nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from hivetrace_openai import OpenAIModel

openai = pytest.importorskip("openai", reason="the official SDK is an extra")


async def _models(seen: list[Any], request: web.Request) -> web.Response:
    seen.append(dict(request.headers))
    return web.json_response(
        {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]}
    )


async def _listed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment-key")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-environment")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-environment")
    seen: list[Any] = []

    async def handle(request: web.Request) -> web.Response:
        return await _models(seen, request)

    app = web.Application()
    app.router.add_get("/v1/models", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        model = OpenAIModel(model="m", base_url=f"http://127.0.0.1:{port}/v1", api_key="local-key-1234")
        async with model.sdk_client() as client:
            page = await client.models.list()
        assert [item.id for item in page.data] == ["m"]
        assert client.max_retries == 0
    finally:
        await runner.cleanup()
    (headers,) = seen
    return {name.lower(): value for name, value in headers.items()}


def test_it_speaks_to_the_models_server_with_the_models_key_and_nothing_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    headers = asyncio.run(_listed(monkeypatch))

    assert headers["authorization"] == "Bearer local-key-1234"
    assert not {"openai-organization", "openai-project"} & set(headers)
    assert "environment" not in str(headers)
