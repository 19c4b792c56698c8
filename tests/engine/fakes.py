"""Models, observers and recorders that tell what happened to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from hivetrace_core.contract import unexpected
from hivetrace_core.engine.dispatch import Job
from hivetrace_core.engine.events import Observers, RequestFinished, RequestStarted
from hivetrace_core.engine.executor import Executor, Send
from hivetrace_core.engine.limits import Limits
from hivetrace_core.engine.retry import RetryPolicy
from hivetrace_core.errors import ModelError


def answer(content: str = "fine", **metadata: Any) -> dict[str, Any]:
    """A complete response."""
    return {
        "content": content,
        "response_metadata": {"model_name": "m-1", "finish_reason": "stop", "outcome": "answered", **metadata},
    }


def error(kind: str = "server", message: str = "no", **details: Any) -> ModelError:
    """An error of some kind."""
    return ModelError(message, kind=kind, **details)  # type: ignore[arg-type]


@dataclass
class Target:
    """Answers each prompt by its script: one entry for each request, the last one for all further ones.

    An entry is an exception to raise, a number of seconds to take before the next entry counts, a function of the
    prompt, or a text. Prompts without a script are answered with themselves.
    """

    script: dict[Any, list[Any]] = field(default_factory=dict)
    latency: float | None = None
    sent: list[Any] = field(default_factory=list)
    running: int = 0
    peak: int = 0

    async def send(self, prompt: Any, job: Job) -> dict[str, Any]:
        self.sent.append(prompt)
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            if self.latency is not None:
                await asyncio.sleep(self.latency)
            entries = self.script.get(prompt, [str(prompt)])
            entry = entries[0] if len(entries) == 1 else entries.pop(0)
            while isinstance(entry, (int, float)):
                await asyncio.sleep(entry)
                entry = entries[0] if len(entries) == 1 else entries.pop(0)
            if isinstance(entry, BaseException):
                raise entry
            return answer(entry) if isinstance(entry, str) else await entry(prompt)
        finally:
            self.running -= 1


def executor(
    send: Send | Target,
    *,
    max_attempts: int = 5,
    deadline: float | None = None,
    timeout: float | None = None,
    max_concurrency: int | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    translate: Callable[[BaseException], ModelError] = unexpected,
    **rest: Any,
) -> Executor:
    """An executor in the time of the running loop."""
    loop = asyncio.get_running_loop()
    return Executor(
        send.send if isinstance(send, Target) else send,
        provider="acme",
        model_name="m-1",
        limits=Limits(max_concurrency=max_concurrency, rpm=rpm, tpm=tpm, clock=loop.time),
        policy=RetryPolicy(max_attempts=max_attempts, deadline=deadline),
        timeout=timeout,
        translate=translate,
        max_width=max_concurrency,
        **rest,
    )


async def batch(of: Executor, prompts: Iterable[Any], *, width: int = 4, **how: Any) -> list[dict[str, Any]]:
    """All results of a batch."""
    return [job.result async for job in of.jobs(prompts, width=width, **how)]


@dataclass
class Diary:
    """A recorder and an observer in one."""

    entries: list[tuple[Any, ...]] = field(default_factory=list)
    commit_s: float | None = None

    async def started(self, job: Job) -> None:
        self.entries.append(("intent", job.index, job.attempts))
        if self.commit_s is not None:
            await asyncio.sleep(self.commit_s)
        self.entries.append(("committed", job.index, job.attempts))

    def attempt_failed(self, job: Job, error: ModelError, retry_in: float | None) -> None:
        self.entries.append(("attempt failed", job.index, error.attempts, error.kind, retry_in is not None))

    def observers(self) -> Observers:
        return Observers(started=(self._started,), finished=(self._finished,), retry=(self._retry,))

    def _started(self, event: RequestStarted) -> None:
        self.entries.append(("started", event.index, event.attempt))

    def _finished(self, event: RequestFinished) -> None:
        self.entries.append(("finished", event.index, event.attempt, event.outcome or (event.error or {}).get("kind")))

    def _retry(self, event: Any) -> None:
        self.entries.append(("retry", event.index, event.attempt, event.error["kind"]))
