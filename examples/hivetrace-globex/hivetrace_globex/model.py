"""The whole provider: its options, one request, and what a reply means.

Globex does not exist. Its API is what many are like: `POST /chat` with `{"model", "messages"}`, answered by
`{"id", "model", "text", "stop"}`, or with `"stream": true` by lines that each have a piece of the text, the last one
all the rest. Errors are `{"error": {"type", "message"}}`, in the middle of a stream with their `status`. Its filter
answers with status 422 and `{"error": {"type": "policy", "labels": []}}`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, Unpack

from pydantic import Field

from hivetrace_core import (
    FinishReason,
    Messages,
    ModelError,
    ModelResponse,
    Outcome,
    ProviderModel,
    Reply,
    ResponseChunk,
    SecretStr,
    from_env,
)
from hivetrace_core.http import HttpOptions, HttpParams, JsonHttp, error_kind_for_status, wait_seconds

_STOPS: Final[dict[str, tuple[FinishReason, Outcome]]] = {
    "end": ("stop", "answered"),
    "max_tokens": ("length", "truncated"),
    "call": ("tool_calls", "tool_calls"),
    "refusal": ("stop", "refused"),
    "policy": ("content_filter", "blocked"),
}


class GlobexOptions(HttpOptions):
    """Options of Globex, beside those of every provider over HTTP."""

    base_url: str = "https://api.globex.example/v1"
    api_key: SecretStr = from_env("GLOBEX_API_KEY", description="The account's key.")
    temperature: float | None = Field(default=None, ge=0, le=2, description="0 for the likeliest words.")


class GlobexParams(HttpParams, total=False):
    """Keyword arguments of `GlobexModel`, for editors and type checkers."""

    api_key: SecretStr | str | None
    temperature: float | None


class GlobexModel(ProviderModel[GlobexOptions]):
    """Globex's chat models."""

    def __init__(self, model: str | None = None, **options: Unpack[GlobexParams]) -> None:
        super().__init__(model, **options)

    def make_client(self) -> JsonHttp:
        """Connections for one event loop; core closes them."""
        key = self.options.api_key.get_secret_value()
        return JsonHttp(self.options, headers={"Authorization": f"Bearer {key}"})

    async def complete(self, client: JsonHttp, messages: Messages) -> Reply:
        """One request; retries, limits and order are core's."""
        return await client.post("chat", self._body(messages))

    async def stream_complete(self, client: JsonHttp, messages: Messages) -> AsyncGenerator[str | ResponseChunk, None]:
        """The same request; its lines are put together into the payload that the whole answer would have had."""
        parts: list[str] = []
        async with client.lines("chat", {**self._body(messages), "stream": True}) as stream:
            payload: Mapping[str, Any] = {}
            try:
                if stream.reply is None:
                    async for line in stream:
                        payload = _line(line)
                        parts.append(str(payload.get("text") or ""))
                        if parts[-1]:
                            yield parts[-1]
                    if not payload.keys() & {"stop", "error"}:
                        raise ModelError("The stream ended before its last line", kind="connection")
                    payload = {**payload, "text": "".join(parts)}
                response = self.classify(stream.reply or Reply(payload, stream.status, stream.headers))
            except ModelError as error:
                if parts:
                    error.response = {"content": "".join(parts)}
                raise
            rest = response["content"].removeprefix("".join(parts))
            yield {"content": rest, "response_metadata": response["response_metadata"]}

    def classify(self, reply: Reply) -> ModelResponse:
        """See `classify`."""
        return classify(reply)

    def _body(self, messages: Messages) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.options.model, "messages": messages}
        if self.options.temperature is not None:
            body["temperature"] = self.options.temperature
        return body


def classify(reply: Reply) -> ModelResponse:
    """What a reply means, by its status and payload alone.

    Raises:
        ModelError: it is an error. A block is not.
    """
    payload = _mapping(reply.payload)
    error = _mapping(payload.get("error"))
    if error.get("type") == "policy":
        return _answer({**payload, "text": "", "stop": "policy"}, stage="prompt", path="error")
    told = error.get("status")
    status = told if reply.status == 200 and isinstance(told, int) else reply.status
    if reply.status != 200 or error or not isinstance(payload.get("text"), str):
        raise ModelError(
            str(error.get("message") or f"Globex answered with status {status}"),
            kind="context_length" if error.get("type") == "too_long" else error_kind_for_status(status),
            status=status,
            code=error.get("type"),
            retry_after=wait_seconds(reply.headers),
        )
    return _answer(payload, stage="response", path="stop")


def _answer(payload: Mapping[str, Any], *, stage: Any, path: str) -> ModelResponse:
    stop, calls = payload.get("stop"), payload.get("calls")
    finish, outcome = _STOPS.get(stop if isinstance(stop, str) else "", ("unknown", "unknown"))
    if outcome == "answered" and not payload["text"]:
        outcome = "empty"
    response: ModelResponse = {
        "content": payload["text"],
        "response_metadata": {
            "finish_reason": finish,
            "native_finish_reason": None if stop is None else str(stop),
            "outcome": outcome,
            "request_id": None if payload.get("id") is None else str(payload["id"]),
        },
    }
    metadata = response["response_metadata"]
    if payload.get("model") is not None:
        metadata["model_name"] = str(payload["model"])
    if outcome == "tool_calls":
        metadata["tool_calls"] = calls if isinstance(calls, list) else []
    if outcome in ("blocked", "refused"):
        labels = _mapping(payload.get("error")).get("labels")
        metadata["block"] = {
            "stage": stage,
            "categories": [{"name": str(label)} for label in (labels if isinstance(labels, list) else [])],
            "rule": f"globex.{stop}",
            "evidence": {"path": path, "value": payload.get(path)},
        }
    return response


def _line(line: str) -> Mapping[str, Any]:
    try:
        payload = _mapping(json.loads(line))
    except ValueError:
        payload = {}
    if not payload.keys() & {"text", "stop", "error"}:
        raise ModelError("The stream has a line that is no piece of an answer", kind="response_format")
    return payload


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
