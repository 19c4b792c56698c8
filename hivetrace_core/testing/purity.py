"""Pure and total functions: `is_answer_blocked` and `classify` take anything, change nothing, and never crash."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ..errors import ErrorKind, ModelError
from ..mockserver import Turn
from ..provider import ProviderModel
from ..responses import FinishReason, Reply
from .bench import Bench, Stage
from .outcomes import KINDS, SAID
from .standard import needs
from .strategies import OUTCOMES, STATUSES, headers, json_values, mangled, odd_objects, quick, responses, variations


class PurityTests(Bench):
    """Any model."""

    def test_is_answer_blocked_takes_anything_and_never_raises(self) -> None:
        """Exports and judges call it on whatever they have read from somewhere."""
        with self.stage() as stage:
            model = stage.model()

            @quick(100)
            @given(json_values() | responses() | odd_objects())
            def check(value: Any) -> None:
                before = _frozen(value)
                verdict = model.is_answer_blocked(value)

                assert isinstance(verdict, bool)
                assert verdict is model.is_answer_blocked(value), "the same response, another verdict"
                assert _frozen(value) == before, "the response was changed"

            check()

    def test_is_answer_blocked_is_true_for_the_outcome_blocked_only(self) -> None:
        """A refusal is not a block, and neither is an error or an empty answer."""
        with self.stage() as stage:
            model = stage.model()
            verdicts = {
                outcome: model.is_answer_blocked({"content": "x", "response_metadata": {"outcome": outcome}})
                for outcome in OUTCOMES
            }

        assert verdicts == {outcome: outcome == "blocked" for outcome in OUTCOMES}

    def test_classify_makes_a_response_or_an_error_of_any_reply(self) -> None:
        """A provider that answers in a way nobody has seen must not stop a run."""
        with self.stage() as stage:
            model = stage.model()

            @quick(100)
            @given(json_values(), st.sampled_from(STATUSES), headers())
            def check(payload: Any, status: int, sent: dict[str, str]) -> None:
                check_classified(model.classify, Reply(payload, status, sent))

            check()


@needs("wire")
class MangledReplyTests(Bench):
    """Models with a dialect, whose replies can be made nearly right."""

    def test_classify_bears_replies_that_are_nearly_right(self) -> None:
        """Real replies with some places changed: null for a list, text for a number, a key that is gone."""
        with self.stage() as stage:
            model = stage.model()
            replies = self._replies(stage, model)

            for reply in replies:
                for status in STATUSES:
                    check_classified(model.classify, Reply(reply.payload, status, reply.headers))
                for payload in variations(reply.payload):
                    check_classified(model.classify, Reply(payload, reply.status, reply.headers))
            payloads = [reply.payload for reply in replies]

            @quick(60)
            @given(mangled(payloads), st.sampled_from((200, 200, *STATUSES)), headers())
            def check(payload: Any, status: int, sent: dict[str, str]) -> None:
                check_classified(model.classify, Reply(payload, status, sent))

            check()

    def _replies(self, stage: Stage, model: ProviderModel[Any]) -> list[Reply]:
        """A reply of the provider's for everything that it can say."""
        model.invoke("Hello")
        request, dialect = stage.dialect.requests[-1], stage.dialect.spoken
        turns = [Turn(outcome=outcome, text="Well, yes.") for outcome in SAID if self.speaks(outcome)]
        turns += [Turn(outcome="failed", error=kind) for kind in KINDS if self.speaks(kind)]
        for name, meaning in dialect.variants.items():
            if meaning in OUTCOMES:
                turns.append(Turn(outcome=meaning, text="Well, yes.", variant=name))  # type: ignore[arg-type]  # it is in OUTCOMES
            else:
                turns.append(Turn(outcome="failed", error=meaning, variant=name))  # type: ignore[arg-type]  # else a kind
        spelt = [dialect.reply(request, turn) for turn in turns]
        return [Reply(json.loads(one.body), one.status) for one in spelt if one.body[:1] in (b"{", b"[")]


_FINISH: Final = get_args(FinishReason)
_KINDS: Final = frozenset(get_args(ErrorKind)) - {"unexpected", "not_sent"}


Classify: TypeAlias = Callable[[Reply], Mapping[str, Any]]


def check_classified(classify: Classify, reply: Reply) -> Mapping[str, Any]:
    """Check what a pure classifier makes of a reply: a response or a `ModelError`, twice the same, and nothing changed.

    Args:
        classify: A model's method, or the function that it calls.
        reply: Any reply, also one that no provider would send.

    Returns:
        The response; empty where the classifier raised the error that the reply means.

    Raises:
        AssertionError: a response breaks the contract.
        Exception: whatever a classifier raises that is no `ModelError`.
    """
    before = _frozen(reply)
    _, *first = _classified(classify, reply)
    response, *second = _classified(classify, reply)

    assert _frozen(reply) == before, "classify changed the reply"
    assert first == second, "classify made something else of the same reply"
    if response is None:
        assert first[0][0] in _KINDS, "no kind that a reply can mean"
        return {}
    assert isinstance(response["content"], str)
    metadata = response.get("response_metadata", {})
    outcome = metadata.get("outcome", "unknown")
    assert outcome in OUTCOMES
    assert outcome != "failed", "a failure is raised and not returned"
    assert metadata.get("finish_reason", "stop") in _FINISH
    assert not (outcome == "answered" and reply.status >= 400), "an HTTP error counts as an answer"
    if outcome == "blocked":
        assert metadata["block"]["rule"]
        assert metadata["block"]["stage"] in ("prompt", "response", "unspecified")
    json.dumps(response)
    return response


def _classified(classify: Classify, reply: Reply) -> tuple[Mapping[str, Any] | None, Any, Any]:
    """The response, or None; what it or the error in its place says, which nothing changes any more; and the wait."""
    try:
        response = classify(reply)
    except ModelError as error:
        wait = None if error.retry_after is None else pytest.approx(error.retry_after)
        return None, (error.kind, error.message, error.status, error.code, error.retryable), wait
    return response, _frozen(response), None


def _frozen(value: Any) -> str:
    return repr(value)
