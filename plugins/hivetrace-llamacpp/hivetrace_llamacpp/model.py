"""The model: options and messages on one side, the engine on the other."""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final, Unpack

from hivetrace_core import ConfigError, Messages, ModelError, ModelResponse, ProviderModel, Reply, ResponseChunk

from . import outcomes
from .gguf import inspect
from .native import installed
from .options import LlamaCppOptions
from .params import LlamaCppParams
from .requests import Answer, Event, Request, Sampling, Tokens

if TYPE_CHECKING:  # they need numpy, and this module says what to install where it is missing
    from .chat import ChatFormat
    from .context import ContextSettings
    from .engine import Engine
    from .engines import Lease
    from .vocabulary import Vocabulary

LONG_PROMPT: Final = 4000
"""Characters from which a prompt is read in another thread: the event loop must not wait for it."""

_log = logging.getLogger("hivetrace_llamacpp")


class LlamaCppModel(ProviderModel[LlamaCppOptions]):
    """A GGUF file in this process, through llama.cpp.

    The file is checked at once; it is loaded with the first prompt and stays loaded until `close`.

    Args:
        model: A name for the responses.
        options: Fields of `LlamaCppOptions`; `model_path` is required.

    Raises:
        ConfigError: an option is wrong, or the file is missing, no GGUF, cut off, or without a chat template.
        MissingDependencyError: llama-cpp-python or numpy is not installed.
    """

    provider = "llamacpp"

    def __init__(self, model: str = "", **options: Unpack[LlamaCppParams]) -> None:
        super().__init__(model, **options)
        installed()
        own = self.options
        self._file = inspect(own.model_path)
        if own.chat_format is None and own.chat_template is None and self._file.chat_template is None:
            raise ConfigError(
                f"{own.model_path} has no chat template. Pass chat_format=... with one of llama.cpp's formats "
                f"(chatml, llama3, gemma, ...), chat_template=... with a Jinja template, or chat_format='raw' for a "
                "model that was not trained on conversations."
            )
        trained = self._file.trained_context
        if trained is not None and own.n_ctx > trained:
            _log.warning("%s was trained on %d tokens; n_ctx is %d", own.model, trained, own.n_ctx)
        self._hold_lock = threading.Lock()
        self._lease: Lease | None = None
        self._format: tuple[Vocabulary, ChatFormat] | None = None
        self._sampling: Sampling | None = None

    def make_client(self) -> Lease:
        """A share in the engine: the same for all event loops, kept until `close`."""
        from .chat import check_format, check_template
        from .devices import layers_to_offload
        from .engines import Lease, check_process
        from .memory import check_file

        check_process()
        with self._hold_lock:
            if self._lease is None:
                own = self.options
                self._sampling = self._make_sampling()
                check_format(own.chat_format)
                check_template(own.chat_template or (None if own.chat_format else self._file.chat_template))
                layers = layers_to_offload(own.n_gpu_layers)
                if not own.use_mmap and not layers:
                    check_file(self._file.path, self._file.size)
                self._lease = Lease(self._settings(layers))
                # A model that is dropped without being closed must not keep gigabytes.
                weakref.finalize(self, self._lease.release).atexit = False
            return self._lease

    async def close_client(self, client: Lease) -> None:
        """Nothing: the share is the model's, not the event loop's."""

    async def aclose(self) -> None:
        """Free the model, unless another one shares it; what is under way fails. A later call loads it again."""
        await super().aclose()
        with self._hold_lock:
            lease, self._lease, self._format = self._lease, None, None
        engine = lease.release() if lease is not None else None
        if engine is not None:
            await asyncio.to_thread(engine.join)

    async def complete(self, client: Lease, messages: Messages) -> Reply:
        """One answer."""
        from .engine import answer

        engine = client.engine
        events: asyncio.Queue[Event] = asyncio.Queue()
        request = await self._request(engine, messages, events, streams=False)
        return self._reply(await answer(engine, request, events))

    async def stream_complete(self, client: Lease, messages: Messages) -> AsyncGenerator[str | ResponseChunk, None]:
        """One answer, token by token."""
        engine = client.engine
        events: asyncio.Queue[Event] = asyncio.Queue()
        request = await self._request(engine, messages, events, streams=True)
        engine.submit(request)
        try:
            while isinstance(event := await events.get(), str):
                yield event
        finally:
            request.cancelled = True
        if isinstance(event, ModelError):
            raise event
        response = self.classify(self._reply(event))
        yield {"content": "", "response_metadata": response["response_metadata"]}

    def classify(self, reply: Reply) -> ModelResponse:
        """See `outcomes.classify`."""
        return outcomes.classify(reply)

    async def _request(
        self, engine: Engine, messages: Messages, events: asyncio.Queue[Event], *, streams: bool
    ) -> Request:
        vocabulary = await engine.opened()
        tokens = await self._tokens(vocabulary, messages)
        own = self.options
        if len(tokens) >= own.n_ctx:
            raise ModelError(
                f"The prompt has {len(tokens)} tokens, and n_ctx={own.n_ctx} leaves no room for an answer. "
                "Shorten it or choose a larger n_ctx.",
                kind="context_length",
            )
        assert self._sampling is not None  # noqa: S101  # made with the client
        return Request(
            tokens=tokens,
            max_tokens=own.max_tokens,
            sampling=self._sampling,
            stops=own.stops(),
            streams=streams,
            loop=asyncio.get_running_loop(),
            deliver=events.put_nowait,
        )

    async def _tokens(self, vocabulary: Vocabulary, messages: Messages) -> Tokens:
        from .chat import ChatFormat
        from .engine import closed_error
        from .vocabulary import ClosedError

        known = self._format
        if known is None or known[0] is not vocabulary:
            own = self.options
            template = own.chat_template or self._file.chat_template
            known = self._format = (
                vocabulary,
                ChatFormat(
                    vocabulary,
                    template=template,
                    name=own.chat_format,
                    variables=own.chat_template_kwargs,
                    parse_special=own.parse_special,
                ),
            )
        read = known[1].tokens
        try:
            if sum(len(str(message["content"])) for message in messages) > LONG_PROMPT:
                return await asyncio.to_thread(read, messages)
            return read(messages)
        except ClosedError:
            raise closed_error() from None

    def _reply(self, answer: Answer) -> Reply:
        usage = {
            "input_tokens": answer.input_tokens,
            "output_tokens": len(answer.tokens),
            "cached_tokens": answer.cached_tokens,
        }
        return Reply({"model": self.options.model, "content": answer.text, "finish": answer.finish, "usage": usage})

    def _make_sampling(self) -> Sampling:
        from .grammars import grammar_of

        own = self.options
        return Sampling(
            temperature=own.temperature,
            top_k=own.top_k,
            top_p=own.top_p,
            min_p=own.min_p,
            repeat_penalty=own.repeat_penalty,
            frequency_penalty=own.frequency_penalty,
            presence_penalty=own.presence_penalty,
            penalty_last_n=own.penalty_last_n,
            seed=own.seed,
            grammar=grammar_of(own.grammar, own.response_format),
        )

    def _settings(self, layers: int) -> ContextSettings:
        from .context import ContextSettings

        own = self.options
        return ContextSettings(
            file=self._file,
            window=own.n_ctx,
            slots=own.batch_size,
            cells=own.kv_cells,
            gpu_layers=layers,
            threads=own.n_threads,
            step_tokens=max(own.n_batch, 2 * own.batch_size),
            deterministic=own.deterministic,
            flash_attn=own.flash_attn,
            prefix_cache=own.prefix_cache,
            use_mmap=own.use_mmap,
        )
