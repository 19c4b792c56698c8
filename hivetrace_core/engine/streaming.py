"""Token streams: the executor's rules for an answer that arrives in pieces.

An attempt may be repeated only as long as nothing of it was handed on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from ..errors import ModelError
from .dispatch import Job
from .executor import SINGLE, Executor

Open = Callable[[Any, Job], AsyncIterator[dict[str, Any]]]


async def stream(executor: Executor, prompt: Any, open_stream: Open, *, timeout: float | None) -> AsyncGenerator[Any, None]:
    """Chunks of one answer; the last one has `response_metadata`.

    Args:
        executor: Whose limits and retries apply.
        prompt: The prompt.
        open_stream: Starts one attempt.
        timeout: Seconds to wait for each chunk.

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
        text: list[str] = []
        lease = await executor.admit(prepared)
        job.attempts += 1
        began = executor.begin(job)
        used: int | None = None
        error: ModelError | None = None
        chunks = open_stream(prepared, job)
        try:
            while error is None:
                clock = asyncio.timeout(timeout)
                try:
                    async with clock:
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    error = ModelError("The stream ended before the answer did", kind="connection")
                except (Exception, SystemExit, asyncio.CancelledError) as exc:
                    error = executor.error(exc, expired=clock.expired(), timeout=timeout)
                    if error is None:
                        raise
                else:
                    text.append(chunk["content"])
                    if "response_metadata" in chunk:
                        used = executor.succeeded(job, chunk, began)
                        yield chunk
                        return
                    yield chunk
        finally:
            if isinstance(chunks, AsyncGenerator):
                # A provider's generator that yields while it is being closed has nothing to say any more.
                with suppress(RuntimeError):
                    await chunks.aclose()
            executor.limits.leave(lease, tokens=used)
        if any(text):
            error.retryable = False
            if error.response is None:
                error.response = {"content": "".join(text)}
        delay = executor.failed(job, error, began)
        if delay is None:
            raise error
        await asyncio.sleep(delay)
