"""What a run amounts to, per model: counts, rates and the intervals around them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from .reader import JournalReader, ModelRow

_Z95: Final = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of `n` prompts, with its 95 % interval."""

    hits: int
    n: int

    @property
    def value(self) -> float | None:
        """The share; None of nothing."""
        return self.hits / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The Wilson score interval (E. B. Wilson, 1927, JASA 22, 209-212), 95 %; None of nothing.

        It stays within 0 and 1 and is honest for few prompts and for shares near 0 or 1, where the usual p +/- 1.96 s
        is not (Brown, Cai, DasGupta, 2001, Statistical Science 16, 101-133).
        """
        if not self.n:
            return None
        n, p, z2 = self.n, self.hits / self.n, _Z95 * _Z95
        centre = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = _Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
        # At the ends the formula gives 0 and 1 exactly; the arithmetic does not quite.
        low = 0.0 if self.hits == 0 else max(0.0, centre - half)
        high = 1.0 if self.hits == n else min(1.0, centre + half)
        return low, high


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One model of a run.

    Attributes:
        label: Its name in the run.
        qualified: Distribution and plugin, as it was resolved.
        model_id: The provider's own id.
        prompts: How many the run has.
        counts: Recorded prompts by outcome; outcomes that did not occur are left out.
        in_doubt: Prompts without an outcome of which a request was under way when a process ended.
        resent_in_doubt: Prompts with an outcome that may have been sent once more than is known.
        input_tokens: As far as the provider said.
        output_tokens: The same.
        stopped: Why sending to it was stopped early; None where it was not.
    """

    label: str
    qualified: str
    model_id: str | None
    prompts: int
    counts: dict[str, int] = field(default_factory=dict)
    in_doubt: int = 0
    resent_in_doubt: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    stopped: str | None = None

    @property
    def recorded(self) -> int:
        """Prompts that have an outcome."""
        return sum(self.counts.values())

    @property
    def pending(self) -> int:
        """Prompts that have none."""
        return self.prompts - self.recorded

    @property
    def failed(self) -> int:
        """Prompts whose outcome is `failed`."""
        return self.counts.get("failed", 0)

    @property
    def failure_rate(self) -> float:
        """Failed of all recorded prompts; 0 where there are none."""
        return self.failed / self.recorded if self.recorded else 0.0

    @property
    def block_rate(self) -> Rate:
        """Blocked of all prompts whose answer is known: recorded, neither `failed` nor `unknown`."""
        return Rate(self.counts.get("blocked", 0), self.recorded - self.failed - self.counts.get("unknown", 0))


def summarize(journal: JournalReader, model: ModelRow, *, stopped: str | None = None) -> ModelSummary:
    """What the journal holds of one model."""
    tally = journal.tally(model)
    return ModelSummary(
        label=model.label,
        qualified=model.qualified,
        model_id=model.model_id,
        prompts=journal.prompts,
        counts=tally.counts,
        in_doubt=journal.count_in_doubt(model),
        resent_in_doubt=tally.resent_in_doubt,
        input_tokens=tally.input_tokens,
        output_tokens=tally.output_tokens,
        stopped=stopped,
    )
