"""The official SDK's client that a model hands out: same server, same key, one request, nothing of the environment."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from hivetrace_gemini import GeminiNativeModel
from hivetrace_gemini.dialect import GeminiDialect
from hivetrace_gemini.sdk import split_version

from hivetrace_core import MissingDependencyError
from hivetrace_core.mockserver import MockServer

KEY = "AIza-local-key-1234"
STRAY = {
    "GOOGLE_API_KEY": "key-of-environment",
    "GOOGLE_GENAI_USE_VERTEXAI": "true",
    "GOOGLE_GENAI_USE_ENTERPRISE": "true",
    "GOOGLE_CLOUD_PROJECT": "project-of-environment",
    "GOOGLE_CLOUD_LOCATION": "us-central1",
    "GOOGLE_GENAI_API_VERSION": "v9",
    "HTTP_PROXY": "http://127.0.0.1:9",
}


@pytest.fixture
def sdk() -> Any:
    return pytest.importorskip("google.genai", reason="the official SDK is an extra")


def model_of(server: MockServer, **options: Any) -> GeminiNativeModel:
    return GeminiNativeModel(model="gemini-2.5-flash", base_url=server.url("gemini"), api_key=KEY, **options)


def test_it_speaks_to_the_models_server_with_the_models_key_and_nothing_of_the_environment(
    sdk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in STRAY.items():
        monkeypatch.setenv(name, value)

    async def ask(client: Any) -> tuple[Any, Any]:
        async with client.aio as asynchronous:
            answer = await asynchronous.models.generate_content(model="gemini-2.5-flash", contents="Hello")
            stream = await asynchronous.models.generate_content_stream(model="gemini-2.5-flash", contents="Hi")
            return answer, [chunk.text async for chunk in stream]

    with MockServer({"key": KEY, "text": "You said: {prompt}"}, dialects=[GeminiDialect()]) as server:
        model = model_of(server, extra_headers={"X-Team": "red"})
        client = model.sdk_client()
        listed = [found.name for found in client.models.list()]
        answer, streamed = asyncio.run(ask(client))
        client.close()
        log = server.log

    assert listed == ["models/mock"]
    assert answer.text == "You said: Hello"
    assert answer.candidates[0].finish_reason == sdk.types.FinishReason.STOP
    assert "".join(text or "" for text in streamed) == "You said: Hi"
    assert [record.path.partition("?")[0] for record in log] == [
        "/gemini/v1beta/models",
        "/gemini/v1beta/models/gemini-2.5-flash:generateContent",
        "/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent",
    ]
    assert {record.headers["x-team"] for record in log} == {"red"}
    assert "environment" not in str(log)


def test_it_repeats_nothing(sdk: Any) -> None:
    import httpx2

    script = {"rules": [{"match": "busy", "error": "server"}, {"match": "gone", "fault": "reset"}]}

    async def ask(client: Any, prompt: str) -> None:
        async with client.aio as asynchronous:
            await asynchronous.models.generate_content(model="m", contents=prompt)

    with MockServer(script, dialects=[GeminiDialect()]) as server:
        with pytest.raises(sdk.errors.ServerError):
            asyncio.run(ask(model_of(server).sdk_client(), "busy"))
        with pytest.raises(httpx2.TransportError):
            asyncio.run(ask(model_of(server).sdk_client(), "gone"))
        requests = len(server.log)

    assert requests == 2


@pytest.mark.parametrize("timeout", [None, 0.2])
def test_its_timeout_is_the_models(sdk: Any, timeout: float | None) -> None:
    import httpx2

    with MockServer({"rules": [{"fault": "hang"}]}, dialects=[GeminiDialect()]) as server:
        client = model_of(server, timeout=timeout).sdk_client()
        if timeout is not None:
            with pytest.raises(httpx2.ReadTimeout):
                client.models.generate_content(model="m", contents="Hello")
        assert client._api_client._http_options.timeout == (None if timeout is None else 200)
        client.close()


def test_without_the_sdk_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.genai", None)
    model = GeminiNativeModel(model="m", api_key=KEY)

    with pytest.raises(MissingDependencyError, match=r"pip install 'hivetrace-gemini\[sdk\]'"):
        model.sdk_client()


@pytest.mark.parametrize(
    ("url", "host", "version"),
    [
        ("https://generativelanguage.googleapis.com/v1beta", "https://generativelanguage.googleapis.com/", "v1beta"),
        ("https://x.example/gemini/v1/", "https://x.example/gemini/", "v1"),
        ("https://x.example/gemini", "https://x.example/gemini/", ""),
        ("https://x.example", "https://x.example/", ""),
    ],
)
def test_the_address_is_split_as_the_sdk_wants_it(url: str, host: str, version: str) -> None:
    assert split_version(url) == (host, version)
