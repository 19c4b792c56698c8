"""Retries: as many requests as the responses say, as late as the provider asks, and none where none can help."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from ..errors import ModelError
from ..http import wait_seconds
from ..mockserver import Turn
from ..registry import hookimpl, load_observers
from .bench import Bench, outcome_of
from .standard import needs

WAIT_S: Final = 0.6
"""Longer than any wait before a second attempt that nobody asked for."""


class Watcher:
    """Counts what observers are told."""

    def __init__(self) -> None:
        self.started = 0
        self.delays: list[float] = []

    @hookimpl
    def hivetrace_request_started(self, event: Any) -> None:
        """A request is about to be sent."""
        self.started += 1

    @hookimpl
    def hivetrace_retry_scheduled(self, event: Any) -> None:
        """A failed request will be sent again."""
        self.delays.append(event.delay_s)


@needs("wire")
class RetryTests(Bench):
    """Models whose requests can be counted from the other end."""

    @pytest.mark.parametrize("form", ["seconds", "ms", "date"])
    def test_a_wait_that_the_provider_asks_for_is_understood(self, form: Any) -> None:
        """In all its forms: seconds, milliseconds and HTTP dates."""
        turn = Turn(outcome="failed", error="rate_limit", retry_after=30.0, retry_after_form=form)
        rule = {"error": "rate_limit", "retry_after": 30.0, "retry_after_form": form}
        with self.stage(rule) as stage:
            with pytest.raises(ModelError) as caught:
                stage.model().invoke("Hello")
            spelt = stage.dialect.spoken.reply(stage.dialect.requests[0], turn)

        asked = wait_seconds({name.lower(): value for name, value in spelt.headers.items()}) or 30.0
        assert caught.value.kind == "rate_limit"
        assert caught.value.retry_after == pytest.approx(asked, abs=3.0), f"the provider asked for {asked} s"

    def test_a_retry_comes_no_earlier_than_the_provider_asks(self) -> None:
        """A 429 with a wait, then an answer: two requests, and the wait between them."""
        watcher = Watcher()
        with self.stage({"times": 1, "error": "rate_limit", "retry_after": WAIT_S}) as stage:
            model = stage.model(max_attempts=3)
            model.observers = load_observers([watcher])
            response = model.invoke("Hello")
            first, second = stage.asked()

        assert outcome_of(response) == "answered"
        assert response["response_metadata"]["attempts"] == 2
        assert len(watcher.delays) == 1
        # A provider may round up to whole seconds.
        assert WAIT_S <= watcher.delays[0] <= 2.5
        assert second.time - first.time >= WAIT_S - 0.01

    def test_a_dead_key_is_tried_once_and_then_nothing_more_is_sent(self) -> None:
        """Authentication errors are never retried; in a batch the rest is `not_sent`."""
        with self.stage({"error": "authentication"}) as stage:
            with pytest.raises(ModelError) as caught:
                stage.model(max_attempts=3).invoke("Hello")

            assert (caught.value.kind, caught.value.retryable) == ("authentication", False)
            assert len(stage.asked()) == 1
            stage.server.reset()
            responses = stage.model(max_attempts=3).batch([f"prompt {n}" for n in range(12)], batch_size=1)

            assert len(stage.asked()) == 1
        assert [response["error"]["kind"] for response in responses] == ["authentication"] + ["not_sent"] * 11
        assert [response["response_metadata"]["attempts"] for response in responses] == [1] + [0] * 11

    def test_attempts_are_exactly_the_requests_that_the_provider_counts(self) -> None:
        """A server that always fails gets `max_attempts` requests for a prompt: nothing below core retries as well."""
        watcher = Watcher()
        with self.stage({"error": "server", "retry_after": 0.01}) as stage:
            model = stage.model(max_attempts=3)
            model.observers = load_observers([watcher])
            with pytest.raises(ModelError) as caught:
                model.invoke("Hello")
            requests = len(stage.asked())

        assert caught.value.kind == "server"
        assert requests == 3
        assert caught.value.attempts == 3
        assert watcher.started == 3
        assert len(watcher.delays) == 2

    def test_one_attempt_is_one_request_whatever_goes_wrong(self) -> None:
        """Neither an error nor a broken connection is retried behind core's back."""
        wrong: list[dict[str, Any]] = [
            {"match": kind, "error": kind} for kind in ("rate_limit", "server", "timeout", "authentication")
        ]
        wrong += [{"match": fault, "fault": fault} for fault in ("reset", "empty", "cut")]
        with self.stage(*wrong) as stage:

            async def all_of_them() -> list[Any]:
                calls = [stage.model(max_attempts=1).ainvoke(rule["match"]) for rule in wrong]
                return list(await asyncio.gather(*calls, return_exceptions=True))

            errors = asyncio.run(all_of_them())
            requests = sorted(record.prompt for record in stage.asked())

        assert requests == sorted(rule["match"] for rule in wrong)
        assert [type(error).__name__ for error in errors] == ["ModelError"] * len(wrong)
        assert {error.attempts for error in errors} == {1}

    def test_a_prompt_that_always_fails_does_not_stop_the_others(self) -> None:
        """It is recorded with its attempts, and the batch goes on."""
        with self.stage({"match": "poison", "error": "server", "retry_after": 0.01}) as stage:
            prompts = ["one", "poison", "two", "three"]
            responses = stage.model(max_attempts=2).batch(prompts, batch_size=1)

        assert [outcome_of(response) for response in responses] == ["answered", "failed", "answered", "answered"]
        assert [response["response_metadata"]["attempts"] for response in responses] == [1, 2, 1, 1]
