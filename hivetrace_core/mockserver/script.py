"""What a mock server is told: rules that decide each request, and what it enforces. Pure data, validated."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

from ..config.problems import Source
from ..config.schema import Count, Positive, Share
from ..errors import ErrorKind
from ..responses import Outcome
from .dialect import WaitForm

Fault: TypeAlias = Literal[
    "reset",
    "hang",
    "garbage",
    "html",
    "empty",
    "redirect",
    "trickle",
    "slow_headers",
    "cut",
    "half",
    "wrong_length",
    "close_idle",
    "drop_next",
]

SPOILING: Final = frozenset({"reset", "hang", "garbage", "html", "empty", "redirect"})
"""Faults that leave no answer, so that a rule with one cannot say which; `reset` and `hang` may break off a stream."""

MIDWAY: Final = frozenset({"reset", "hang", "cut", "half"})
"""Faults that can strike after some pieces of a stream."""

SLOW: Final = frozenset({"trickle", "slow_headers"})

UNSPOKEN: Final = frozenset({"connection", "unexpected", "not_sent"})
"""Kinds of errors that no server can say."""

_STATUS_FAULTS: Final = frozenset({"html", "empty", "redirect"})

NonNegative: TypeAlias = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Status: TypeAlias = Annotated[int, Field(strict=True, ge=200, le=599)]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, protected_namespaces=())


class Delay(_Part):
    """Seconds before an answer: a constant, or lognormal where it has a spread."""

    median: NonNegative
    sigma: Annotated[float, Field(strict=True, ge=0, le=5, allow_inf_nan=False)] = 0.0


def _a_number_is_enough(value: Any) -> Any:
    return {"median": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


AnyDelay: TypeAlias = Annotated[Delay, BeforeValidator(_a_number_is_enough)]


class Rule(_Part):
    """What happens to the requests it applies to: the first rule whose conditions all hold decides.

    Without `outcome`, `error`, `variant` and `fault` the request is answered.
    """

    match: str | None = Field(default=None, description="Regular expression, searched in the last user message.")
    provider: str | None = Field(default=None, description="Only requests to this dialect.")
    model: str | None = Field(default=None, description="Only requests for this model id.")
    share: Share = Field(default=1.0, description="Share of the prompts; which ones depends on seed and text only.")
    times: Count | None = Field(
        default=None, description="Only the first so many requests for a prompt; after them the next rule."
    )
    nth: Count | None = Field(default=None, description="Only this request of all, counted from 1.")
    every: Count | None = Field(default=None, description="Only each so manieth request of all.")

    outcome: Outcome | None = None
    text: str | None = Field(default=None, description="Text of the answer; `{prompt}` stands for the prompt.")
    stage: Literal["prompt", "response"] = Field(default="prompt", description="Where a block happens.")
    categories: list[str] = Field(default_factory=list, description="What the filter names.")
    error: ErrorKind | None = Field(default=None, description="Kind of the failure, in the dialect's words.")
    status: Status | None = Field(default=None, description="HTTP status, in place of the dialect's choice.")
    retry_after: NonNegative | None = Field(default=None, description="Seconds to wait that an error asks for.")
    retry_after_form: WaitForm = "seconds"
    variant: str | None = Field(default=None, description="One of the dialect's named signals.")
    headers: dict[str, str] = Field(default_factory=dict, description="Added to the reply, in place of equal ones.")
    fault: Fault | None = Field(default=None, description="What goes wrong below the dialect.")
    after: Annotated[int, Field(strict=True, ge=0)] | None = Field(
        default=None, description="In a stream: the error or fault comes after so many pieces."
    )
    delay: AnyDelay | None = Field(default=None, description="Seconds before the answer, in place of the script's.")
    pace: Positive | None = Field(default=None, description="Seconds between pieces of a stream or bytes of a trickle.")

    @field_validator("match")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as exc:
                raise ValueError(f"is not a regular expression: {exc}") from None
        return value

    @field_validator("headers")
    @classmethod
    def _sendable(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a header")
            if re.search(r"[\r\n\0]", text) or not all(character <= "\xff" for character in text):
                raise ValueError(f"the value of {name!r} has characters that a header cannot carry")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        said = [name for name in ("outcome", "error", "variant") if getattr(self, name) is not None]
        if said == ["outcome", "error"] and self.outcome == "failed":
            said = ["error"]
        if len(said) > 1:
            raise ValueError(f"{' and '.join(f'`{name}`' for name in said)} both say how the request ends; keep one")
        if self.outcome == "failed" and self.error is None:
            raise ValueError("`outcome: failed` needs the kind: write `error: ...` instead")
        if self.error in UNSPOKEN:
            raise ValueError(f"no server says `{self.error}`; give a `fault`, such as `reset`")
        if self.fault in SPOILING and said:
            raise ValueError(f"`fault: {self.fault}` leaves no answer, so `{said[0]}` has no meaning; remove one")
        self._check_details()
        return self

    def _check_details(self) -> None:
        if self.retry_after is not None and self.error is None and self.variant is None:
            raise ValueError("`retry_after` needs an error, such as `error: rate_limit`")
        if self.outcome != "blocked" and (described := sorted(self.model_fields_set & {"stage", "categories"})):
            raise ValueError(f"{' and '.join(f'`{name}`' for name in described)} describe a block: `outcome: blocked`")
        if self.after is not None and self.error is None and self.fault not in MIDWAY:
            raise ValueError(f"`after` needs an error, or a fault out of {', '.join(sorted(MIDWAY))}")
        if self.status is not None and self.fault in SPOILING - _STATUS_FAULTS:
            raise ValueError(f"`fault: {self.fault}` has no status")


class RateLimit(_Part):
    """A limit over a sliding window, for each dialect; what exceeds it gets a 429 and does not count."""

    rpm: Count | None = Field(default=None, description="Requests per minute.")
    tpm: Count | None = Field(default=None, description="Tokens per minute: a quarter of the characters of a prompt.")
    window: Positive = Field(default=60.0, description="Seconds; shorter ones allow the same rate in smaller portions.")

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.rpm is None and self.tpm is None:
            raise ValueError("needs `rpm`, `tpm` or both")
        return self


class Script(_Part):
    """Everything that a mock server is told."""

    rules: list[Rule] = Field(default_factory=list, description="Without a rule that applies, requests are answered.")
    text: str = Field(default="This is a scripted answer.", description="Text of answers whose rule has none.")
    delay: AnyDelay = Delay(median=0.0)
    seed: Annotated[int, Field(strict=True)] = Field(default=0, description="Another seed, another choice of prompts.")
    key: SecretStr | None = Field(default=None, description="The only key that is accepted; others get a 401.")
    rate_limit: RateLimit | None = None
    log_size: Count = Field(default=100_000, description="Requests that the log holds; the oldest go first.")

    _source: Source = PrivateAttr(default_factory=lambda: Source(name="script"))
