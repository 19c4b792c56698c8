"""The types of the constructor's keyword arguments, for editors and type checkers. Meanings and ranges: `options`."""

from __future__ import annotations

from typing import Any, Literal

from hivetrace_core import SecretStr
from hivetrace_core.http import HttpParams


class OllamaParams(HttpParams, total=False):
    """`OllamaModel`."""

    api_key: SecretStr | str | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    typical_p: float | None
    seed: int | None
    max_tokens: int | None
    num_ctx: int | None
    num_keep: int | None
    stop: str | list[str] | None
    repeat_penalty: float | None
    repeat_last_n: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    mirostat: Literal[0, 1, 2] | None
    mirostat_tau: float | None
    mirostat_eta: float | None
    options: dict[str, Any]
    format: Literal["json"] | dict[str, Any] | None
    think: bool | Literal["low", "medium", "high", "max"] | None
    keep_alive: str | int | float | None
    tools: list[dict[str, Any]] | None
    truncate: bool | None
    shift: bool | None
    logprobs: bool | None
    top_logprobs: int | None
