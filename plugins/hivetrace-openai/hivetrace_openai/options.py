"""Options of the three models. What is not set is not sent; what is sent is what was set."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Final, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from hivetrace_core import SecretStr, from_env
from hivetrace_core.http import HttpOptions

OPENAI_BASE_URL: Final = "https://api.openai.com/v1"
OPENROUTER_BASE_URL: Final = "https://openrouter.ai/api/v1"
SBERCLOUD_BASE_URL: Final = "https://foundation-models.api.cloud.ru/v1"

TokenProvider = Callable[[], str | Awaitable[str]]


class ChatOptions(HttpOptions):
    """Parameters of a chat completion; ranges are those of the reference, checked by the server."""

    model: str = Field(min_length=1, description="The provider's own model id.")
    temperature: float | None = Field(default=None, ge=0, description="0 to 2; reasoning models take only the default.")
    top_p: float | None = Field(default=None, ge=0, le=1, description="Probability mass to sample from.")
    max_tokens: int | None = Field(default=None, ge=1, description="Longest answer, reasoning included, in tokens.")
    stop: str | list[str] | None = Field(default=None, description="Up to 4 strings that end the answer.")
    seed: int | None = Field(default=None, description="Best effort at repeatable answers.")
    presence_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="Against tokens that occurred at all."
    )
    frequency_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="Against tokens, by how often they occurred."
    )
    logit_bias: dict[str, float] | None = Field(default=None, description="Token id to bias, -100 to 100.")
    logprobs: bool | None = Field(default=None, description="Log probabilities of the tokens, in the raw reply.")
    top_logprobs: int | None = Field(default=None, ge=0, le=20, description="Alternatives per token; needs logprobs.")
    response_format: dict[str, Any] | None = Field(default=None, description="JSON mode or a JSON schema.")
    tools: list[dict[str, Any]] | None = Field(default=None, description="Functions that the model may call.")
    tool_choice: str | dict[str, Any] | None = Field(
        default=None, description="none, auto, required, or the one to call."
    )
    parallel_tool_calls: bool | None = Field(default=None, description="Whether one answer may have several calls.")
    reasoning_effort: str | None = Field(default=None, description="none, minimal, low, medium, high, xhigh or max.")

    request_fields: ClassVar[tuple[str, ...]] = (
        "temperature",
        "top_p",
        "stop",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "response_format",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning_effort",
    )
    """Options that go into the request under their own names."""

    def parameters(self) -> dict[str, Any]:
        """The request's JSON without its messages."""
        body: dict[str, Any] = {"model": self.model}
        for name in self.request_fields:
            value = getattr(self, name)
            if value is not None:
                body[name] = value
        if self.max_tokens is not None:
            body[self.max_tokens_field()] = self.max_tokens
        return body

    def max_tokens_field(self) -> str:
        """The name under which this server takes the length limit."""
        return "max_tokens"

    def auth_headers(self) -> dict[str, str]:
        """The headers that identify the caller."""
        return {}


class OpenAIOptions(ChatOptions):
    """OpenAI, Azure OpenAI (`azure_endpoint`), or any compatible server (`base_url`).

    Environment variables of OpenAI are read only where the requests go to OpenAI, Azure's only where they go to Azure.
    """

    base_url: str = Field(default=OPENAI_BASE_URL, description="Another one: a compatible server, such as vLLM.")
    api_key: SecretStr | None = Field(
        default=None, description="OPENAI_API_KEY for OpenAI itself, AZURE_OPENAI_API_KEY for Azure; else optional."
    )
    organization: str | None = Field(default=None, description="OPENAI_ORG_ID for OpenAI itself.")
    project: str | None = Field(default=None, description="OPENAI_PROJECT_ID for OpenAI itself.")
    max_completion_tokens: int | None = Field(default=None, ge=1, description="As max_tokens, under this name only.")
    verbosity: str | None = Field(default=None, description="low, medium or high.")
    service_tier: str | None = Field(default=None, description="auto, default, flex or priority.")
    safety_identifier: str | None = Field(
        default=None, max_length=128, description="Stable pseudonym of the end user, for abuse detection."
    )
    prompt_cache_key: str | None = Field(default=None, description="Groups requests that share a prefix.")
    store: bool | None = Field(default=None, description="Whether OpenAI keeps the answer for later retrieval.")
    moderation: dict[str, Any] | None = Field(default=None, description="OpenAI's own moderation of the request.")
    azure_endpoint: str | None = Field(
        default=None, description="https://NAME.openai.azure.com; AZURE_OPENAI_ENDPOINT where api_version is given."
    )
    azure_deployment: str | None = Field(default=None, description="The deployment; by default the model id.")
    api_version: str | None = Field(default=None, description="Azure's API version; OPENAI_API_VERSION.")
    azure_ad_token: SecretStr | None = Field(default=None, description="Entra ID token; AZURE_OPENAI_AD_TOKEN.")
    azure_ad_token_provider: SkipJsonSchema[TokenProvider] | None = Field(
        default=None, exclude=True, description="From Python only: called for a token before each request."
    )

    request_fields: ClassVar[tuple[str, ...]] = (
        *ChatOptions.request_fields,
        "max_completion_tokens",
        "verbosity",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "store",
        "moderation",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_environment(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        filled = dict(values)
        azure = ("azure_endpoint", "api_version", "azure_deployment", "azure_ad_token", "azure_ad_token_provider")
        if any(filled.get(name) is not None for name in azure):
            return _azure(filled)
        if _is_openai(filled.get("base_url") or OPENAI_BASE_URL):
            _fill(filled, api_key="OPENAI_API_KEY", organization="OPENAI_ORG_ID", project="OPENAI_PROJECT_ID")
        return filled

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("max_tokens and max_completion_tokens mean the same: pass one of them")
        return self

    @model_validator(mode="after")
    def _needs_key(self) -> Self:
        if self.api_key is None and not self.is_azure and _is_openai(self.base_url):
            raise ValueError("api_key is missing: pass api_key=... or set OPENAI_API_KEY")
        return self

    @property
    def is_azure(self) -> bool:
        """Whether the requests go to Azure OpenAI."""
        return self.azure_endpoint is not None

    def max_tokens_field(self) -> str:
        """OpenAI's reasoning models refuse the older name; other servers may not know the newer one."""
        if self.is_azure:
            dated = (self.api_version or "")[:10]
            return "max_tokens" if dated[:2] == "20" and dated < "2024-09-01" else "max_completion_tokens"
        return "max_completion_tokens" if _is_openai(self.base_url) else "max_tokens"

    def auth_headers(self) -> dict[str, str]:
        """Bearer token, or Azure's `api-key`; OpenAI's organisation and project where they are set."""
        headers: dict[str, str] = {}
        if self.azure_ad_token is not None:
            headers["Authorization"] = f"Bearer {self.azure_ad_token.get_secret_value()}"
        elif self.api_key is not None:
            key = self.api_key.get_secret_value()
            headers.update({"api-key": key} if self.is_azure else {"Authorization": f"Bearer {key}"})
        if self.organization is not None:
            headers["OpenAI-Organization"] = self.organization
        if self.project is not None:
            headers["OpenAI-Project"] = self.project
        return headers

    def path(self) -> str:
        """The path of chat completions below `base_url`."""
        return f"chat/completions?api-version={quote(self.api_version or '')}" if self.is_azure else "chat/completions"


class OpenRouterOptions(ChatOptions):
    """OpenRouter."""

    base_url: str = Field(default=OPENROUTER_BASE_URL, description="Another gateway with the same interface.")
    api_key: SecretStr = from_env("OPENROUTER_API_KEY", description="Bearer key")
    top_k: int | None = Field(default=None, ge=0, description="Most likely tokens to sample from; 0 for all.")
    min_p: float | None = Field(
        default=None, ge=0, le=1, description="Least probability, relative to the likeliest token."
    )
    top_a: float | None = Field(
        default=None, ge=0, le=1, description="As min_p, by the square of the likeliest token's probability."
    )
    repetition_penalty: float | None = Field(
        default=None, ge=0, le=2, description="Against tokens of prompt and answer; 1 for none."
    )
    models: list[str] | None = Field(default=None, description="Fallbacks, in order.")
    provider: dict[str, Any] | None = Field(
        default=None, description="Routing: order, only, allow_fallbacks and others."
    )
    reasoning: dict[str, Any] | None = Field(default=None, description="effort or max_tokens, exclude, enabled.")
    plugins: list[dict[str, Any]] = Field(
        default_factory=list, description="Of OpenRouter, such as web search; see also context_compression."
    )
    context_compression: bool = Field(
        default=False, description="True lets OpenRouter cut the middle out of long prompts for small models."
    )
    app_url: str | None = Field(default=None, description="Sent as HTTP-Referer.")
    app_title: str | None = Field(default=None, description="Sent as X-OpenRouter-Title.")

    request_fields: ClassVar[tuple[str, ...]] = (
        *ChatOptions.request_fields,
        "top_k",
        "min_p",
        "top_a",
        "repetition_penalty",
        "models",
        "provider",
        "reasoning",
    )

    def parameters(self) -> dict[str, Any]:
        """As `ChatOptions.parameters`; what OpenRouter would do to long prompts by itself is switched off."""
        body = super().parameters()
        plugins = list(self.plugins)
        if not self.context_compression and not any(plugin.get("id") == "context-compression" for plugin in plugins):
            plugins.append({"id": "context-compression", "enabled": False})
        if plugins:
            body["plugins"] = plugins
        return body

    def auth_headers(self) -> dict[str, str]:
        """Bearer key, and how the application calls itself where it does."""
        headers = {"Authorization": f"Bearer {self.api_key.get_secret_value()}"}
        if self.app_url is not None:
            headers["HTTP-Referer"] = self.app_url
        if self.app_title is not None:
            headers["X-OpenRouter-Title"] = self.app_title
        return headers


class SberCloudOptions(ChatOptions):
    """Cloud.ru Foundation Models."""

    base_url: str = Field(default=SBERCLOUD_BASE_URL, description="Another address of the service.")
    api_key: SecretStr = from_env("SBER_CLOUD_API_KEY", description="Bearer key")
    top_k: int | None = Field(default=None, ge=0, description="Of open-weight models; not documented by the service.")
    repetition_penalty: float | None = Field(
        default=None, ge=0, le=2, description="Against tokens of prompt and answer; 1 for none."
    )

    request_fields: ClassVar[tuple[str, ...]] = (*ChatOptions.request_fields, "top_k", "repetition_penalty")

    def auth_headers(self) -> dict[str, str]:
        """Bearer key."""
        return {"Authorization": f"Bearer {self.api_key.get_secret_value()}"}


def _azure(values: dict[str, Any]) -> dict[str, Any]:
    """Azure's environment, and the address that its parts make up."""
    if values.get("base_url"):
        raise ValueError("base_url and azure_endpoint exclude each other: pass one of them")
    _fill(values, azure_endpoint="AZURE_OPENAI_ENDPOINT", api_version="OPENAI_API_VERSION")
    for name, variable in (("azure_endpoint", "AZURE_OPENAI_ENDPOINT"), ("api_version", "OPENAI_API_VERSION")):
        if not values.get(name):
            raise ValueError(f"{name} is missing: pass {name}=... or set {variable}")
    if values.get("azure_ad_token_provider") is None and not values.get("api_key"):
        _fill(values, azure_ad_token="AZURE_OPENAI_AD_TOKEN")  # noqa: S106  # the variable's name
        if not values.get("azure_ad_token"):
            _fill(values, api_key="AZURE_OPENAI_API_KEY")
    credentials = [values.get(name) for name in ("api_key", "azure_ad_token", "azure_ad_token_provider")]
    given = sum(1 for credential in credentials if credential)
    if given == 0:
        raise ValueError(
            "a credential is missing: pass api_key=... or set AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN"
        )
    if given > 1:
        raise ValueError("pass only one of api_key, azure_ad_token and azure_ad_token_provider")
    deployment = values.get("azure_deployment") or values.get("model") or ""
    endpoint = str(values["azure_endpoint"]).rstrip("/")
    values["base_url"] = f"{endpoint}/openai/deployments/{quote(str(deployment), safe='')}"
    return values


def _fill(values: dict[str, Any], **variables: str) -> None:
    for name, variable in variables.items():
        if not values.get(name) and os.environ.get(variable):
            values[name] = os.environ[variable]


def _is_openai(base_url: Any) -> bool:
    """Whether an address is OpenAI's own (regional ones included), the only one its credentials may go to."""
    try:
        parts = urlsplit(str(base_url))
        host = (parts.hostname or "").lower()
    except ValueError:
        return False
    return host == "api.openai.com" or host.endswith(".api.openai.com")
