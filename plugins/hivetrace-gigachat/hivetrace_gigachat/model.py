"""`GigaChatModel`: chat completions of GigaChat's v1 interface."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final, Unpack

from hivetrace_core import Messages, ModelError, ModelResponse, ProviderModel, Reply, ResponseChunk
from hivetrace_core.http import UNTRUSTED

from . import outcomes
from .assembly import Assembly
from .client import GigaChatClient, Session
from .messages import wire_messages
from .options import GigaChatOptions
from .params import GigaChatParams

if TYPE_CHECKING:
    from gigachat import GigaChat

_ROOT_CA: Final = (
    "GigaChat's hosts are certified by the Russian Trusted Root CA, which most systems lack. Download it (PEM) from "
    "https://www.gosuslugi.ru/crt and pass ca_bundle=<file> or set GIGACHAT_CA_BUNDLE_FILE; the file is used in place "
    "of the system's CAs, so it has to hold the CA of the API's host and that of the token endpoint"
)


class GigaChatModel(ProviderModel[GigaChatOptions]):
    """GigaChat of Sber, or a private installation of it."""

    provider = "gigachat"

    def __init__(self, model: str | None = None, **options: Unpack[GigaChatParams]) -> None:
        super().__init__(model, **options)
        self._parameters = self.options.parameters()
        self._session = Session(self.options)

    def make_client(self) -> GigaChatClient:
        """Connections for one event loop; core closes them."""
        return GigaChatClient(self._session)

    def check_prompt(self, messages: Messages) -> None:
        """Refuses what the service does not take: see `messages.wire_messages`."""
        wire_messages(messages)

    async def complete(self, client: GigaChatClient, messages: Messages) -> Reply:
        """Exactly one request for an answer; before it one for a token, where the instance has none that is good."""
        try:
            return await client.chat(self._body(messages))
        except ModelError as error:
            raise _explained(error) from None

    async def stream_complete(
        self, client: GigaChatClient, messages: Messages
    ) -> AsyncGenerator[str | ResponseChunk, None]:
        """One request whose answer arrives as server-sent events.

        The pieces are put together into the payload that the whole answer would have had, and classified by the same
        functions.
        """
        whole: Assembly | None = None
        try:
            async with client.stream({**self._body(messages), "stream": True}) as stream:
                if stream.reply is not None:
                    response = self.classify(stream.reply)
                    yield {"content": response["content"], "response_metadata": response["response_metadata"]}
                    return
                whole = Assembly(stream.status, stream.headers)
                async for event in stream:
                    if event.data == "[DONE]":
                        whole.ended = True
                        break
                    delta = whole.add(_decoded(event.data))
                    if delta:
                        yield delta
                    if whole.failed:
                        break
                response = self._classified(whole)
        except ModelError as error:
            if whole is not None and error.response is None:
                error.response = whole.partial()
            raise _explained(error) from None
        # A refusal's text is no part of the content that was streamed; as a whole answer it is the content.
        rest = response["content"].removeprefix(whole.text)
        yield {"content": rest, "response_metadata": response["response_metadata"]}

    def classify(self, reply: Reply) -> ModelResponse:
        """See `outcomes.classify`."""
        return outcomes.classify(reply)

    def sdk_client(self) -> GigaChat:
        """The vendor's SDK with this model's address, credential and TLS, for what is not chat (files, embeddings).

        It gets tokens of its own; its retries are off. Needs `hivetrace-gigachat[sdk]`; the caller closes it.

        Raises:
            MissingDependencyError: the SDK is not installed.
            ConfigError: the model has a proxy, which the SDK cannot be given.
        """
        from .sdk import sdk_client

        return sdk_client(self.options)

    def _classified(self, whole: Assembly) -> ModelResponse:
        if not whole.complete:
            raise ModelError("The stream ended without an end mark or a finish reason", kind="connection")
        return self.classify(whole.reply())

    def _body(self, messages: Messages) -> dict[str, Any]:
        return {**self._parameters, "messages": wire_messages(messages)}


def _explained(error: ModelError) -> ModelError:
    """The error, with what to do about a certificate that is not trusted."""
    if error.code == UNTRUSTED:
        error.message = f"{error.message.partition('; if a private CA')[0]}. {_ROOT_CA}"
        error.args = (error.message,)
    return error


def _decoded(data: str) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        raise ModelError(f"The stream has an event that is not JSON: {data[:200]}", kind="response_format") from None
