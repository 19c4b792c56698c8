"""The types of the constructors' keyword arguments, for editors and type checkers. Meanings and ranges: `options`."""

from __future__ import annotations

from typing import Any

from hivetrace_core import SecretStr
from hivetrace_core.http import HttpParams

from .options import TokenProvider


class ChatParams(HttpParams, total=False):
    """What the three services share."""

    api_key: SecretStr | str | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    stop: str | list[str] | None
    seed: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    logit_bias: dict[str, float] | None
    logprobs: bool | None
    top_logprobs: int | None
    response_format: dict[str, Any] | None
    tools: list[dict[str, Any]] | None
    tool_choice: str | dict[str, Any] | None
    parallel_tool_calls: bool | None
    reasoning_effort: str | None


class OpenAIParams(ChatParams, total=False):
    """`OpenAIModel`."""

    organization: str | None
    project: str | None
    max_completion_tokens: int | None
    verbosity: str | None
    service_tier: str | None
    safety_identifier: str | None
    prompt_cache_key: str | None
    store: bool | None
    moderation: dict[str, Any] | None
    azure_endpoint: str | None
    azure_deployment: str | None
    api_version: str | None
    azure_ad_token: SecretStr | str | None
    azure_ad_token_provider: TokenProvider | None


class OpenRouterParams(ChatParams, total=False):
    """`OpenRouterModel`."""

    top_k: int | None
    min_p: float | None
    top_a: float | None
    repetition_penalty: float | None
    models: list[str] | None
    provider: dict[str, Any] | None
    reasoning: dict[str, Any] | None
    plugins: list[dict[str, Any]]
    context_compression: bool
    app_url: str | None
    app_title: str | None


class SberCloudParams(ChatParams, total=False):
    """`SberCloudModel`."""

    top_k: int | None
    repetition_penalty: float | None
