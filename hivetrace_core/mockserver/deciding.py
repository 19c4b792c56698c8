"""Which rule a request falls under. Depends on the script, the prompt and how often it came, never on a clock."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from statistics import NormalDist
from typing import Final, NamedTuple, cast

from ..errors import ErrorKind
from ..responses import OUTCOMES, Outcome
from .dialect import Dialect, Turn
from .script import Delay, Fault, Rule, Script

_NORMAL: Final = NormalDist()
_PROMPT: Final = "{prompt}"
_REFUSAL: Final = "I can't help with that."

_DELAY_SALT: Final = 0  # rules have salts from 1 on


class Decision(NamedTuple):
    """What to do with one request.

    Attributes:
        turn: What to say.
        fault: What goes wrong below that.
        delay: Seconds to wait first.
        rule: Index of the rule; None where none applied.
        headers: To be added to the reply.
        after: Pieces of a stream before the fault.
        pace: Seconds between pieces.
    """

    turn: Turn
    fault: Fault | None = None
    delay: float = 0.0
    rule: int | None = None
    headers: Mapping[str, str] | None = None
    after: int | None = None
    pace: float | None = None


class Decider:
    """Applies a script's rules, and remembers for rules with `times` how often each has applied to a prompt.

    Args:
        script: The script, checked against the dialects.
        dialects: By name.
    """

    def __init__(self, script: Script, dialects: Mapping[str, Dialect]) -> None:
        self._seed = str(script.seed).encode()[:64]
        self._rules = [_Compiled(index, rule, script, dialects) for index, rule in enumerate(script.rules)]
        self._default = _Compiled(None, Rule(), script, dialects)
        self._tries: dict[tuple[int, int], int] = {}

    def forget(self) -> None:
        """Every prompt counts as never seen."""
        self._tries.clear()

    def decide(self, provider: str, model: str, prompt: str, number: int) -> Decision:
        """What becomes of a request; counts it for the rule that applies.

        Args:
            provider: Name of the dialect.
            model: Id of the model.
            prompt: Text of the last user message.
            number: Which request of all it is, from 1.
        """
        digest: bytes | None = None
        for rule in self._rules:
            if not rule.admits(provider, model, prompt, number):
                continue
            if rule.share < 1:
                digest = digest or _digest(self._seed, prompt)
                if _fraction(digest, rule.salt) >= rule.share:
                    continue
            if rule.times is not None:
                # A hash in place of the text, so that memory does not grow with the length of prompts.
                key = (rule.salt, hash((provider, model, prompt)))
                tries = self._tries.get(key, 0)
                if tries >= rule.times:
                    continue
                self._tries[key] = tries + 1
            return self._settled(rule, provider, prompt, digest)
        return self._settled(self._default, provider, prompt, digest)

    def _settled(self, rule: _Compiled, provider: str, prompt: str, digest: bytes | None) -> Decision:
        decision = rule.decisions[provider]
        if rule.repeats_prompt:
            turn = replace(decision.turn, text=decision.turn.text.replace(_PROMPT, prompt))
            decision = decision._replace(turn=turn)
        if rule.spread:
            z = _NORMAL.inv_cdf(_fraction(digest or _digest(self._seed, prompt), _DELAY_SALT) or 2**-64)
            decision = decision._replace(delay=decision.delay * math.exp(rule.spread * z))
        return decision


class _Compiled:
    """A rule, ready to be applied: a decision for each dialect, made once."""

    __slots__ = (
        "_every", "_match", "_model", "_nth", "_providers", "decisions", "repeats_prompt", "salt", "share", "spread",
        "times",
    )  # fmt: skip

    def __init__(self, index: int | None, rule: Rule, script: Script, dialects: Mapping[str, Dialect]) -> None:
        self._match = re.compile(rule.match) if rule.match is not None else None
        self._model = rule.model
        self._nth, self._every = rule.nth, rule.every
        self._providers = {
            name
            for name, dialect in dialects.items()
            if rule.provider in (None, name)
            and (rule.variant is None or rule.variant in dialect.variants)
            and rule.outcome not in dialect.cannot_say
        }
        self.salt = 0 if index is None else index + 1
        self.share = rule.share
        self.times = rule.times
        delay = rule.delay if rule.delay is not None else script.delay
        self.spread = delay.sigma
        self.decisions = {name: _decision(index, rule, delay, script, dialects[name]) for name in self._providers}
        self.repeats_prompt = any(_PROMPT in decision.turn.text for decision in self.decisions.values())

    def admits(self, provider: str, model: str, prompt: str, number: int) -> bool:
        """Whether the conditions hold that need no memory."""
        return (
            provider in self._providers
            and (self._match is None or self._match.search(prompt) is not None)
            and (self._model is None or self._model == model)
            and (self._nth is None or self._nth == number)
            and (self._every is None or number % self._every == 0)
        )


def _decision(index: int | None, rule: Rule, delay: Delay, script: Script, dialect: Dialect) -> Decision:
    turn = Turn(
        outcome=(outcome := _outcome(rule, dialect)),
        text=rule.text if rule.text is not None else _default_text(outcome, rule, script.text),
        stage=rule.stage,
        categories=tuple(rule.categories),
        error=_error(rule, dialect),
        status=rule.status,
        retry_after=rule.retry_after,
        retry_after_form=rule.retry_after_form,
        variant=rule.variant,
        after=rule.after if rule.error is not None else None,
    )
    return Decision(turn, rule.fault, delay.median, index, rule.headers or None, rule.after, rule.pace)


def _outcome(rule: Rule, dialect: Dialect) -> Outcome:
    if rule.variant is not None:
        meaning = dialect.variants[rule.variant]
        return meaning if meaning in OUTCOMES else "failed"
    return "failed" if rule.error is not None else rule.outcome or "answered"


def _error(rule: Rule, dialect: Dialect) -> ErrorKind | None:
    if rule.variant is not None:
        meaning = dialect.variants[rule.variant]
        return None if meaning in OUTCOMES else cast(ErrorKind, meaning)
    return rule.error


def _default_text(outcome: Outcome, rule: Rule, text: str) -> str:
    if outcome == "refused":
        return _REFUSAL
    silent = outcome in ("empty", "tool_calls", "blocked") or (outcome == "failed" and rule.after is None)
    return "" if silent and rule.variant is None else text


def _digest(seed: bytes, prompt: str) -> bytes:
    return hashlib.blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=16, key=seed).digest()


def _fraction(digest: bytes, salt: int) -> float:
    """A number in [0, 1) that depends on the digest and the salt only."""
    mixed = hashlib.blake2b(digest, digest_size=8, salt=salt.to_bytes(8, "little")).digest()
    return int.from_bytes(mixed, "little") / 2**64
