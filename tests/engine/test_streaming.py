"""Token streams: attempts, partial answers, and ends of all kinds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from hivetrace_core.engine.dispatch import CLOSE_PATIENCE_S, Job
from hivetrace_core.engine.executor import Executor
from hivetrace_core.engine.streaming import stream
from hivetrace_core.errors import ModelError

from .fakes import Diary, answer, error, executor
from .virtual_time import now, run

END = {"content": "", "response_metadata": {"model_name": "m-1", "finish_reason": "stop", "outcome": "answered"}}


@dataclass
class Provider:
    """Streams one script for each attempt: texts, seconds to wait, exceptions, or the last chunk (`END`)."""

    attempts: list[list[Any]]
    closed: int = 0
    opened: int = 0
    at_close: Callable[[], Any] | None = None
    story: list[str] = field(default_factory=list)

    async def open(self, prompt: Any, job: Job) -> AsyncIterator[dict[str, Any]]:
        self.opened += 1
        try:
            for entry in self.attempts[min(job.attempts, len(self.attempts)) - 1]:
                if isinstance(entry, float):
                    await asyncio.sleep(entry)
                elif isinstance(entry, BaseException):
                    raise entry
                else:
                    yield {"content": entry} if isinstance(entry, str) else answer("", **entry["response_metadata"])
        finally:
            self.closed += 1
            if self.at_close is not None:
                await self.at_close()


async def read(of: Executor, provider: Provider, prompt: Any = "p") -> list[dict[str, Any]]:
    return [chunk async for chunk in stream(of, prompt, provider.open)]


def failure(provider: Provider, **options: Any) -> ModelError:
    async def main() -> ModelError:
        of = executor(provider.open, max_concurrency=1, **options)  # type: ignore[arg-type]
        with pytest.raises(ModelError) as caught:
            await read(of, provider)
        assert of.limits.try_enter() is not None  # the place is free again
        return caught.value

    raised = run(main())
    assert provider.opened == provider.closed == raised.attempts
    return raised


def test_pieces_arrive_as_they_come_and_the_last_one_has_the_metadata_of_the_whole() -> None:
    provider = Provider([["Hel", 1.0, "lo", 1.5, END]])
    diary = Diary()

    async def main() -> tuple[list[tuple[float, str]], dict[str, Any]]:
        begin = now()
        of = executor(provider.open, observers=diary.observers())  # type: ignore[arg-type]
        pieces = [(now() - begin, chunk) async for chunk in stream(of, "p", provider.open)]
        return [(when, chunk["content"]) for when, chunk in pieces], pieces[-1][1]["response_metadata"]

    pieces, metadata = run(main())

    assert pieces == [(0, "Hel"), (1, "lo"), (2.5, "")]
    assert (metadata["attempts"], metadata["latency_s"], metadata["outcome"]) == (1, 2.5, "answered")
    assert "index" not in metadata
    assert diary.entries == [("started", None, 1), ("finished", None, 1, "answered")]


def test_an_attempt_that_fails_before_its_first_piece_is_repeated() -> None:
    provider = Provider([[error("server")], [1.0, error("connection")], ["fine", END]])
    diary = Diary()

    async def main() -> list[dict[str, Any]]:
        return await read(executor(provider.open, observers=diary.observers()), provider)  # type: ignore[arg-type]

    chunks = run(main())

    assert [chunk["content"] for chunk in chunks] == ["fine", ""]
    assert chunks[-1]["response_metadata"]["attempts"] == 3
    assert provider.opened == provider.closed == 3
    assert [entry[0] for entry in diary.entries] == ["started", "finished", "retry"] * 2 + ["started", "finished"]


def test_pieces_without_text_do_not_forbid_another_attempt() -> None:
    provider = Provider([["", error("server")], ["fine", END]])

    async def main() -> list[str]:
        return [chunk["content"] for chunk in await read(executor(provider.open), provider)]  # type: ignore[arg-type]

    assert run(main()) == ["", "fine", ""]


def test_an_attempt_that_fails_after_its_first_piece_is_not_repeated_and_its_text_is_kept() -> None:
    provider = Provider([["Once ", "upon", error("connection", message="cut")], ["never", END]])
    raised = failure(provider)

    assert (raised.kind, raised.message, raised.retryable, raised.attempts) == ("connection", "cut", False, 1)
    assert raised.response == {"content": "Once upon"}


def test_a_partial_answer_that_the_provider_gives_itself_stays() -> None:
    partial = {"content": "Once upon a", "response_metadata": {"model_name": "m-2"}}
    raised = failure(Provider([["Once ", error("server", response=partial)]]))

    assert raised.response is partial


@pytest.mark.parametrize("pieces", [[], ["text"]])
def test_a_stream_that_ends_without_its_metadata_is_a_broken_connection(pieces: list[str]) -> None:
    raised = failure(Provider([pieces]), max_attempts=2)

    assert (raised.kind, raised.message) == ("connection", "The stream ended before the answer did")
    assert raised.attempts == (1 if pieces else 2)
    assert raised.response == ({"content": "text"} if pieces else None)


def test_an_error_that_no_attempt_can_cure_is_raised_at_once() -> None:
    assert failure(Provider([[error("authentication")]])).attempts == 1


@pytest.mark.parametrize("broken", [ValueError("odd"), SystemExit(2), KeyError("x")])
def test_whatever_the_provider_raises_becomes_an_error(broken: BaseException) -> None:
    raised = failure(Provider([["a", broken]]))

    assert raised.kind == "unexpected"
    assert raised.response == {"content": "a"}
    assert raised.__context__ is None or raised.__suppress_context__


def test_a_stray_cancellation_in_the_provider_is_its_fault() -> None:
    assert failure(Provider([[asyncio.CancelledError()]])).message == "The model's call was cancelled from inside"


def test_the_timeout_is_the_longest_wait_for_a_piece() -> None:
    slow_but_steady = Provider([[2.0, "a", 2.0, "b", 2.0, END]])

    async def main() -> int:
        return len(await read(executor(slow_but_steady.open, timeout=3), slow_but_steady))  # type: ignore[arg-type]

    assert run(main()) == 3
    raised = failure(Provider([["a", 3.5, "b", END]]), timeout=3)
    assert (raised.kind, raised.message, raised.response) == ("timeout", "No answer within 3 s", {"content": "a"})


def test_no_attempt_starts_after_the_deadline() -> None:
    provider = Provider([[error("server", message="the last one")], ["too late", END]])

    async def main() -> None:
        of = executor(provider.open, deadline=60, max_concurrency=1)  # type: ignore[arg-type]
        asyncio.get_running_loop().call_later(0, of.limits.pause, 1000)
        with pytest.raises(ModelError, match="the last one"):
            await read(of, provider)
        assert of.limits.try_enter() is not None

    run(main())

    assert provider.opened == 1


def test_attempts_within_the_deadline_are_made() -> None:
    provider = Provider([[error("server", retry_after=20)], ["fine", END]])

    async def main() -> int:
        return len(await read(executor(provider.open, deadline=60), provider))  # type: ignore[arg-type]

    assert run(main()) == 2


def test_a_task_that_once_swallowed_a_cancellation_can_still_read_streams() -> None:
    provider = Provider([["a", error("server")]])

    async def main() -> str:
        async def survivor() -> str:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(100)
            with pytest.raises(ModelError) as caught:
                await read(executor(provider.open), provider)  # type: ignore[arg-type]
            return caught.value.kind

        task = asyncio.create_task(survivor())
        await asyncio.sleep(1)
        task.cancel()
        return await task

    assert run(main()) == "server"


def test_the_providers_wait_holds_for_streams_too() -> None:
    provider = Provider([[error("rate_limit", retry_after=20)], ["fine", END]])

    async def main() -> float:
        begin = now()
        of = executor(provider.open)  # type: ignore[arg-type]
        reading = asyncio.create_task(read(of, provider))
        await asyncio.sleep(5)
        assert of.limits.paused_for == 15
        await reading
        return now() - begin

    assert 20 <= run(main()) <= 21


@pytest.mark.parametrize("bad", [error("bad_request"), RecursionError("deep")])
def test_a_malformed_prompt_is_refused_before_anything_is_sent(bad: Exception) -> None:
    def prepare(prompt: Any) -> Any:
        raise bad

    provider = Provider([[END]])
    raised = failure(provider, prepare=prepare)

    assert (raised.attempts, raised.provider) == (0, "acme")


# Closing


def test_a_consumer_that_closes_early_closes_the_providers_stream_and_gives_the_place_back() -> None:
    async def unwind() -> None:
        await asyncio.sleep(1)
        provider.story.append("unwound")

    provider = Provider([["a", "b", 100.0, "c", END]], at_close=unwind)

    async def main() -> None:
        of = executor(provider.open, max_concurrency=1)  # type: ignore[arg-type]
        async with aclosing(stream(of, "p", provider.open)) as chunks:
            async for chunk in chunks:
                if chunk["content"] == "b":
                    break
        assert provider.story == ["unwound"]
        assert of.limits.try_enter() is not None

    run(main())

    assert provider.closed == 1


def test_a_cancelled_reader_closes_the_providers_stream() -> None:
    provider = Provider([["a", 100.0, END]])

    async def main() -> None:
        of = executor(provider.open, max_concurrency=1)  # type: ignore[arg-type]
        task = asyncio.create_task(read(of, provider))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert of.limits.try_enter() is not None

    run(main())

    assert (provider.opened, provider.closed) == (1, 1)


def test_a_provider_that_yields_while_it_is_closed_is_not_listened_to() -> None:
    async def stubborn(prompt: Any, job: Job) -> AsyncIterator[dict[str, Any]]:
        try:
            yield {"content": "a"}
        finally:
            yield {"content": "and another thing"}

    async def main() -> None:
        of = executor(stubborn, max_concurrency=1)  # type: ignore[arg-type]
        async with aclosing(stream(of, "p", stubborn)) as chunks:
            assert (await anext(chunks))["content"] == "a"
        assert of.limits.try_enter() is not None

    run(main())


def test_what_a_provider_raises_while_it_is_closed_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "hivetrace_core")

    async def fail() -> None:
        raise OSError("the socket is gone")

    provider = Provider([["a", END, "never reached"]], at_close=fail)

    async def main() -> None:
        of = executor(provider.open, max_concurrency=1)  # type: ignore[arg-type]
        assert len(await read(of, provider)) == 2
        assert of.limits.try_enter() is not None

    run(main())

    assert "the socket is gone" in caplog.text


def test_a_provider_that_hangs_while_it_is_closed_is_left_after_a_while() -> None:
    async def hang() -> None:
        await asyncio.sleep(10_000)

    provider = Provider([["a", END, "never reached"]], at_close=hang)

    async def main() -> float:
        begin = now()
        await read(executor(provider.open), provider)  # type: ignore[arg-type]
        return now() - begin

    assert run(main()) == CLOSE_PATIENCE_S


def test_a_reader_cancelled_during_that_wait_still_gives_the_place_back() -> None:
    async def hang() -> None:
        await asyncio.sleep(10_000)

    provider = Provider([["a", END, "never reached"]], at_close=hang)

    async def main() -> None:
        of = executor(provider.open, max_concurrency=1)  # type: ignore[arg-type]
        task = asyncio.create_task(read(of, provider))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert of.limits.try_enter() is not None

    run(main())


def test_each_piece_may_be_asked_for_by_another_task() -> None:
    # Blocking streams do that: every piece is a call of its own.
    provider = Provider([["a", 0.5, "b", END]])

    async def main() -> list[str]:
        chunks = stream(executor(provider.open, timeout=5), "p", provider.open)  # type: ignore[arg-type]
        texts = [(await asyncio.create_task(anext(chunks)))["content"] for _ in range(3)]
        await asyncio.create_task(chunks.aclose())
        return texts

    assert run(main()) == ["a", "b", ""]


# Tokens


def test_tokens_are_settled_as_in_other_calls() -> None:
    def used(response: Any) -> int:
        return int(response["response_metadata"]["usage"]["total_tokens"])

    async def tokens_left(provider: Provider, max_attempts: int = 1) -> int:
        of = executor(
            provider.open,  # type: ignore[arg-type]
            tpm=1000,
            estimate=lambda prompt: 500,
            used=used,
            max_attempts=max_attempts,
        )
        with suppress(ModelError):
            await read(of, provider)
        return next(free for free in range(1000, -1, -1) if of.limits.try_enter(free) is not None)

    whole = {"content": "", "response_metadata": {**END["response_metadata"], "usage": {"total_tokens": 70}}}  # type: ignore[dict-item]
    assert run(tokens_left(Provider([["a", whole]]))) == 930
    assert run(tokens_left(Provider([[error("rate_limit")]]))) == 1000  # turned away
    assert run(tokens_left(Provider([["a", error("rate_limit")]]))) == 500  # it had begun to answer
    assert run(tokens_left(Provider([[error("connection")]]))) == 500  # nobody knows
