"""`DialectConformance`: a dialect against its model. What a script asks for is exactly what the model reports."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, get_args

from ..errors import ModelError
from ..mockserver import Turn, expected
from ..responses import Outcome
from .bench import Stage, ending, outcome_of
from .outcomes import OutcomeTests, StreamedOutcomeTests, by_prompt
from .standard import needs
from .strategies import variations

FAULTS: Final = (
    "reset",
    "cut",
    "garbage",
    "html",
    "empty",
    "half",
    "wrong_length",
    "redirect",
    "trickle",
    "slow_headers",
)

TRANSIENT: Final[tuple[Mapping[str, Any], ...]] = (
    {"share": 0.2, "times": 1, "fault": "reset"},
    {"share": 0.2, "times": 2, "error": "rate_limit", "retry_after": 0.01},
)

LASTING: Final[tuple[Mapping[str, Any], ...]] = (
    {"share": 0.1, "outcome": "blocked", "stage": "response"},
    {"share": 0.1, "outcome": "truncated"},
    {"share": 0.1, "outcome": "unknown"},
    {"share": 0.1, "error": "context_length"},
)

OF_ONE_PROMPT: Final = frozenset({*get_args(Outcome), "context_length", "bad_request"})
"""Meanings of variants that say nothing about the other prompts of a batch."""


@needs("wire")
class DialectTests(OutcomeTests):
    """Models whose transport makes no mistakes, such as those on `hivetrace_core.http`."""

    def test_each_fault_ends_as_foretold(self) -> None:
        """Exactly as `hivetrace_core.mockserver.expected` says; a cut answer is a broken `connection`, for one."""
        rules = {fault: {"fault": fault, "pace": 0.0005} for fault in FAULTS}
        with self.stage(*by_prompt(rules)) as stage:
            foretold = expected(stage.server.script, FAULTS, self.spoken(), max_attempts=1)
            found = asyncio.run(_endings(stage, FAULTS))

        assert found == {one.prompt: one.error or one.outcome for one in foretold}

    def test_a_batch_ends_as_foretold_in_whatever_order_it_is_sent(self) -> None:
        """Hundreds of requests, many of them repeated: each prompt has its own end after its own number of attempts."""
        rules = [*TRANSIENT, *self._variants_of_one_prompt(), *self._spoken_of(LASTING)]
        prompts = [f"prompt {number}" for number in range(200)]
        with self.stage(*rules, seed=3, text="echo {prompt}") as stage:
            responses = stage.model(max_attempts=5).batch(prompts, batch_size=32)
            foretold = expected(stage.server.script, prompts, self.spoken(), max_attempts=5)
            sent = len(stage.asked())

        for response, one in zip(responses, foretold, strict=True):
            error = response["error"]["kind"] if "error" in response else None
            found = (outcome_of(response), error, response["response_metadata"]["attempts"])
            assert (one.prompt, *found) == (one.prompt, one.outcome, one.error, one.attempts)
            assert one.rule is not None or response["content"] == f"echo {one.prompt}"
        assert sent == sum(one.attempts for one in foretold)

    def test_blocking_calls_end_like_awaited_ones(self) -> None:
        """Every outcome and kind of error, from several threads at once, whole and as a stream."""
        rules = self.neutral()
        streams = [False] if "stream" in self.missing() else [False, True]
        with self.stage(*by_prompt(rules)) as stage, ThreadPoolExecutor(4) as threads:
            for stream in streams:
                found = threads.map(lambda name: _blocking_ending(stage, name, stream), rules)  # noqa: B023  # used up at once

                assert dict(zip(rules, found, strict=True)) == {name: name for name in rules}

    def test_the_servers_key_is_asked_for(self) -> None:
        """A script's `key` is the credential of the model that is answered; a model with another one is refused."""
        with self.stage(key=self.secret) as stage:
            assert outcome_of(stage.model().invoke("Hello")) == "answered"
        with self.stage(key=f"not-{self.secret}") as stage:
            assert asyncio.run(ending(stage.model(), "Hello")) == "authentication"

    def test_a_request_with_any_body_is_understood_or_not_but_never_an_error(self) -> None:
        """Clients send anything. A prompt is text, empty where there is none, and there is always a reply."""
        with self.stage() as stage:
            stage.model().invoke("Hello")
            request, dialect = stage.dialect.requests[-1], stage.dialect.spoken

        nothing: tuple[Any, ...] = (None, [], {}, 3, "Hello")
        assert [dialect.prompt_of(request._replace(body=body)) for body in nothing] == [""] * len(nothing)
        for body in variations(request.body):
            asked = request._replace(body=body)

            assert isinstance(dialect.prompt_of(asked), str)
            assert isinstance(dialect.model_of(asked), str)
            assert isinstance(dialect.wants_stream(asked), bool)
            assert isinstance(dialect.matches(asked), bool)
            assert 200 <= dialect.reply(asked, Turn(outcome="answered", text="Well, yes.")).status < 600

    def _variants_of_one_prompt(self) -> list[dict[str, Any]]:
        """A rule for each variant that leaves the other prompts alone and is not asked again."""
        spoken = self.spoken()
        final = {name for name in spoken.final_variants if spoken.variants[name] == "server"}
        alone = [name for name, means in spoken.variants.items() if means in OF_ONE_PROMPT or name in final]
        return [{"share": 0.5 / len(alone), "variant": name} for name in alone]

    def _spoken_of(self, rules: tuple[Mapping[str, Any], ...]) -> list[Mapping[str, Any]]:
        return [rule for rule in rules if self.speaks(rule.get("outcome") or rule["error"])]


class DialectConformance(StreamedOutcomeTests, DialectTests):
    """For a dialect and the model that it is made for: subclass it as `ModelConformance`, or together with it.

        class TestAcmeModel(ModelConformance, DialectConformance):
            model_class = AcmeModel

            def params(self, base_url: str) -> dict[str, Any]:
                return {"model": "acme-1", "base_url": base_url, "api_key": self.secret}

    Every named variant and every neutral word of a script is classified as it says, over a real wire, whole and in a
    stream, awaited and blocking; faults and whole batches end as `hivetrace_core.mockserver.expected` foretells.
    On its own it holds another configuration of a model against the same: another `mode`, another host of the vendor's.
    """


async def _endings(stage: Stage, prompts: tuple[str, ...]) -> dict[str, str]:
    # A model each: a failure of one must not stop the next one.
    found = await asyncio.gather(*(ending(stage.model(), prompt) for prompt in prompts))
    return dict(zip(prompts, found, strict=True))


def _blocking_ending(stage: Stage, prompt: str, stream: bool) -> str:
    model = stage.model()
    try:
        return outcome_of(list(model.stream(prompt))[-1] if stream else model.invoke(prompt))
    except ModelError as error:
        return error.kind
