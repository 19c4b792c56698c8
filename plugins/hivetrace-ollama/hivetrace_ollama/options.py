"""Options of `OllamaModel`. What is not set is not sent; what is sent is what was set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from hivetrace_core import SecretStr
from hivetrace_core.http import HttpOptions

from .address import DEFAULT_BASE_URL, base_url_of, is_hosted, is_private, origin

ADDRESS_VARIABLES: Final = ("OLLAMA_BASE_URL", "OLLAMA_HOST")
KEY_VARIABLE: Final = "OLLAMA_API_KEY"

SAMPLING: Final[dict[str, str]] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "seed": "seed",
    "max_tokens": "num_predict",
    "num_ctx": "num_ctx",
    "num_keep": "num_keep",
    "stop": "stop",
    "repeat_penalty": "repeat_penalty",
    "repeat_last_n": "repeat_last_n",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "mirostat": "mirostat",
    "mirostat_tau": "mirostat_tau",
    "mirostat_eta": "mirostat_eta",
}
"""Our options that go into the request's `options`, and their names there."""

TOP_LEVEL: Final = ("format", "think", "keep_alive", "tools", "truncate", "shift", "logprobs", "top_logprobs")
"""Our options that go into the request itself, under the same names."""


class OllamaOptions(HttpOptions):
    """An Ollama server, or Ollama's hosted service.

    The address comes from `base_url`, else OLLAMA_BASE_URL, else OLLAMA_HOST, else it is this machine's. The key of the
    environment goes to ollama.com and to the address of the environment, the latter over TLS or on this machine.
    """

    model: str = Field(min_length=1, description="The model as `ollama list` names it: qwen3:0.6b.")
    base_url: str = Field(
        default=DEFAULT_BASE_URL,
        description="The server, without /api or /v1; OLLAMA_BASE_URL or OLLAMA_HOST. host:port is enough.",
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="Sent as a bearer token. OLLAMA_API_KEY, for ollama.com and for the environment's address only.",
    )
    batch_size: int = Field(
        default=4,
        ge=1,
        le=100_000,
        description="Requests in flight in one call. More than the server's OLLAMA_NUM_PARALLEL only wait there.",
    )
    timeout: float | None = Field(
        default=600.0, gt=0, description="Seconds for one attempt, loading the model and the server's queue included."
    )
    deadline: float | None = Field(
        default=1800.0, gt=0, description="Seconds for one prompt from its first request, retries and waits included."
    )
    temperature: float | None = Field(default=None, ge=0, description="0 always takes the likeliest token.")
    top_p: float | None = Field(default=None, ge=0, le=1, description="Probability mass to sample from.")
    top_k: int | None = Field(default=None, ge=0, description="Most likely tokens to sample from; 0 is all.")
    min_p: float | None = Field(
        default=None, ge=0, le=1, description="Least probability, as a share of the likeliest token's."
    )
    typical_p: float | None = Field(
        default=None, ge=0, le=1, description="Prefers tokens of expected surprise; 1 is off."
    )
    seed: int | None = Field(default=None, description="For repeatable answers; without it every answer differs.")
    max_tokens: int | None = Field(
        default=None, ge=1, description="Longest answer, reasoning included, in tokens; sent as num_predict."
    )
    num_ctx: int | None = Field(
        default=None, ge=1, description="Context window in tokens, prompt and answer. Another value reloads the model."
    )
    num_keep: int | None = Field(
        default=None, ge=-1, description="Tokens kept at the start of a prompt that is cut; -1 is all of it."
    )
    stop: str | list[str] | None = Field(default=None, description="Strings that end the answer.")
    repeat_penalty: float | None = Field(
        default=None, ge=0, description="Against tokens that occurred lately; 1 is off."
    )
    repeat_last_n: int | None = Field(
        default=None, ge=-1, description="Tokens back that repeat_penalty looks at; 0 is none, -1 is num_ctx."
    )
    presence_penalty: float | None = Field(default=None, description="Against tokens that occurred at all; 0 is off.")
    frequency_penalty: float | None = Field(
        default=None, description="Against tokens by how often they occurred; 0 is off."
    )
    mirostat: Literal[0, 1, 2] | None = Field(
        default=None, description="Version of mirostat sampling; 0 is off. Newer servers ignore it."
    )
    mirostat_tau: float | None = Field(default=None, ge=0, description="Surprise that mirostat aims at, in bits.")
    mirostat_eta: float | None = Field(default=None, ge=0, description="Learning rate of mirostat.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Further entries for the request's `options`, such as {num_gpu: 20}."
    )
    format: Literal["json"] | dict[str, Any] | None = Field(
        default=None, description="Form of the answer: json, or a JSON schema."
    )
    think: bool | Literal["low", "medium", "high", "max"] | None = Field(
        default=None, description="Whether to reason before answering, or how much; for models that can."
    )
    keep_alive: str | int | float | None = Field(
        default=None, description="How long the model stays loaded: 10m, or seconds; 0 is not at all, -1 is for ever."
    )
    tools: list[dict[str, Any]] | None = Field(default=None, description="Functions that the model may call.")
    truncate: bool | None = Field(
        default=None, description="false: the oldest messages are not dropped when they do not fit into num_ctx."
    )
    shift: bool | None = Field(
        default=None, description="false: text is not cut out when num_ctx is full; with truncate: false an error."
    )
    logprobs: bool | None = Field(default=None, description="Log probabilities of the answer's tokens.")
    top_logprobs: int | None = Field(
        default=None, ge=0, le=20, description="Alternatives for each token; needs logprobs."
    )

    @model_validator(mode="before")
    @classmethod
    def _read_environment(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        filled = dict(values)
        given = filled.get("base_url")
        if given is None:
            filled["base_url"] = _environment_address() or cls.model_fields["base_url"].default
        elif isinstance(given, str):
            filled["base_url"] = base_url_of(given, source="base_url")
        target = filled["base_url"]
        if filled.get("api_key") is None and isinstance(target, str) and _key_belongs_to(target):
            filled["api_key"] = os.environ[KEY_VARIABLE]
        return filled

    @field_validator("stop")
    @classmethod
    def _as_list(cls, value: str | list[str] | None) -> list[str] | None:
        # The server takes nothing but a list.
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if is_hosted(self.base_url) and self.api_key is None and not self._has_own_credential():
            raise ValueError(f"api_key is missing: pass api_key=... or set {KEY_VARIABLE} (ollama.com wants one)")
        for ours, theirs in SAMPLING.items():
            if theirs in self.options and getattr(self, ours) is not None:
                raise ValueError(f"{ours} and options.{theirs} mean the same: pass one of them")
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        return self

    def parameters(self) -> dict[str, Any]:
        """The request's JSON without its messages."""
        body: dict[str, Any] = {"model": self.model}
        for name in TOP_LEVEL:
            value = getattr(self, name)
            if value is not None:
                body[name] = value
        sampling = {theirs: value for ours, theirs in SAMPLING.items() if (value := getattr(self, ours)) is not None}
        if sampling or self.options:
            body["options"] = {**sampling, **self.options}
        return body

    def context_window(self) -> int | None:
        """The window that the request asks for, in tokens; None where the server decides."""
        sent = {**self.parameters(), **self.extra_body}.get("options")
        asked = sent.get("num_ctx") if isinstance(sent, Mapping) else None
        return asked if isinstance(asked, int) and not isinstance(asked, bool) and asked > 0 else None

    def auth_headers(self) -> dict[str, str]:
        """The bearer key, where there is one."""
        return {} if self.api_key is None else {"Authorization": f"Bearer {self.api_key.get_secret_value()}"}

    def _has_own_credential(self) -> bool:
        return any(name.lower() == "authorization" for name in self.extra_headers)


def _environment_address() -> str | None:
    """The base URL that the environment names; the message of a wrong one names the variable."""
    for variable in ADDRESS_VARIABLES:
        if os.environ.get(variable, "").strip():
            return base_url_of(os.environ[variable], source=variable)
    return None


def _key_belongs_to(target: str) -> bool:
    """Whether the environment has a key and it may go there: never to a stranger, never in clear over a network."""
    if not os.environ.get(KEY_VARIABLE):
        return False
    if is_hosted(target):
        return True
    try:
        named = _environment_address()
    except ValueError:  # of no concern where another address is given
        return False
    return named is not None and origin(named) == origin(target) and is_private(target)
