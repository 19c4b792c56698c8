"""`ProviderModel`: everything a model has to be, from one coroutine that makes exactly one request.

An author writes an options class, `make_client` and `complete`, and usually `classify`. Order, concurrency, limits,
retries, the breaker, blocking calls, several event loops, observers and timing are core's.
"""

from __future__ import annotations

import logging
import os
import threading
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from functools import partial
from queue import SimpleQueue
from typing import Any, ClassVar, ForwardRef, Generic, Self, TypeVar, cast, get_args, get_origin

from .answers import finished, piece
from .connections import Connections, NoClientError, close_ordinarily
from .contract import Model, blocking_batch, check_batch_size, check_prompts, own_verdict
from .engine.dispatch import Job
from .engine.events import Observers
from .engine.executor import Executor
from .engine.limits import Limits
from .engine.portal import portal, run_blocking
from .engine.retry import RetryPolicy
from .engine.streaming import stream as stream_attempts
from .engine.tokens import EXPECTED_ANSWER, estimate_tokens, used_tokens
from .errors import ModelError, meaning_of, unexpected
from .messages import Messages, normalize
from .options import ModelOptions
from .redaction import Redactor
from .responses import ModelResponse, Reply, ResponseChunk

OptionsT = TypeVar("OptionsT", bound=ModelOptions)

_log = logging.getLogger("hivetrace_core.models")


class ProviderModel(Model, Generic[OptionsT]):
    """Base of all providers.

    Args:
        model: The provider's own model id.
        options: Fields of the class's options.

    Raises:
        ConfigError: an option is unknown, missing or out of range.
    """

    options_class: ClassVar[type[ModelOptions]] = ModelOptions
    provider: str = ""
    """The plugin's name; set by the registry, by default derived from the class's name."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in cls.__dict__.get("__orig_bases__", ()):
            origin = get_origin(base)
            if isinstance(origin, type) and issubclass(origin, ProviderModel):
                for argument in get_args(base):
                    if isinstance(argument, type) and issubclass(argument, ModelOptions):
                        cls.options_class = argument
                    elif isinstance(argument, ForwardRef):
                        raise TypeError(
                            f"{cls.__name__}: name the options class itself, not {argument.__forward_arg__!r}"
                        )
        if "provider" not in cls.__dict__:
            cls.provider = cls.__name__.removesuffix("Model").lower()

    def __init__(self, model: str | None = None, **options: Any) -> None:
        if model is not None:
            options["model"] = model
        self.options = cast(OptionsT, self.options_class.parse(options, where=type(self).__name__))
        self._redactor = Redactor(self.options.secrets())
        self._lock = threading.Lock()
        self._observers: Observers | None = None
        self._executor: Executor | None = None
        self._pid = os.getpid()
        self._connections = Connections(self)
        self._verdict = own_verdict(self)

    # What an author writes

    def make_client(self) -> Any:
        """A client for the running event loop; by default none.

        Raises:
            HiveTraceError: it cannot be made (a key that fits no header, a missing package); ends the whole call.
        """
        return None

    async def close_client(self, client: Any) -> None:
        """Close a client in its own loop; by default by its `aclose` or `close`."""
        await close_ordinarily(client)

    def check_prompt(self, messages: Messages) -> None:
        """Refuse a prompt that this provider cannot be sent (a role or an image that it does not know).

        Called before the prompt waits for anything: nothing is sent, no attempt is counted, that prompt fails alone.

        Args:
            messages: In canonical form.

        Raises:
            ModelError: kind `bad_request`, with what to change.
        """

    @abstractmethod
    async def complete(self, client: Any, messages: Messages) -> Reply | Mapping[str, Any]:
        """Make exactly one request.

        Args:
            client: What `make_client` made for this loop.
            messages: In canonical form.

        Returns:
            The reply as it came, whatever its status, for `classify`; or a finished response, where there is no raw
            payload to keep.
        """

    def stream_complete(self, client: Any, messages: Messages) -> AsyncIterator[str | ResponseChunk]:
        """Make one request and yield its text as it arrives; the last item is a chunk with `response_metadata`.

        Where it is not overridden, token streams consist of one chunk.
        """
        return self._stream_whole(client, messages)

    def classify(self, reply: Reply) -> ModelResponse:
        """What a reply means: a response, or the `ModelError` that it amounts to. Pure.

        Raises:
            ModelError: the reply is an error of the provider's.
        """
        raise ModelError(
            f"{type(self).__name__}.complete returned a raw reply, but the class has no classify", kind="unexpected"
        )

    def classify_error(self, exc: Exception) -> ModelError:
        """What an exception of `complete` means, where it is not a `ModelError` already."""
        return meaning_of(exc)

    # What every provider has

    @property
    def executor(self) -> Executor:
        """Limits, breaker and retries of this instance, shared by all its calls."""
        current = self._executor
        if current is None or self._pid != os.getpid():
            with self._lock:
                # After a fork, places held by the parent's requests would never come back.
                if self._executor is None or self._pid != os.getpid():
                    self._pid = os.getpid()
                    self._executor = self._make_executor()
                current = self._executor
        return current

    @property
    def observers(self) -> Observers | None:
        """Who is told of this instance's requests."""
        return self._observers

    @observers.setter
    def observers(self, observers: Observers | None) -> None:
        self._observers = observers
        if self._executor is not None:
            self._executor.observers = observers or Observers()

    def invoke(self, prompt: Any) -> ModelResponse:
        """Answer one prompt, blocking.

        Raises:
            ModelError: the request failed, after the retries that its kind allows.
        """
        return run_blocking(self.ainvoke(prompt))

    async def ainvoke(self, prompt: Any) -> ModelResponse:
        """Answer one prompt.

        Raises:
            ModelError: the request failed, after the retries that its kind allows.
        """
        try:
            return cast(ModelResponse, await self.executor.call(prompt))
        except ModelError as error:
            # An SDK's exception behind it may show headers and keys.
            raise error from None

    def batch(self, prompts: Any, batch_size: int | None = None) -> list[ModelResponse]:
        """Answer many prompts, blocking. See `Model.batch`."""
        return cast(list[ModelResponse], blocking_batch(self, prompts, batch_size, lazily=True))

    async def abatch(self, prompts: Any, batch_size: int | None = None) -> list[ModelResponse]:
        """Answer many prompts. See `Model.abatch`."""
        return [response async for response in self.stream_abatch(prompts, batch_size)]

    async def stream_abatch(
        self, prompts: Any, batch_size: int | None = None, *, ordered: bool = True
    ) -> AsyncIterator[ModelResponse]:
        """Answer many prompts and yield the responses.

        Args:
            prompts: Any iterable or async iterable of prompts, read as they are needed.
            batch_size: Requests in flight; by default the option of that name.
            ordered: In the order of the prompts; False to get them as they complete (`index` says which is which).
        """
        check_prompts(prompts)
        width = check_batch_size(batch_size, self.options.batch_size)
        async with aclosing(self.executor.jobs(prompts, width=width, ordered=ordered)) as jobs:
            async for job in jobs:
                yield job.result

    async def astream(self, prompt: Any) -> AsyncGenerator[ResponseChunk, None]:
        """Answer one prompt piece by piece; the last chunk has the metadata of the whole.

        Raises:
            ModelError: with the text received so far in `response`. An attempt is repeated only before its first chunk.
        """
        chunks = stream_attempts(self.executor, prompt, self._open_stream)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    def stream(self, prompt: Any) -> Iterator[ResponseChunk]:
        """`astream`, blocking."""
        # One task reads the whole answer: a provider's timeouts and connections may belong to the task that made them.
        pieces: SimpleQueue[ResponseChunk | None] = SimpleQueue()

        async def read() -> None:
            try:
                async with aclosing(self.astream(prompt)) as chunks:
                    async for chunk in chunks:
                        pieces.put(chunk)
            finally:
                pieces.put(None)

        reading = portal().call(read())
        try:
            reading.start()
            while (chunk := pieces.get()) is not None:
                yield chunk
            reading.wait()
        finally:
            reading.cancel()

    def get_params(self) -> dict[str, Any]:
        """The options that are set, with `model_name` and `provider`: JSON-ready, without secrets."""
        own = {"model_name": self.options.model, "provider": self.provider}
        return {**own, **self.options.public(), **own}

    async def aclose(self) -> None:
        """Close all connections; a later call opens new ones."""
        await self._connections.aclose()

    def close(self) -> None:
        """`aclose`, blocking."""
        run_blocking(self.aclose())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.options.model!r})"

    # One attempt

    def _make_executor(self) -> Executor:
        options = self.options
        answer = getattr(options, "max_tokens", None) or EXPECTED_ANSWER
        return Executor(
            self._send,
            provider=self.provider,
            model_name=options.model,
            limits=Limits(max_concurrency=options.max_concurrency, rpm=options.rpm, tpm=options.tpm),
            policy=RetryPolicy(max_attempts=options.max_attempts, deadline=options.deadline),
            timeout=options.timeout,
            prepare=self._prepare,
            translate=self._translate,
            estimate=partial(estimate_tokens, answer=answer) if options.tpm is not None else None,
            used=used_tokens if options.tpm is not None else None,
            observers=self._observers,
            redactor=self._redactor,
            max_width=options.max_concurrency,
        )

    def _prepare(self, prompt: Any) -> Messages:
        messages = normalize(prompt)
        self.check_prompt(messages)
        return messages

    async def _send(self, messages: Messages, job: Job) -> dict[str, Any]:
        reply = await self.complete(await self._connections.get(), messages)
        if isinstance(reply, Reply):
            job.reply = reply
            return self._finished(self.classify(reply))
        return self._finished(reply)

    def _finished(self, given: Any) -> dict[str, Any]:
        return finished(
            given,
            who=type(self).__name__,
            model_name=self.options.model,
            provider=self.provider,
            is_blocked=self._verdict,
            redactor=self._redactor,
        )

    def _translate(self, exc: BaseException) -> ModelError:
        if isinstance(exc, NoClientError):
            raise exc.reason from None
        if not isinstance(exc, Exception):
            return unexpected(exc)
        try:
            error = self.classify_error(exc)
        except ModelError as raised:
            return raised
        except Exception as broken:  # noqa: BLE001  # a plugin's code may raise anything
            trace = self._redactor.traceback(broken)
            _log.error("classify_error of %s failed\n%s", type(self).__name__, trace)
            return unexpected(exc)
        return error if isinstance(error, ModelError) else unexpected(exc)

    async def _open_stream(self, messages: Messages, job: Job) -> AsyncGenerator[dict[str, Any], None]:
        parts: list[str] = []
        items = self.stream_complete(await self._connections.get(), messages)
        try:
            async for item in items:
                chunk = piece(item, who=type(self).__name__)
                parts.append(chunk["content"])
                if "response_metadata" in chunk:
                    whole = self._finished({**chunk, "content": "".join(parts)})
                    chunk["response_metadata"] = whole["response_metadata"]
                yield chunk
        finally:
            if isinstance(items, AsyncGenerator):
                await items.aclose()

    async def _stream_whole(self, client: Any, messages: Messages) -> AsyncGenerator[ResponseChunk, None]:
        reply = await self.complete(client, messages)
        response = self._finished(self.classify(reply) if isinstance(reply, Reply) else reply)
        yield {"content": response["content"], "response_metadata": response["response_metadata"]}
