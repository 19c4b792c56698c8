"""`GeminiNativeModel`: one request to generateContent, whole or as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, Final, Unpack

from hivetrace_core import Messages, ModelError, ModelResponse, ProviderModel, Reply, ResponseChunk
from hivetrace_core.http import JsonHttp

from . import outcomes
from .assembly import Assembly
from .contents import contents_of
from .events import StreamLines
from .options import GeminiOptions
from .params import GeminiParams

if TYPE_CHECKING:
    from google.genai import Client

_EVENTS: Final = {"Accept": "text/event-stream"}


class GeminiNativeModel(ProviderModel[GeminiOptions]):
    """Gemini through its own API (the Gemini Developer API). See `GeminiOptions`."""

    provider = "gemini"

    def __init__(self, model: str | None = None, **options: Unpack[GeminiParams]) -> None:
        super().__init__(model, **options)
        self._parameters = self.options.parameters()
        self._path = self.options.path("generateContent")
        self._stream_path = f"{self.options.path('streamGenerateContent')}?alt=sse"

    def make_client(self) -> JsonHttp:
        """Connections for one event loop; core closes them."""
        return JsonHttp(self.options, headers=self.options.auth_headers())

    def check_prompt(self, messages: Messages) -> None:
        """Refuses what the API does not take: see `contents.contents_of`."""
        contents_of(messages)

    async def complete(self, client: JsonHttp, messages: Messages) -> Reply:
        """Exactly one request."""
        return await client.post(self._path, self._body(messages))

    async def stream_complete(self, client: JsonHttp, messages: Messages) -> AsyncGenerator[str | ResponseChunk, None]:
        """One request whose answer arrives as server-sent events.

        The pieces are put together into the payload that the whole answer would have had, and classified by the same
        functions. Thoughts are no part of the text; they are in the last chunk's metadata.
        """
        async with client.lines(self._stream_path, self._body(messages), headers=_EVENTS) as stream:
            if stream.reply is not None:
                yield _whole(self.classify(stream.reply))
                return
            lines, answer = StreamLines(), Assembly(stream.status, stream.headers)
            try:
                async for line in stream:
                    for chunk in lines.feed(line):
                        if delta := answer.add(chunk):
                            yield delta
                if lines.events == 0 and (lines.bare() is not None or not _is_event_stream(stream.headers)):
                    yield _whole(self._in_one_piece(lines.bare(), answer))
                    return
                for chunk in lines.end():
                    if delta := answer.add(chunk):
                        yield delta
            except ModelError as error:
                error.response = error.response or answer.partial()
                raise
            response = self._classified(answer)
            yield {"content": "", "response_metadata": response["response_metadata"]}

    def classify(self, reply: Reply) -> ModelResponse:
        """See `outcomes.classify`."""
        return outcomes.classify(reply)

    def sdk_client(self) -> Client:
        """The official SDK's client with this model's address, key and TLS, for what is not chat.

        Its own retries are off and nothing of the environment is added. Needs `hivetrace-gemini[sdk]`; the caller
        closes it.

        Raises:
            MissingDependencyError: the SDK is not installed.
        """
        from .sdk import sdk_client

        return sdk_client(self.options)

    def _body(self, messages: Messages) -> dict[str, Any]:
        return {**contents_of(messages), **self._parameters}

    def _classified(self, answer: Assembly) -> ModelResponse:
        if not answer.complete:
            raise ModelError("The stream ended without a finish reason", kind="connection", response=answer.partial())
        return self.classify(answer.reply())

    def _in_one_piece(self, payload: Any, answer: Assembly) -> ModelResponse:
        """What a server that knows no events has sent: an answer, or a list of chunks, or something else."""
        if not isinstance(payload, list):
            return self.classify(Reply(payload, *answer.head))
        for chunk in payload:
            answer.add(chunk)
        return self._classified(answer)


def _is_event_stream(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").lower().startswith(_EVENTS["Accept"])


def _whole(response: ModelResponse) -> ResponseChunk:
    return {"content": response["content"], "response_metadata": response["response_metadata"]}
