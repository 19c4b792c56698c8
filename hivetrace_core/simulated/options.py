"""What the simulated target can be told to do."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ..errors import ErrorKind
from ..options import ModelOptions
from ..responses import Outcome

_STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


class Category(BaseModel):
    """A category that the simulated filter names."""

    model_config = _STRICT

    name: str
    severity: str | None = None


class Rule(BaseModel):
    """What happens to the prompts it applies to. The first rule that applies decides.

    It applies to every prompt unless `match` or `share` narrow it; both together narrow it twice.
    """

    model_config = _STRICT

    match: str | None = Field(default=None, description="Regular expression, searched in the last user message.")
    share: float = Field(
        default=1.0, ge=0, le=1, description="Share of the prompts; which ones depends on seed and text only."
    )
    times: int | None = Field(
        default=None, ge=1, description="Only the first so many requests for a prompt; after them the next rule."
    )
    outcome: Outcome = "answered"
    text: str | None = Field(default=None, description="Content of the answer; `{prompt}` stands for the prompt.")
    stage: Literal["prompt", "response"] = Field(default="prompt", description="Where a block happens.")
    categories: list[Category] = Field(default_factory=list, description="What the filter names; names are enough.")
    error: ErrorKind | None = Field(default=None, description="Kind of the failure; implies the outcome `failed`.")
    retry_after: float | None = Field(default=None, ge=0, description="Seconds to wait that a failure asks for.")
    latency: float | None = Field(default=None, ge=0, description="Seconds; in place of the target's own latency.")
    hang: bool = Field(default=False, description="Never answer; the timeout ends it.")

    @field_validator("match")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as exc:
                raise ValueError(f"match is not a regular expression: {exc}") from None
        return value

    @field_validator("categories", mode="before")
    @classmethod
    def _names_are_enough(cls, value: Any) -> Any:
        return (
            [{"name": item} if isinstance(item, str) else item for item in value] if isinstance(value, list) else value
        )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.error == "not_sent":
            raise ValueError("error: not_sent is what the engine says of prompts it does not send; choose another kind")
        if self.error is not None and self.outcome not in ("answered", "failed"):
            raise ValueError(f"error means that the request fails; it cannot also be {self.outcome}")
        if self.retry_after is not None and not self.fails:
            raise ValueError("retry_after needs an error, such as error: rate_limit")
        if self.outcome != "blocked" and (described := self.model_fields_set & {"stage", "categories"}):
            raise ValueError(f"{' and '.join(sorted(described))} describe a block: they need outcome: blocked")
        return self

    @property
    def fails(self) -> bool:
        """Whether the request ends in an error."""
        return self.error is not None or self.outcome == "failed"


class RateLimit(BaseModel):
    """A limit that the target enforces over a sliding window of a minute; what exceeds it gets a 429."""

    model_config = _STRICT

    rpm: int | None = Field(default=None, ge=1, description="Requests in any 60 s.")
    tpm: int | None = Field(default=None, ge=1, description="Tokens in any 60 s, prompt and answer together.")

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.rpm is None and self.tpm is None:
            raise ValueError("rate_limit needs rpm, tpm or both")
        return self


class SimulatedOptions(ModelOptions):
    """Options of the simulated target, beside those that every provider takes."""

    model: str = Field(default="simulated", description="Any name; it is what the responses carry.")
    seed: int = Field(default=0, description="Another seed, another choice of prompts and latencies.")
    latency: float = Field(default=0.0, ge=0, description="Median seconds of a request.")
    latency_sigma: float = Field(
        default=0.0, ge=0, le=5, description="Spread of a lognormal latency; 0 for a constant."
    )
    rules: list[Rule] = Field(default_factory=list, description="Without a rule that applies, the target answers.")
    rate_limit: RateLimit | None = Field(default=None, description="What exceeds it is turned away with a 429.")
    max_tokens: int | None = Field(default=None, ge=1, description="Longer answers are truncated to so many words.")
