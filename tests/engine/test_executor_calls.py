"""Single calls: attempts, timeouts, deadlines, and whatever a model may raise."""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import suppress
from typing import Any

import pytest

from hivetrace_core.engine.dispatch import Job
from hivetrace_core.errors import ModelError
from hivetrace_core.redaction import Redactor

from .fakes import Target, answer, batch, error, executor
from .virtual_time import now, run

SECRET = "sk-live-0123456789abcdef"


def failure(coroutine: Any) -> ModelError:
    """The error that a single call raises."""

    async def main() -> ModelError:
        with pytest.raises(ModelError) as caught:
            await coroutine()
        return caught.value

    return run(main())


def failure_of(target: Target | Any, prompt: Any = "p", **options: Any) -> ModelError:
    return failure(lambda: executor(target, **options).call(prompt))


def test_an_answer_comes_with_what_only_the_engine_knows() -> None:
    async def main() -> dict[str, Any]:
        return await executor(Target(latency=1.25)).call("hello")

    response = run(main())

    assert response["content"] == "hello"
    assert response["response_metadata"] == {
        "model_name": "m-1",
        "finish_reason": "stop",
        "outcome": "answered",
        "attempts": 1,
        "latency_s": 1.25,
    }


def test_a_failed_request_is_sent_again_until_it_is_answered() -> None:
    async def main() -> tuple[dict[str, Any], Target]:
        target = Target({"p": [error("server"), error("rate_limit"), 2, "at last"]})
        return await executor(target).call("p"), target

    response, target = run(main())

    assert response["content"] == "at last"
    assert response["response_metadata"]["attempts"] == len(target.sent) == 3
    assert response["response_metadata"]["latency_s"] == 2  # of the attempt that was answered


@pytest.mark.parametrize("max_attempts", [1, 2, 4])
def test_the_last_error_is_raised_with_the_number_of_requests(max_attempts: int) -> None:
    target = Target({"p": [error("connection"), error("server", status=503)]})
    raised = failure_of(target, max_attempts=max_attempts)

    assert raised.attempts == len(target.sent) == max_attempts
    assert raised.kind == ("connection" if max_attempts == 1 else "server")
    assert (raised.provider, raised.model) == ("acme", "m-1")


def test_what_an_error_says_of_provider_and_model_stays() -> None:
    raised = failure_of(Target({"p": [error("quota", provider="other", model="m-2")]}))

    assert (raised.provider, raised.model, raised.attempts) == ("other", "m-2", 1)


def test_an_error_that_no_attempt_can_cure_is_raised_at_once() -> None:
    target = Target({"p": [error("authentication")]})

    assert failure_of(target).attempts == len(target.sent) == 1


def test_the_providers_wait_is_waited_before_the_next_attempt() -> None:
    async def main() -> float:
        begin = now()
        await executor(Target({"p": [error("rate_limit", retry_after=30), "ok"]})).call("p")
        return now() - begin

    assert 30 <= run(main()) <= 31


@pytest.mark.parametrize("wait", [math.nan, math.inf, -math.inf, -5.0])
def test_a_wait_that_makes_no_sense_counts_as_none(wait: float) -> None:
    async def main() -> float:
        begin = now()
        of = executor(Target({"p": [error("rate_limit", retry_after=wait), "ok"]}), deadline=60)
        await of.call("p")
        assert of.breaker.tripped is None
        assert of.limits.paused_for == 0
        return now() - begin

    assert run(main()) <= 0.5
    raised = failure_of(Target({"p": [error("rate_limit", retry_after=wait)]}), max_attempts=1)
    assert raised.retry_after is None


def test_a_malformed_prompt_is_refused_before_anything_is_sent() -> None:
    def prepare(prompt: Any) -> Any:
        raise ModelError("Malformed prompt", kind="bad_request")

    target = Target()
    raised = failure_of(target, prepare=prepare)

    assert (raised.kind, raised.attempts, raised.provider) == ("bad_request", 0, "acme")
    assert target.sent == []


def test_whatever_checking_a_prompt_raises_concerns_that_prompt_only() -> None:
    def prepare(prompt: Any) -> Any:
        if prompt == "odd":
            raise RecursionError("too deep")
        return prompt

    async def main() -> list[dict[str, Any]]:
        return await batch(executor(Target(), prepare=prepare), ["a", "odd", "b"])

    first, odd, last = run(main())

    assert (first["content"], last["content"]) == ("a", "b")
    assert (odd["error"]["kind"], odd["response_metadata"]["attempts"]) == ("unexpected", 0)


# Time


def test_an_attempt_without_an_answer_is_given_up_and_tried_again() -> None:
    async def main() -> tuple[dict[str, Any], float]:
        begin = now()
        response = await executor(Target({"p": [100, "too late", 1, "in time"]}), timeout=10).call("p")
        return response, now() - begin

    response, took = run(main())

    assert response["content"] == "too late"  # the first entry was cut off, the second one answers at once
    assert response["response_metadata"]["attempts"] == 2
    assert 10 <= took <= 10.5


def test_a_timeout_says_how_long_it_waited() -> None:
    raised = failure_of(Target(latency=100), timeout=2.5, max_attempts=1)

    assert (raised.kind, raised.message, raised.retryable) == ("timeout", "No answer within 2.5 s", True)


def test_a_models_own_timeout_error_is_not_taken_for_ours() -> None:
    raised = failure_of(Target({"p": [TimeoutError("socket")]}), timeout=10)

    assert (raised.kind, raised.message) == ("unexpected", "TimeoutError: socket")


def test_the_deadline_holds_over_all_attempts() -> None:
    async def main() -> tuple[ModelError, float, int]:
        target = Target(latency=1000)
        begin = now()
        with pytest.raises(ModelError) as caught:
            await executor(target, timeout=20, deadline=50, max_attempts=100).call("p")
        return caught.value, now() - begin, len(target.sent)

    raised, took, sent = run(main())

    assert raised.kind == "timeout"
    assert raised.attempts == sent
    assert sent >= 3
    assert took <= 50.001


def test_the_last_attempt_gets_only_the_time_that_is_left() -> None:
    async def main() -> float:
        target = Target({"p": [error("server", retry_after=30), 1000, "never"]})
        begin = now()
        with pytest.raises(ModelError, match="No answer within"):
            await executor(target, timeout=100, deadline=50).call("p")
        return now() - begin

    assert run(main()) == pytest.approx(50)


def test_the_deadline_counts_from_the_first_request_and_not_from_the_wait_before_it() -> None:
    async def main() -> dict[str, Any]:
        of = executor(Target(latency=5), deadline=10)
        of.limits.pause(1000)
        return await of.call("p")

    assert run(main())["response_metadata"]["attempts"] == 1


def test_a_deadline_that_passes_while_waiting_for_the_limits_ends_the_prompt_with_its_last_error() -> None:
    async def main() -> None:
        target = Target({"p": [error("server", message="the last one"), "too late"]})
        of = executor(target, deadline=60)
        for _ in range(19):
            of.breaker.failed(error("server"))
        asyncio.get_running_loop().call_later(0, of.limits.pause, 1000)
        with pytest.raises(ModelError, match="the last one") as caught:
            await of.call("p")
        assert caught.value.attempts == len(target.sent) == 1
        # It has failed for good, like any other.
        assert of.breaker.tripped is caught.value

    run(main())


# Cancellation


def test_a_cancelled_call_is_cancelled_and_gives_its_place_back() -> None:
    async def main() -> None:
        of = executor(Target(latency=100), max_concurrency=1)
        task = asyncio.create_task(of.call("p"))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert of.limits.try_enter() is not None

    run(main())


def test_a_cancellation_that_escapes_from_the_models_own_code_is_the_models_fault() -> None:
    async def send(prompt: Any, job: Job) -> dict[str, Any]:
        lost = asyncio.get_running_loop().create_future()
        lost.cancel()
        await lost
        raise AssertionError

    raised = failure_of(send)

    assert (raised.kind, raised.message) == ("unexpected", "The model's call was cancelled from inside")


@pytest.mark.parametrize("single", [True, False])
def test_a_model_that_turns_its_cancellation_into_an_error_is_not_asked_again(single: bool) -> None:
    sent = []

    async def send(prompt: Any, job: Job) -> dict[str, Any]:
        sent.append(prompt)
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            raise error("connection", "the connection went away") from None
        return answer()

    failed = []

    class Recorder:
        async def started(self, job: Job) -> None:
            return

        def attempt_failed(self, job: Job, error: ModelError, retry_in: float | None) -> None:
            failed.append(error)

    async def main() -> None:
        of = executor(send)
        call = of.call("p") if single else batch(of, ["p"], recorder=Recorder())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await call

    run(main())

    assert sent == ["p"]
    assert failed == []  # nobody knows what became of the request


def test_a_task_that_once_swallowed_a_cancellation_can_still_make_calls() -> None:
    async def stray(prompt: Any) -> dict[str, Any]:
        raise asyncio.CancelledError

    async def main() -> list[str]:
        kinds = []

        async def survivor() -> None:
            with suppress(asyncio.CancelledError):  # and goes on
                await asyncio.sleep(100)
            for entry in (stray, error("server"), "fine"):
                try:
                    await executor(Target({"p": [entry]}), max_attempts=1).call("p")
                    kinds.append("answered")
                except ModelError as exc:
                    kinds.append(exc.kind)
            try:
                await executor(Target(latency=100), timeout=1, max_attempts=1).call("p")
            except ModelError as exc:
                kinds.append(exc.kind)

        task = asyncio.create_task(survivor())
        await asyncio.sleep(1)
        task.cancel()
        await task
        return kinds

    assert run(main()) == ["unexpected", "server", "answered", "timeout"]


# Whatever a model may raise


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (ValueError("wrong"), "ValueError: wrong"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (SystemExit(3), "SystemExit: 3"),
        (type("OddError", (BaseException,), {})("odd"), "OddError: odd"),
        (UnprintableError(), "UnprintableError"),
        (RecursionError("deep"), "RecursionError: deep"),
        (MemoryError(), "MemoryError"),
        (StopAsyncIteration("end"), "StopAsyncIteration: end"),
        (ExceptionGroup("several", [ValueError("one")]), "ExceptionGroup: several (1 sub-exception)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_anything_a_model_raises_becomes_an_error_of_that_prompt(
    raised: BaseException, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> list[dict[str, Any]]:
        return await batch(executor(Target({"bad": [raised]})), ["a", "bad", "b"])

    first, bad, last = run(main())

    assert (first["content"], last["content"]) == ("a", "b")
    assert bad["error"] == {"kind": "unexpected", "message": message, "status": None, "retryable": False}
    assert bad["response_metadata"]["outcome"] == "failed"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "m-1 failed on a prompt" in record.getMessage()
    assert "Traceback" in record.getMessage()


@pytest.mark.parametrize("single", [True, False])
def test_a_keyboard_interrupt_is_nobodys_failed_prompt(single: bool) -> None:
    target = Target({"p": [KeyboardInterrupt()]})

    async def main() -> None:
        of = executor(target)
        await (of.call("p") if single else batch(of, ["a", "p", "b"]))

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())


def test_a_foreseen_exception_is_not_logged_with_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def translate(exc: BaseException) -> ModelError:
        return error("permission", "Not for you")

    raised = failure_of(Target({"p": [PermissionError("x")]}), translate=translate)

    assert (raised.kind, raised.message, raised.attempts) == ("permission", "Not for you", 1)
    assert caplog.records == []


def test_secrets_are_taken_out_of_messages_and_logs(caplog: pytest.LogCaptureFixture) -> None:
    redactor = Redactor([SECRET])
    for raised in (ValueError(f"bad key {SECRET}"), error("authentication", f"key {SECRET} is dead")):
        caught = failure_of(Target({"p": [raised]}), redactor=redactor)

        assert SECRET not in str(caught)
        assert SECRET not in caught.message
        assert "***" in caught.message
    assert "ValueError: bad key ***" in caplog.text
    assert SECRET not in caplog.text


def test_a_message_that_is_no_text_becomes_one() -> None:
    raised = failure_of(Target({"p": [ModelError(ValueError("odd"), kind="quota")]}))  # type: ignore[arg-type]

    assert raised.message == str(raised) == "odd"


def test_an_error_does_not_drag_the_providers_exception_along() -> None:
    # Its text may hold what the message does not.
    raised = failure_of(Target({"p": [ValueError(SECRET)]}), redactor=Redactor([SECRET]))

    assert raised.__cause__ is None
    assert raised.__context__ is None
