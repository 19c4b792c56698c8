"""The types of the constructor's keyword arguments, for editors and type checkers. Meanings and ranges: `options`."""

from __future__ import annotations

from typing import Any

from hivetrace_core import SecretStr
from hivetrace_core.http import HttpParams


class GeminiParams(HttpParams, total=False):
    """`GeminiNativeModel`."""

    api_key: SecretStr | str | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    max_tokens: int | None
    stop: str | list[str] | None
    seed: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    response_mime_type: str | None
    response_schema: dict[str, Any] | None
    response_json_schema: dict[str, Any] | None
    thinking_budget: int | None
    thinking_level: str | None
    include_thoughts: bool | None
    safety_settings: dict[str, str] | list[dict[str, Any]] | None
    tools: list[dict[str, Any]] | None
    tool_config: dict[str, Any] | None
    generation_config: dict[str, Any] | None
