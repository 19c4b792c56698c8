"""The three models: one base that speaks chat completions, and what is particular to each service."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack

from hivetrace_core import Message, Messages, ModelError, ModelResponse, ProviderModel, Reply, ResponseChunk
from hivetrace_core.http import JsonHttp

from . import outcomes
from .assembly import Assembly
from .options import ChatOptions, OpenAIOptions, OpenRouterOptions, SberCloudOptions
from .params import OpenAIParams, OpenRouterParams, SberCloudParams

if TYPE_CHECKING:
    from openai import AsyncOpenAI

ChatOptionsT = TypeVar("ChatOptionsT", bound=ChatOptions)


class ChatCompletionsModel(ProviderModel[ChatOptionsT], Generic[ChatOptionsT]):
    """What all services with this wire format share."""

    def __init__(self, model: str | None = None, **options: Any) -> None:
        super().__init__(model, **options)
        self._parameters = self.options.parameters()
        self._path = self._completions_path()

    def make_client(self) -> JsonHttp:
        """Connections for one event loop; core closes them."""
        return JsonHttp(self.options, headers=self.options.auth_headers())

    async def complete(self, client: JsonHttp, messages: Messages) -> Reply:
        """Exactly one request."""
        return await client.post(self._path, self._body(messages), headers=await self._fresh_headers())

    async def stream_complete(self, client: JsonHttp, messages: Messages) -> AsyncGenerator[str | ResponseChunk, None]:
        """One request whose answer arrives as server-sent events.

        The pieces are put together into the payload that the whole answer would have had, and classified by the same
        functions.
        """
        body = {**self._body(messages), "stream": True, "stream_options": {"include_usage": True}}
        async with client.sse(self._path, body, headers=await self._fresh_headers()) as stream:
            if stream.reply is not None:
                response = self.classify(stream.reply)
                yield {"content": response["content"], "response_metadata": response["response_metadata"]}
                return
            whole = Assembly(stream.status, stream.headers)
            try:
                async for event in stream:
                    if event.data == "[DONE]":
                        whole.ended = True
                        break
                    delta = whole.add(_decoded(event.data))
                    if delta:
                        yield delta
                    if whole.failed:
                        break
            except ModelError as error:
                error.response = whole.partial()
                raise
            response = self._classified(whole)
            # A refusal's text is no part of the content that was streamed; as a whole answer it is the content.
            rest = response["content"].removeprefix(whole.text)
            yield {"content": rest, "response_metadata": response["response_metadata"]}

    def _classified(self, whole: Assembly) -> ModelResponse:
        if not whole.complete:
            raise ModelError(
                "The stream ended without an end mark or a finish reason", kind="connection", response=whole.partial()
            )
        try:
            return self.classify(whole.reply())
        except ModelError as error:
            if error.response is None:
                error.response = whole.partial()
            raise

    def _body(self, messages: Messages) -> dict[str, Any]:
        return {**self._parameters, "messages": [wire_message(message) for message in messages]}

    def _completions_path(self) -> str:
        return "chat/completions"

    async def _fresh_headers(self) -> dict[str, str] | None:
        """Headers that have to be made anew for each request."""
        return None


class OpenAIModel(ChatCompletionsModel[OpenAIOptions]):
    """OpenAI, Azure OpenAI, or any OpenAI-compatible server."""

    provider = "openai"

    def __init__(self, model: str | None = None, **options: Unpack[OpenAIParams]) -> None:
        super().__init__(model, **options)

    def classify(self, reply: Reply) -> ModelResponse:
        """See `outcomes.classify_openai`."""
        try:
            return outcomes.classify_openai(reply)
        except ModelError as error:
            if error.kind == "authentication" and not self._sends_credential():
                hint = "no key was sent: OPENAI_API_KEY goes to OpenAI's own hosts only, so pass api_key=..."
                error.message = f"{self.options.base_url} answered {reply.status} ({hint})"
                error.args = (error.message,)
            raise

    def _sends_credential(self) -> bool:
        options = self.options
        return bool(options.auth_headers() or options.azure_ad_token_provider or options.extra_headers)

    def _completions_path(self) -> str:
        return self.options.path()

    async def _fresh_headers(self) -> dict[str, str] | None:
        provider = self.options.azure_ad_token_provider
        if provider is None:
            return None
        token = provider()
        return {"Authorization": f"Bearer {await token if inspect.isawaitable(token) else token}"}

    def sdk_client(self) -> AsyncOpenAI:
        """The official SDK's client with this model's address, credential and TLS, for what is not chat.

        Its own retries are off and nothing of the environment is added. Needs `hivetrace-openai[sdk]`; the caller
        closes it.

        Raises:
            MissingDependencyError: the SDK is not installed.
        """
        from .sdk import sdk_client

        return sdk_client(self.options)


class OpenRouterModel(ChatCompletionsModel[OpenRouterOptions]):
    """Many vendors' models through OpenRouter."""

    provider = "openrouter"

    def __init__(self, model: str | None = None, **options: Unpack[OpenRouterParams]) -> None:
        super().__init__(model, **options)

    def classify(self, reply: Reply) -> ModelResponse:
        """See `outcomes.classify_openrouter`."""
        return outcomes.classify_openrouter(reply)


class SberCloudModel(ChatCompletionsModel[SberCloudOptions]):
    """Cloud.ru Foundation Models."""

    provider = "sbercloud"

    def __init__(self, model: str | None = None, **options: Unpack[SberCloudParams]) -> None:
        super().__init__(model, **options)

    def classify(self, reply: Reply) -> ModelResponse:
        """See `outcomes.classify_sbercloud`."""
        return outcomes.classify_sbercloud(reply)


def wire_message(message: Message) -> dict[str, Any]:
    """A message as this wire format spells it: the same but for images."""
    content = message["content"]
    if content is None or isinstance(content, str):
        return message  # type: ignore[return-value]  # a TypedDict is a dict
    parts: list[dict[str, Any]] = []
    for part in content:
        if part["type"] == "text":
            parts.append({"type": "text", "text": part["text"]})
        else:
            url = part["url"] if "url" in part else f"data:{part['mime_type']};base64,{part['data']}"
            image = {"url": url, "detail": part["detail"]} if "detail" in part else {"url": url}
            parts.append({"type": "image_url", "image_url": image})
    return {**message, "content": parts}


def _decoded(data: str) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        raise ModelError(f"The stream has an event that is not JSON: {data[:200]}", kind="response_format") from None
