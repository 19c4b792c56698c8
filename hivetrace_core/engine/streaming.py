"""Token streams: the executor's rules for an answer that arrives in pieces.

An attempt may be repeated only as long as nothing of it was handed on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from ..errors import ModelError
from .dispatch import CLOSE_PATIENCE_S, Job
from .executor import REJECTED, SINGLE, Executor, cancels

_log = logging.getLogger("hivetrace_core.engine")

Open = Callable[[Any, Job], AsyncIterator[dict[str, Any]]]


class _AttemptError(Exception):
    """Why an attempt ended, and in how many seconds the next one starts (None: never)."""

    def __init__(self, error: ModelError, delay: float | None) -> None:
        super().__init__(error)
        self.error = error
        self.delay = delay


async def stream(executor: Executor, prompt: Any, open_stream: Open) -> AsyncGenerator[Any, None]:
    """Chunks of one answer; the last one has `response_metadata`.

    Args:
        executor: Whose limits and retries apply. Its timeout is the longest wait for a chunk.
        prompt: The prompt.
        open_stream: Starts one attempt.

    Raises:
        ModelError: with `response` holding the text received before the failure.
    """
    job = Job(SINGLE, prompt)
    try:
        prepared = executor.prepare(prompt)
    except Exception as exc:  # noqa: BLE001  # a prompt may be anything
        malformed = executor.understood(exc)
        executor.complete(malformed, 0)
        raise malformed from None
    while True:
        try:
            async with aclosing(_attempt(executor, job, prepared, open_stream)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except _AttemptError as failed:
            if failed.delay is None:
                raise failed.error from None
            delay = failed.delay
        else:
            return
        await asyncio.sleep(delay)


async def _attempt(
    executor: Executor, job: Job, prepared: Any, open_stream: Open
) -> AsyncGenerator[dict[str, Any], None]:
    lease = await executor.admit(prepared)
    left = executor.time_left(job)
    if left is not None and left <= 0 and job.last_error is not None:
        executor.limits.leave(lease, tokens=0)
        raise _AttemptError(job.last_error, None)
    used: int | None = None
    text: list[str] = []
    job.attempts += 1
    began = executor.begin(job)
    chunks = open_stream(prepared, job)
    try:
        last = False
        while not last:
            chunk = await _next(executor, job, chunks)
            text.append(chunk["content"])
            if last := "response_metadata" in chunk:
                used = executor.succeeded(job, chunk, began)
            yield chunk
    except ModelError as error:
        if any(text):
            error.retryable = False
            if error.response is None:
                error.response = {"content": "".join(text)}
        elif error.kind in REJECTED:
            used = 0
        raise _AttemptError(error, executor.failed(job, error, began)) from None
    finally:
        try:
            await _close(chunks)
        finally:
            executor.limits.leave(lease, tokens=used)


async def _next(executor: Executor, job: Job, chunks: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    job.cancels = cancels()  # each chunk may be asked for by another task
    clock = asyncio.timeout(executor.timeout)
    try:
        async with clock:
            return await anext(chunks)
    except StopAsyncIteration:
        raise ModelError("The stream ended before the answer did", kind="connection") from None
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as exc:  # noqa: BLE001  # the model's code may raise anything
        raise executor.error(exc, job, expired=clock.expired(), timeout=executor.timeout) from None


async def _close(chunks: AsyncIterator[dict[str, Any]]) -> None:
    """Close a provider's stream: what it says, raises or waits for while it is closed concerns nobody any more."""
    if isinstance(chunks, AsyncGenerator):
        try:
            async with asyncio.timeout(CLOSE_PATIENCE_S):
                await chunks.aclose()
        except Exception:  # noqa: BLE001  # the provider's code may raise anything
            _log.debug("A token stream did not close in good order", exc_info=True)
