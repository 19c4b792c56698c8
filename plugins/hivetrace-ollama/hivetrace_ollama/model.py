"""`OllamaModel`: `/api/chat` of an Ollama server."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Unpack

from hivetrace_core import Messages, ModelError, ModelResponse, ProviderModel, Reply, ResponseChunk
from hivetrace_core.http import UNREACHABLE, JsonHttp

from .address import is_hosted
from .assembly import Assembly
from .options import KEY_VARIABLE, OllamaOptions
from .outcomes import classify_ollama
from .params import OllamaParams
from .truncation import least_tokens, was_cut
from .wire import wire_messages

if TYPE_CHECKING:
    from ollama import AsyncClient

_log = logging.getLogger("hivetrace_ollama")

_PATH: Final = "api/chat"


@dataclass(slots=True)
class _Answer(Reply):
    """A reply, with what only the request knows: tokens that the prompt has at least."""

    least_tokens: int = 0


class OllamaModel(ProviderModel[OllamaOptions]):
    """A model of an Ollama server, local or hosted."""

    provider = "ollama"

    def __init__(self, model: str | None = None, **options: Unpack[OllamaParams]) -> None:
        super().__init__(model, **options)
        self._parameters = self.options.parameters()
        self._window = self.options.context_window()
        self._told_of_cut = False

    def make_client(self) -> JsonHttp:
        """Connections for one event loop; core closes them."""
        return JsonHttp(self.options, headers=self.options.auth_headers())

    def check_prompt(self, messages: Messages) -> None:
        """Refuses what the server does not take: see `wire.wire_messages`."""
        wire_messages(messages)

    async def complete(self, client: JsonHttp, messages: Messages) -> Reply:
        """Exactly one request, answered in one piece."""
        body = {**self._parameters, "messages": wire_messages(messages), "stream": False}
        try:
            reply = await client.post(_PATH, body)
        except ModelError as error:
            raise self._explained(error) from None
        return _Answer(reply.payload, reply.status, reply.headers, least_tokens(messages))

    async def stream_complete(self, client: JsonHttp, messages: Messages) -> AsyncGenerator[str | ResponseChunk, None]:
        """One request whose answer arrives as lines of JSON.

        The lines are put together into the payload that the whole answer would have had, and classified by the same
        functions. Reasoning is not streamed; it is in the last chunk's metadata.
        """
        body = {**self._parameters, "messages": wire_messages(messages), "stream": True}
        try:
            async with client.lines(_PATH, body) as stream:
                if stream.reply is not None:
                    response = self.classify(stream.reply)
                    yield {"content": response["content"], "response_metadata": response["response_metadata"]}
                    return
                whole = Assembly(stream.status, stream.headers)
                try:
                    async for line in stream:
                        delta = whole.add(line)
                        if delta:
                            yield delta
                        if whole.over:
                            break
                except ModelError as error:
                    error.response = whole.partial()
                    raise
        except ModelError as error:
            raise self._explained(error) from None
        reply = whole.reply()
        response = self.classify(_Answer(reply.payload, reply.status, reply.headers, least_tokens(messages)))
        yield {"content": "", "response_metadata": response["response_metadata"]}

    def classify(self, reply: Reply) -> ModelResponse:
        """See `outcomes.classify_ollama`.

        An answer to a prompt that the server cannot have read whole has `prompt_truncated: true` in its metadata.
        """
        try:
            response = classify_ollama(reply)
        except ModelError as error:
            if error.kind == "authentication" and not self._sends_credential():
                _add(error, f"no key was sent: {KEY_VARIABLE} goes to its own server only, so pass api_key=...")
            raise
        if isinstance(reply, _Answer) and was_cut(reply.payload, reply.least_tokens, self._window):
            metadata: Any = response["response_metadata"]
            metadata["prompt_truncated"] = True
            metadata["prompt_tokens_at_least"] = reply.least_tokens
            self._tell_of_cut()
        return response

    def sdk_client(self) -> AsyncClient:
        """The official client with this model's address, credential and TLS, for what is not chat.

        Nothing of the environment is added, redirects are refused. Needs `hivetrace-ollama[sdk]`; the caller closes it.

        Raises:
            MissingDependencyError: the client is not installed.
        """
        from .sdk import sdk_client

        return sdk_client(self.options)

    def _tell_of_cut(self) -> None:
        if not self._told_of_cut:
            self._told_of_cut = True
            _log.warning(
                "%s has read only a part of a prompt: its context window (%s) is too small. Raise num_ctx, or set "
                "truncate and shift to false to get an error instead. Such answers have prompt_truncated in their "
                "metadata; this is said once.",
                self.options.model,
                "the server's default" if self._window is None else f"num_ctx {self._window}",
            )

    def _sends_credential(self) -> bool:
        return bool(self.options.auth_headers() or self.options.extra_headers)

    def _explained(self, error: ModelError) -> ModelError:
        """A failed connection with what to do about it; any other error as it is."""
        if error.code == UNREACHABLE and not is_hosted(self.options.base_url):
            _add(error, "is Ollama running there? Start it with: ollama serve")
        return error


def _add(error: ModelError, hint: str) -> None:
    error.message = f"{error.message} ({hint})"
    error.args = (error.message,)
