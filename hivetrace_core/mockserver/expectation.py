"""What a run against a script must come to, so that a test can compare the two."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..errors import RETRYABLE_KINDS, ConfigError, ErrorKind
from ..http.statuses import error_kind_for_status
from ..responses import Outcome
from .deciding import Decider, Decision
from .dialect import Dialect
from .loading import load_script
from .script import Script

_FAULTS: Final[dict[str, ErrorKind]] = {
    "reset": "connection",
    "hang": "timeout",
    "cut": "connection",
    "garbage": "response_format",
    "html": "response_format",
    "empty": "response_format",
    "half": "response_format",
    "wrong_length": "response_format",
    "redirect": "not_found",
}
"""What a client without mistakes makes of a whole reply with this fault; the others leave the answer intact."""


@dataclass(frozen=True, slots=True)
class Expected:
    """How one prompt must end.

    Attributes:
        prompt: The prompt.
        outcome: Its outcome.
        error: Kind of the failure; None where it does not fail.
        attempts: Requests that it takes.
        rule: Index of the rule that decided the last of them.
        text: The answer's text as the script has it; a block or refusal may show less of it.
    """

    prompt: str
    outcome: Outcome
    error: ErrorKind | None
    attempts: int
    rule: int | None
    text: str


def expected(
    script: str | os.PathLike[str] | Mapping[str, Any] | Script | None,
    prompts: Iterable[str],
    dialect: Dialect,
    *,
    model: str = "",
    max_attempts: int = 5,
) -> list[Expected]:
    """How each prompt must end, asked with whole replies (no token streams) by a client that makes no mistake.

    The rate limit and the key are left out: the one only costs time, and without the other every prompt fails.
    Equal prompts are told apart by nobody; where a rule has `times`, which of them it hits is left to chance.

    Args:
        script: What `load_script` takes.
        prompts: Texts of the last user messages.
        dialect: Whose words are used.
        model: The model id that the requests carry.
        max_attempts: Requests for one prompt, as the client is set up.

    Raises:
        ConfigError: a rule depends on the order of requests (`nth`, `every`), or the script is wrong.
    """
    checked = load_script(script)
    rules = [rule for rule in checked.rules if rule.provider in (None, dialect.name)]
    if any(rule.nth is not None or rule.every is not None for rule in rules):
        raise ConfigError("Rules with `nth` or `every` depend on the order of requests; nothing can be foretold.")
    decider = Decider(checked, {dialect.name: dialect})
    return [_end(decider, prompt, dialect, model, max_attempts) for prompt in prompts]


def _end(decider: Decider, prompt: str, dialect: Dialect, model: str, max_attempts: int) -> Expected:
    attempt = 1
    while True:
        decision = decider.decide(dialect.name, model, prompt, 0)
        error = _error(decision)
        final = decision.turn.variant in dialect.final_variants
        if error not in RETRYABLE_KINDS or final or attempt >= max_attempts:
            outcome: Outcome = "failed" if error is not None else decision.turn.outcome
            return Expected(prompt, outcome, error, attempt, decision.rule, decision.turn.text)
        attempt += 1


def _error(decision: Decision) -> ErrorKind | None:
    fault, status = decision.fault, decision.turn.status
    if fault in ("html", "empty") and status is not None:
        return error_kind_for_status(status)
    return decision.turn.error if fault is None else _FAULTS.get(fault, decision.turn.error)
