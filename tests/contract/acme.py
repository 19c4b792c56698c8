"""A small provider as an author would write it, and the server that it talks to."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from hivetrace_core import (
    Messages,
    ModelError,
    ModelOptions,
    ModelResponse,
    ProviderModel,
    Reply,
    ResponseChunk,
    SecretStr,
    from_env,
    text_of,
)

CANARY = "canary-sk-0123456789/+=ü"


class AcmeOptions(ModelOptions):
    base_url: str = "http://127.0.0.1:9"
    api_key: SecretStr = from_env("ACME_API_KEY")
    temperature: float | None = None
    max_tokens: int | None = None


class AcmeModel(ProviderModel[AcmeOptions]):
    """One request, one reply, and what it means."""

    def make_client(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def complete(self, client: aiohttp.ClientSession, messages: Messages) -> Reply:
        body = {"model": self.options.model, "messages": messages, "temperature": self.options.temperature}
        async with client.post(f"{self.options.base_url}/chat", json=body, headers=self._headers()) as response:
            text = await response.text()
            try:
                payload = json.loads(text)
            except ValueError:
                payload = text
            return Reply(payload, response.status, {key.lower(): value for key, value in response.headers.items()})

    async def stream_complete(
        self, client: aiohttp.ClientSession, messages: Messages
    ) -> AsyncGenerator[str | ResponseChunk, None]:
        body = {"messages": messages, "stream": True}
        async with client.post(f"{self.options.base_url}/stream", json=body, headers=self._headers()) as response:
            if response.status != 200:
                raise acme_error(Reply(await response.json(), response.status))
            async for line in response.content:
                event = json.loads(line)
                if "text" in event:
                    yield event["text"]
                else:
                    metadata = acme_response(Reply(event))["response_metadata"]
                    yield {"content": "", "response_metadata": metadata}

    def classify(self, reply: Reply) -> ModelResponse:
        return acme_response(reply)

    def classify_error(self, exc: Exception) -> ModelError:
        if isinstance(exc, aiohttp.ClientPayloadError):
            return ModelError("Acme hung up", kind="connection")
        return super().classify_error(exc)

    def _headers(self) -> dict[str, str]:
        return {"X-Api-Key": self.options.api_key.get_secret_value().encode().hex()}


FINISH: dict[str, tuple[Any, Any]] = {
    "stop": ("stop", "answered"),
    "max": ("length", "truncated"),
    "filter": ("content_filter", "blocked"),
    "refusal": ("stop", "refused"),
}


def acme_response(reply: Reply) -> ModelResponse:
    payload = reply.payload
    if reply.status != 200:
        raise acme_error(reply)
    finish, outcome = FINISH.get(payload.get("finish"), ("unknown", "unknown"))
    response: ModelResponse = {
        "content": payload.get("text", ""),
        "response_metadata": {
            "model_name": payload.get("model", "acme-large-2026"),
            "finish_reason": finish,
            "native_finish_reason": payload.get("finish"),
            "outcome": outcome,
        },
    }
    if outcome in ("blocked", "refused"):
        response["response_metadata"]["block"] = {
            "stage": "response",
            "categories": [{"name": "violence"}],
            "rule": f"acme.{payload['finish']}",
            "evidence": {"path": "finish", "value": payload["finish"]},
        }
    if "usage" in payload:
        response["response_metadata"]["usage"] = payload["usage"]
    return response


def acme_error(reply: Reply) -> ModelError:
    kinds: dict[int, Any] = {
        400: "bad_request",
        401: "authentication",
        402: "quota",
        403: "permission",
        404: "not_found",
        429: "rate_limit",
    }
    error = reply.payload.get("error", {}) if isinstance(reply.payload, Mapping) else {}
    wait = reply.headers.get("retry-after")
    return ModelError(
        error.get("message", f"Acme answered with status {reply.status}"),
        kind=kinds.get(reply.status, "server"),
        status=reply.status,
        code=error.get("code"),
        retry_after=float(wait) if wait else None,
        request_id=reply.headers.get("x-request-id"),
    )


Handler = Callable[[str, int], Awaitable[web.StreamResponse]]


@dataclass
class Acme:
    """The server: `answer` gets the last message's text and the number of the request, from 1."""

    url: str = ""
    answer: Handler | None = None
    stream: Callable[[str], AsyncIterator[Any]] | None = None
    models: list[AcmeModel] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    in_flight: int = 0
    most_in_flight: int = 0
    hung_up: int = 0

    def model(self, **options: Any) -> AcmeModel:
        model = AcmeModel("large", **{"base_url": self.url, "api_key": CANARY, **options})
        self.models.append(model)
        return model

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        text = text_of(body["messages"][-1:])
        self.bodies.append(body)
        self.prompts.append(text)
        self.connections.add(request.transport)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.answer is None:
                return web.json_response({"text": f"echo {text}", "finish": "stop"})
            return await self.answer(text, len(self.prompts))
        except asyncio.CancelledError:
            self.hung_up += 1
            raise
        finally:
            self.in_flight -= 1

    async def streamed(self, request: web.Request) -> web.StreamResponse:
        text = text_of((await request.json())["messages"][-1:])
        self.prompts.append(text)
        response = web.StreamResponse()
        assert self.stream is not None
        events = self.stream(text)
        first = await anext(events)
        if isinstance(first, web.Response):
            return first
        await response.prepare(request)
        try:
            await response.write(json.dumps(first).encode() + b"\n")
            async for event in events:
                if event is None:
                    assert request.transport is not None
                    request.transport.abort()
                    return response
                await response.write(json.dumps(event).encode() + b"\n")
        except (asyncio.CancelledError, ConnectionError):
            self.hung_up += 1
            raise
        return response


def failure(status: int, message: str = "", **headers: str) -> web.Response:
    return web.json_response(
        {"error": {"message": message or f"status {status}", "code": f"acme_{status}"}},
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen within 5 s")
