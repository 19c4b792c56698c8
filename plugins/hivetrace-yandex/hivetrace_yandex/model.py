"""`YandexGPTModel`: completions in one request, by operations, or in pieces."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any, Unpack

from hivetrace_core import Messages, ModelError, ModelResponse, ProviderModel, Reply, ResponseChunk
from hivetrace_core.http import JsonHttp

from . import outcomes
from .echoes import hidden
from .operations import Operation, OperationReply, Readings, operation_id
from .options import YandexGPTOptions
from .params import YandexGPTParams
from .streams import Assembly
from .tokens import LONGEST_PATIENCE_S, PATIENCE_MARGIN_S, IamTokens, Token
from .wire import wire_messages


class Servers:
    """Connections of one event loop.

    Args:
        options: The model's options.

    Attributes:
        completions: To the server of completions.
        operations: To the server of operations; None where none are begun.
    """

    def __init__(self, options: YandexGPTOptions) -> None:
        headers = options.fixed_headers()
        self.completions = JsonHttp(options, headers=headers)
        self.operations: JsonHttp | None = None
        if options.mode == "async":
            self.operations = JsonHttp(options, base_url=options.operations_address(), headers=headers)

    async def aclose(self) -> None:
        """Close them all."""
        await self.completions.aclose()
        if self.operations is not None:
            await self.operations.aclose()


class YandexGPTModel(ProviderModel[YandexGPTOptions]):
    """YandexGPT in Yandex AI Studio."""

    provider = "yandex"

    def __init__(self, model: str | None = None, **options: Unpack[YandexGPTParams]) -> None:
        super().__init__(model, **options)
        self._parameters = self.options.parameters()
        provider = self.options.iam_token_provider
        lifetime = self.options.iam_token_lifetime
        timeout = self.options.timeout
        patience = LONGEST_PATIENCE_S if timeout is None else min(timeout + PATIENCE_MARGIN_S, LONGEST_PATIENCE_S)
        self._tokens = IamTokens(provider, lifetime=lifetime, patience=patience) if provider is not None else None
        self._readings = Readings(self.options.operation_reads_per_second)
        secret = self.options.api_key or self.options.iam_token
        self._secret = secret.get_secret_value() if secret is not None else ""

    @property
    def operation_reads(self) -> int:
        """Readings of operations that this instance has sent, those for prompts that failed or were cancelled too."""
        return self._readings.sent

    def make_client(self) -> Servers:
        """Connections for one event loop; core closes them."""
        return Servers(self.options)

    def check_prompt(self, messages: Messages) -> None:
        """Refuses what the service does not take: see `wire.wire_messages`."""
        wire_messages(messages)

    async def complete(self, client: Servers, messages: Messages) -> Reply:
        """Exactly one completion request; with `mode: async` also the readings of its operation, until it is done."""
        began = time.monotonic()
        body = self._body(messages)
        token = await self._token()
        if client.operations is None:
            return self._received(await client.completions.post("completion", body, headers=_bearer(token)), token)
        reply = await client.completions.post("completionAsync", body, headers=_bearer(token))
        submitted = self._received(reply, token)
        if operation_id(submitted) is None:
            return submitted
        operation = Operation(
            submitted,
            readings=self._readings,
            first=self.options.poll_interval,
            longest=self.options.max_poll_interval,
            until=None if self.options.timeout is None else began + self.options.timeout,
        )
        server = client.operations

        async def read(path: str) -> Reply:
            return await self._read(server, path, operation)

        return await operation.outcome(read)

    async def stream_complete(self, client: Servers, messages: Messages) -> AsyncGenerator[str | ResponseChunk, None]:
        """One request whose answer arrives as lines of JSON; with `mode: async` one chunk: operations do not stream.

        The lines are put together into the payload that the whole answer would have had, and classified by the same
        functions. See `Assembly` for text that is replaced.
        """
        if client.operations is not None:
            response = self.classify(await self.complete(client, messages))
            yield {"content": response["content"], "response_metadata": response["response_metadata"]}
            return
        body = self._body(messages)
        body["completionOptions"] = {**body["completionOptions"], "stream": True}
        token = await self._token()
        async with client.completions.lines("completion", body, headers=_bearer(token)) as stream:
            if stream.reply is not None:
                response = self.classify(self._received(stream.reply, token))
                yield {"content": response["content"], "response_metadata": response["response_metadata"]}
                return
            whole = Assembly(stream.status, stream.headers)
            try:
                async for line in stream:
                    delta = whole.add(line)
                    if delta:
                        yield delta
                    if whole.failed:
                        break
                response = self._classified(whole)
            except ModelError as error:
                if error.response is None:
                    error.response = whole.partial()
                raise
            yield {"content": "", "response_metadata": response["response_metadata"]}

    def classify(self, reply: Reply) -> ModelResponse:
        """See `outcomes.classify`; of an operation also how often it was read."""
        facts = reply.facts if isinstance(reply, OperationReply) else None
        try:
            response = outcomes.classify(reply)
        except ModelError as error:
            if facts is not None and error.response is None:
                error.response = {"content": "", "response_metadata": {"operation": facts}}
            raise
        metadata: dict[str, Any] = response["response_metadata"]  # type: ignore[assignment]  # with fields of our own
        metadata["model_name"] = self.options.model
        if facts is not None:
            metadata["operation"] = facts
        return response

    def _classified(self, whole: Assembly) -> ModelResponse:
        if not whole.complete:
            raise ModelError("The stream ended before the answer did", kind="connection")
        response = self.classify(whole.reply())
        whole.settle(response)
        return response

    def _body(self, messages: Messages) -> dict[str, Any]:
        return {**self._parameters, "messages": wire_messages(messages)}

    async def _token(self) -> Token | None:
        return await self._tokens.get() if self._tokens is not None else None

    async def _read(self, server: JsonHttp, path: str, operation: Operation) -> Reply:
        """One reading; a second one where the token had run out meanwhile: the operation must not be lost for that."""
        token = await self._token()
        reply = await server.get(path, headers=_bearer(token))
        if self._is_renewable(reply, token):
            operation.missed("the token had run out")
            token = await self._token()
            await operation.turn()
            reply = await server.get(path, headers=_bearer(token))
        return self._hidden(reply, token)

    def _received(self, reply: Reply, token: Token | None) -> Reply:
        """The reply, without what it repeats of the credential.

        Raises:
            ModelError: the token has run out; another attempt takes a new one.
        """
        renewable = self._is_renewable(reply, token)
        reply = self._hidden(reply, token)
        if renewable:
            try:
                outcomes.classify(reply)
            except ModelError as error:
                error.retryable = True
                raise
        return reply

    def _is_renewable(self, reply: Reply, token: Token | None) -> bool:
        if token is None or self._tokens is None:
            return False
        if reply.status == 401:
            return self._tokens.refused(token)
        token.accepted = True
        return False

    def _hidden(self, reply: Reply, token: Token | None) -> Reply:
        if reply.status < 400:
            return reply
        secret = self._secret if token is None else token.value
        return Reply(hidden(reply.payload, secret, quotes=reply.status == 401), reply.status, reply.headers)


def _bearer(token: Token | None) -> dict[str, str] | None:
    return None if token is None else {"Authorization": f"Bearer {token.value}"}
