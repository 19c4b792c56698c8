"""`Model`: the contract between the tools that send prompts and whatever answers them.

It is a protocol of seven methods and the class to inherit from, under one name. A class that writes only `ainvoke`, or
only `invoke`, gets the other methods; what a class writes itself is used as it is.

    batch -> abatch -> stream_abatch -> ainvoke <-> invoke
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from .answers import finished
from .errors import ConfigError, unexpected
from .responses import outcome_of

if TYPE_CHECKING:
    from .engine.dispatch import Job
    from .engine.events import Observers
    from .engine.executor import Executor
    from .redaction import Redactor

DEFAULT_BATCH_SIZE: Final = 16
"""Requests in flight where neither the call nor the model says how many."""

_METHODS: Final = ("invoke", "ainvoke", "batch", "abatch", "stream_abatch", "is_answer_blocked", "get_params")

_log = logging.getLogger("hivetrace_core.models")


@runtime_checkable
class Model(Protocol):
    """Something that answers prompts.

    A prompt is a string or a list of `{"role", "content"}` messages. A response is a dict with at least `content`.
    Nothing has to be set up in `__init__`, and `super().__init__()` need not be called.

    Batch calls give one response per prompt, in the order of the prompts. A prompt that fails becomes a response with
    `error`; the others go on. Prompts may come from any iterable or async iterable and are read as they are needed.
    """

    def invoke(self, prompt: Any) -> Mapping[str, Any]:
        """Answer one prompt, blocking. Works inside a running event loop too.

        Raises:
            ModelError: the request failed (providers); custom models raise what they like.
        """
        from .engine.portal import run_blocking

        _need(self, "ainvoke")
        return run_blocking(_called(self.ainvoke, prompt))

    async def ainvoke(self, prompt: Any) -> Mapping[str, Any]:
        """Answer one prompt."""
        _need(self, "invoke")
        return await _in_thread(self, prompt)  # type: ignore[no-any-return]  # a custom model's own value

    def batch(self, prompts: Any, batch_size: Any = None) -> Sequence[Mapping[str, Any]]:
        """Answer many prompts, blocking; the iterable is read in the calling thread.

        Args:
            prompts: Prompts.
            batch_size: Requests in flight.
        """
        derived = not (is_written(self, "abatch") or is_written(self, "stream_abatch"))
        return blocking_batch(self, prompts, batch_size, lazily=derived)

    async def abatch(self, prompts: Any, batch_size: Any = None) -> Sequence[Mapping[str, Any]]:
        """Answer many prompts.

        Args:
            prompts: Prompts.
            batch_size: Requests in flight.
        """
        size = {} if batch_size is None else {"batch_size": batch_size}
        return [response async for response in self.stream_abatch(prompts, **size)]

    async def stream_abatch(self, prompts: Any, batch_size: Any = None) -> AsyncIterator[Mapping[str, Any]]:
        """Answer many prompts and yield each response as soon as all before it are there.

        Closing the iterator cancels what is in flight.

        Args:
            prompts: Prompts.
            batch_size: Requests in flight.
        """
        from contextlib import aclosing

        check_prompts(prompts)
        check_written(self)
        executor = executor_of(self, provider="custom", model_name=model_name_of(self))
        async with aclosing(executor.jobs(prompts, width=check_batch_size(batch_size))) as jobs:
            async for job in jobs:
                yield job.result

    def is_answer_blocked(self, response: Any) -> bool:
        """Whether a safety filter blocked this answer. Pure and total: any value, never raises."""
        try:
            return isinstance(response, Mapping) and outcome_of(response) == "blocked"
        except Exception:  # noqa: BLE001  # a mapping whose own methods raise
            return False

    def get_params(self) -> Mapping[str, Any]:
        """What identifies and configures the model: JSON-ready, without secrets."""
        return {"model_name": model_name_of(self)}


def as_model(obj: Any) -> Model:
    """Take any object with `invoke` or `ainvoke` as a model.

    Args:
        obj: A `Model`, an object that has its seven methods, or one that has some of them.

    Raises:
        ConfigError: it has neither `invoke` nor `ainvoke`.
    """
    if isinstance(obj, type):
        raise ConfigError(f"{obj.__name__} is a class: pass an instance of it.")
    if isinstance(obj, Model):
        check_written(obj)
        return obj
    if not any(callable(getattr(obj, name, None)) for name in ("invoke", "ainvoke")):
        raise ConfigError(f"An object of type {type(obj).__name__} is not a model: it has neither invoke nor ainvoke.")
    return _Adapted(obj)


class _Adapted(Model):
    """An object with some of the methods; the rest is derived from those."""

    def __init__(self, obj: Any) -> None:
        self.adapted = obj
        for name in _METHODS:
            method = getattr(obj, name, None)
            if callable(method):
                self.__dict__[name] = method
        self.model_name = model_name_of(obj)


def model_name_of(model: Any) -> str:
    """The name that a model gives itself (`model_name`, `model` or `name`), else its class's."""
    for attribute in ("model_name", "model", "name"):
        value = getattr(model, attribute, None)
        if isinstance(value, str) and value:
            return value
    return type(model).__name__


def check_prompts(prompts: Any) -> None:
    """Refuse a single prompt where many are expected: its characters would become prompts.

    Raises:
        ConfigError: it is a string, bytes or a mapping.
    """
    if isinstance(prompts, (str, bytes, bytearray, Mapping)):
        raise ConfigError(f"Batch calls take a list of prompts, not one {type(prompts).__name__}: pass [prompt].")
    if not any(hasattr(prompts, method) for method in ("__iter__", "__aiter__", "__getitem__")):
        raise ConfigError(f"Batch calls take an iterable of prompts, not an object of type {type(prompts).__name__}.")


def check_batch_size(batch_size: Any, default: int = DEFAULT_BATCH_SIZE) -> int:
    """The window of a call.

    Raises:
        ConfigError: it is not a whole number of at least 1.
    """
    if batch_size is None:
        return default
    if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
        raise ConfigError(f"batch_size is a whole number of at least 1, not {batch_size!r}.")
    return batch_size


def executor_of(
    model: Any,
    *,
    provider: str,
    model_name: str,
    batch_size: int | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    timeout: float | None = None,
    max_attempts: int = 1,
    deadline: float | None = None,
    observers: Observers | None = None,
    redactor: Redactor | None = None,
) -> Executor:
    """The executor of a model: a provider's own, or one built around a custom model's `ainvoke` or `invoke`.

    Args:
        model: Any model. A provider brings its own limits; the ones given here are for custom models.
        provider: Name under which the model was registered.
        model_name: Used where a response does not say which model answered.
        batch_size: Cap on requests in flight.
        rpm: Requests per minute.
        tpm: Tokens per minute.
        timeout: Seconds for one attempt.
        max_attempts: Requests for one prompt; only a `ModelError` that is retryable is tried again.
        deadline: Seconds for one prompt from its first request.
        observers: Who is told of requests.
        redactor: Keeps secrets out of messages and logs.
    """
    own = getattr(model, "executor", None)
    from .engine.executor import Executor
    from .engine.limits import Limits
    from .engine.retry import RetryPolicy
    from .engine.tokens import estimate_tokens, used_tokens
    from .redaction import Redactor

    if isinstance(own, Executor):
        return own
    answer, is_blocked, clean = _answer(model), own_verdict(model), redactor or Redactor()

    async def send(prompt: Any, _: Job) -> dict[str, Any]:
        return finished(
            await answer(prompt),
            who="The model",
            model_name=model_name,
            provider=provider,
            is_blocked=is_blocked,
            redactor=clean,
        )

    return Executor(
        send,
        provider=provider,
        model_name=model_name,
        limits=Limits(max_concurrency=batch_size, rpm=rpm, tpm=tpm),
        policy=RetryPolicy(max_attempts=max_attempts, deadline=deadline),
        timeout=timeout,
        translate=unexpected,
        estimate=estimate_tokens if tpm is not None else None,
        used=used_tokens,
        observers=observers,
        redactor=clean,
    )


def blocking_batch(model: Model, prompts: Any, batch_size: Any, *, lazily: bool) -> Sequence[Mapping[str, Any]]:
    """`abatch`, blocking, whatever kind of iterable the prompts are.

    Args:
        model: Whose `abatch`.
        prompts: Prompts.
        batch_size: Requests in flight; None to leave it to the model.
        lazily: Whether `abatch` takes a stream. A class that wrote its own may count on a list.
    """
    from .engine.portal import run_blocking, run_fed

    check_prompts(prompts)
    size = {} if batch_size is None else {"batch_size": batch_size}
    if isinstance(prompts, list | tuple) or (hasattr(prompts, "__aiter__") and not hasattr(prompts, "__iter__")):
        return run_blocking(_called(model.abatch, prompts, **size))
    if not lazily:
        return run_blocking(_called(model.abatch, list(prompts), **size))
    return run_fed(prompts, lambda stream: _called(model.abatch, stream, **size))


def own_verdict(model: Any) -> Callable[[Mapping[str, Any]], bool] | None:
    """The model's own `is_answer_blocked`; None where it has the one derived here.

    Raises:
        ConfigError: it is a coroutine function, whose every verdict would be true.
    """
    if not is_written(model, "is_answer_blocked"):
        return None
    if inspect.iscoroutinefunction(model.is_answer_blocked):
        raise ConfigError(
            f"is_answer_blocked of {type(model).__name__} is a coroutine function: write it without async."
        )
    return model.is_answer_blocked  # type: ignore[no-any-return]  # any model's method


def _answer(model: Any) -> Callable[[Any], Awaitable[Any]]:
    """One coroutine function around what the model writes: `ainvoke`, or `invoke` in a thread."""
    return partial(_called, model.ainvoke) if is_written(model, "ainvoke") else partial(_in_thread, model)


async def _called(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    # A method that should be a coroutine function and is not may have its result at once, or a future.
    result = method(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result


async def _in_thread(model: Any, prompt: Any) -> Any:
    from .engine.threads import in_thread

    result = await in_thread(model.invoke, prompt)
    return await result if inspect.isawaitable(result) else result


def is_written(model: Any, name: str) -> bool:
    """Whether the model has a method of its own, rather than the one derived here."""
    method = getattr(model, name, None)
    return method is not None and getattr(method, "__func__", method) is not Model.__dict__[name]


def check_written(model: Any) -> None:
    """Raise where a model writes neither of the methods from which the others are derived.

    Raises:
        ConfigError: it inherits both.
    """
    if not (is_written(model, "ainvoke") or is_written(model, "invoke")):
        raise ConfigError(f"{type(model).__name__} writes neither invoke nor ainvoke: write one of them.")


def _need(model: Any, name: str) -> None:
    check_written(model)
    if not is_written(model, name):
        # It wrote the other one and came here by super().
        raise ConfigError(f"{type(model).__name__} has no {name} of its own from which the call could be derived.")
