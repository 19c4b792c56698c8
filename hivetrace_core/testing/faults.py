"""Faults below the provider: broken connections and answers that are none. Each is a failure, and none is an answer."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from ..errors import ModelError
from .bench import Bench, outcome_of
from .standard import needs

FAULTS: Final[dict[str, frozenset[str]]] = {
    "reset": frozenset({"connection"}),
    "hang": frozenset({"timeout"}),
    "garbage": frozenset({"response_format", "connection"}),
    "html": frozenset({"response_format"}),
    "empty": frozenset({"response_format"}),
    "cut": frozenset({"connection", "response_format"}),
    "half": frozenset({"response_format"}),
    "wrong_length": frozenset({"response_format", "connection"}),
    "redirect": frozenset({"not_found", "bad_request", "response_format", "permission"}),
}
"""What goes wrong, and the kinds of errors that say so."""

IDLE_S: Final = 0.1
"""Whoever sends at the very moment in which the server closes cannot know better."""

HARMLESS: Final = ("trickle", "slow_headers")


@needs("wire")
class FaultTests(Bench):
    """Models with connections that can break."""

    def test_every_fault_of_the_wire_is_a_failure_of_a_sensible_kind(self) -> None:
        """A single call raises a `ModelError`; what broke off never counts as an answer or as a block."""
        found = self._each([{"match": f"^{fault}$", "fault": fault} for fault in FAULTS], timeout=1.0)

        assert {fault: kind for fault, kind in found.items() if kind not in FAULTS[fault]} == {}

    def test_slow_and_odd_but_whole_answers_are_answers(self) -> None:
        """How an answer is cut into packets changes nothing."""
        found = self._each([{"match": f"^{fault}$", "fault": fault, "pace": 0.0005} for fault in HARMLESS])

        assert found == dict.fromkeys(HARMLESS, "answered")

    def test_a_model_is_usable_after_every_fault(self) -> None:
        """A broken connection is not used again, and the breaker lets a new call try."""
        with self.stage(*({"match": f"^{fault}$", "fault": fault} for fault in FAULTS if fault != "hang")) as stage:
            model = stage.model()
            for fault in FAULTS:
                if fault != "hang":
                    model.batch([fault])

                assert outcome_of(model.invoke("Hello")) == "answered", f"after {fault}"

    def test_redirects_are_not_followed(self) -> None:
        """The key would go along."""
        with self.stage({"match": "away", "fault": "redirect"}) as stage:
            response = stage.model().batch(["away"])[0]
            paths = [record.path for record in stage.server.log]

        assert outcome_of(response) == "failed"
        assert [path for path in paths if path.startswith("/_elsewhere")] == []

    def test_a_connection_that_the_provider_has_closed_costs_no_prompt(self) -> None:
        """Idle connections are closed by servers all the time."""
        with self.stage({"match": "last", "fault": "close_idle"}) as stage:
            model = stage.model()
            outcomes = []
            for prompt in ("last", "next", "last", "next"):
                outcomes.append(outcome_of(model.invoke(prompt)))
                time.sleep(IDLE_S)

        assert outcomes == ["answered"] * 4

    def _each(self, rules: list[dict[str, Any]], **options: Any) -> dict[str, str]:
        """How the prompt of each rule ends."""

        async def ends(stage: Any) -> list[str]:
            prompts = [rule["fault"] for rule in rules]
            # A model each: a failure of one must not stop the next one.
            return await asyncio.gather(*(_ending(stage.model(**options), prompt) for prompt in prompts))

        with self.stage(*rules) as stage:
            return dict(zip([rule["fault"] for rule in rules], asyncio.run(ends(stage)), strict=True))


async def _ending(model: Any, prompt: str) -> str:
    try:
        return outcome_of(await model.ainvoke(prompt))
    except ModelError as error:
        return error.kind
