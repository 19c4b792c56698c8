"""Token streams: the executor's rules for an answer that arrives in pieces.

An attempt may be repeated only as long as nothing of it was handed on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any

from ..errors import ModelError
from .dispatch import Job
from .executor import SINGLE, Executor

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
    except ModelError as malformed:
        executor.complete(malformed, 0)
        raise
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
    used: int | None = None
    text: list[str] = []
    job.attempts += 1
    began = executor.begin(job)
    chunks = open_stream(prepared, job)
    try:
        last = False
        while not last:
            chunk = await _next(executor, chunks)
            text.append(chunk["content"])
            if last := "response_metadata" in chunk:
                used = executor.succeeded(job, chunk, began)
            yield chunk
    except ModelError as error:
        if any(text):
            error.retryable = False
            if error.response is None:
                error.response = {"content": "".join(text)}
        raise _AttemptError(error, executor.failed(job, error, began)) from None
    finally:
        if isinstance(chunks, AsyncGenerator):
            # A provider's generator that yields while it is being closed has nothing to say any more.
            with suppress(RuntimeError):
                await chunks.aclose()
        executor.limits.leave(lease, tokens=used)


async def _next(executor: Executor, chunks: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    clock = asyncio.timeout(executor.timeout)
    try:
        async with clock:
            return await anext(chunks)
    except StopAsyncIteration:
        raise ModelError("The stream ended before the answer did", kind="connection") from None
    except (Exception, SystemExit, asyncio.CancelledError) as exc:
        error = executor.error(exc, expired=clock.expired(), timeout=executor.timeout)
        if error is None:
            raise
        raise error from None
