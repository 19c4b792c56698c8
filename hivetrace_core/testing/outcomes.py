"""Outcomes: what the provider says is what the response says, for every signal that its dialect can spell."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from ..responses import Reply
from .bench import Bench, ending
from .standard import needs

SAID: Final = ("answered", "truncated", "refused", "blocked", "tool_calls", "empty", "unknown")

KINDS: Final = (
    "authentication",
    "permission",
    "rate_limit",
    "quota",
    "context_length",
    "bad_request",
    "not_found",
    "timeout",
    "server",
    "response_format",
)

STAGES: Final = {stage: {"outcome": "blocked", "stage": stage, "text": "Well,"} for stage in ("prompt", "response")}

FINISH: Final = {
    "answered": "stop",
    "truncated": "length",
    "blocked": "content_filter",
    "tool_calls": "tool_calls",
    "unknown": "unknown",
}


@needs("wire")
class OutcomeTests(Bench):
    """Models with a dialect that spells outcomes."""

    def test_every_variant_of_the_dialect_is_classified_as_its_table_says(self) -> None:
        """Each named signal of the provider, in a whole answer."""
        variants = dict(self.spoken().variants)

        assert self._ends({name: {"variant": name} for name in variants}) == variants

    def test_every_outcome_and_kind_of_error_arrives_as_what_it_is(self) -> None:
        """A block is never an error, an error never a block, an unknown answer never a success."""
        assert self._ends(self.neutral()) == {name: name for name in self.neutral()}

    @needs("blocks")
    def test_the_two_stages_of_a_block_are_both_blocks(self) -> None:
        """Before the model has said anything, and after."""
        assert self._ends(STAGES) == dict.fromkeys(STAGES, "blocked")

    @needs("blocks")
    def test_a_block_says_where_it_happened_and_by_which_rule(self) -> None:
        """It is a response, and costs one request: blocks are never retried."""
        for stage_name in ("prompt", "response"):
            with self.stage({"outcome": "blocked", "stage": stage_name, "categories": ["hate"]}) as stage:
                response: Any = stage.model(max_attempts=3).invoke("Hello")
                requests = len(stage.asked())

            metadata = response["response_metadata"]
            assert requests == 1
            assert "error" not in response
            assert metadata["finish_reason"] == "content_filter"
            assert metadata["block"]["stage"] in ("prompt", "response", "unspecified")
            assert metadata["block"]["rule"]
            assert isinstance(metadata["block"].get("categories", []), list)

    def test_only_blocked_answers_count_as_blocked(self) -> None:
        """`is_answer_blocked` is true for blocks, and for nothing else: neither refusals nor errors."""
        rules = self.neutral()
        with self.stage(*by_prompt(rules)) as stage:
            model = stage.model()
            responses = {name: stage.model().batch([name])[0] for name in rules}
            blocked = {name for name, response in responses.items() if model.is_answer_blocked(response)}

        assert blocked == {"blocked"} & rules.keys()

    def test_the_finish_reason_is_neutral_and_the_providers_own_word_is_kept(self) -> None:
        """`finish_reason` is one of six words; what the provider wrote stands beside it."""
        rules = {name: rule for name, rule in self.neutral().items() if name in FINISH}
        with self.stage(*by_prompt(rules)) as stage:
            found: dict[str, Any] = {name: stage.model().invoke(name)["response_metadata"] for name in rules}

        assert {name: metadata["finish_reason"] for name, metadata in found.items()} == {
            name: FINISH[name] for name in rules
        }
        if "unknown" in found:
            assert found["unknown"]["native_finish_reason"], "the word that nobody knew is lost"

    def test_the_reply_is_kept_as_it_came(self) -> None:
        """`complete` returns the last raw reply, so that the journal can be classified anew when a rule is mended."""
        for rule in ({"outcome": "answered", "text": "Good day"}, {"outcome": "unknown"}, {"error": "bad_request"}):
            if self.speaks(rule.get("error", rule.get("outcome", ""))):
                reply, sent = asyncio.run(self._reply(rule))

                assert isinstance(reply, Reply), "complete returned a finished response and no raw reply"
                assert reply.status == sent.status
                assert reply.payload == json.loads(sent.body)

    async def _reply(self, rule: Mapping[str, Any]) -> tuple[Any, Any]:
        with self.stage(rule) as stage:
            model = stage.model()
            client = model.make_client()
            try:
                reply = await model.complete(client, [{"role": "user", "content": "Hello"}])
            finally:
                await model.close_client(client)
            return reply, stage.dialect.replies[-1]

    def neutral(self) -> dict[str, dict[str, Any]]:
        """A rule for every outcome and kind of error that the provider has words for."""
        rules: dict[str, dict[str, Any]] = {outcome: {"outcome": outcome} for outcome in SAID}
        rules |= {kind: {"error": kind} for kind in KINDS}
        return {name: rule for name, rule in rules.items() if self.speaks(name)}

    def _ends(self, rules: Mapping[str, Mapping[str, Any]], *, stream: bool = False) -> dict[str, str]:
        """How a prompt ends that each of the rules decides."""

        async def all_of_them(stage: Any) -> dict[str, str]:
            # A model each: a refused key would stop the next one, and a rate limit would hold it up.
            endings = (ending(stage.model(**self.params_for(name)), name, stream=stream) for name in rules)
            return dict(zip(rules, await asyncio.gather(*endings), strict=True))

        with self.stage(*by_prompt(rules)) as stage:
            return asyncio.run(all_of_them(stage))


@needs("wire", "stream")
class StreamedOutcomeTests(OutcomeTests):
    """Models that stream their answers."""

    def test_every_variant_is_classified_the_same_in_a_stream(self) -> None:
        """The pieces of a stream mean what the whole answer would have meant."""
        variants = dict(self.spoken().variants)

        assert self._ends({name: {"variant": name} for name in variants}, stream=True) == variants

    def test_every_outcome_and_kind_of_error_arrives_in_a_stream_too(self) -> None:
        """Whether the provider says it with a status or in the middle of the stream."""
        assert self._ends(self.neutral(), stream=True) == {name: name for name in self.neutral()}

    @needs("blocks")
    def test_the_two_stages_of_a_block_are_both_blocks_in_a_stream_too(self) -> None:
        """Before the first piece, and after some."""
        assert self._ends(STAGES, stream=True) == dict.fromkeys(STAGES, "blocked")


def by_prompt(rules: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same rules, each for the prompt of its name."""
    return [{"match": f"^{re.escape(name)}$", **rule} for name, rule in rules.items()]
