"""Options of `GeminiNativeModel`. What is not set is not sent; what is sent is what was set."""

from __future__ import annotations

import logging
import os
from typing import Any, Final, Self
from urllib.parse import quote

from pydantic import Field, field_validator, model_validator

from hivetrace_core import SecretStr, from_env
from hivetrace_core.http import HttpOptions

BASE_URL: Final = "https://generativelanguage.googleapis.com/v1beta"
"""`v1beta`: aliases such as `gemini-flash-latest` and preview features exist only there."""

KEY_VARIABLES: Final = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
"""The first that is set wins, as in Google's own SDK."""

_CATEGORY: Final = "HARM_CATEGORY_"
_COLLECTIONS: Final = ("models", "tunedModels")

_GENERATION: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "response_mime_type": "responseMimeType",
    "response_schema": "responseSchema",
    "response_json_schema": "responseJsonSchema",
}
"""Options that go into `generationConfig`, and their names there."""

_THINKING: Final = {
    "thinking_budget": "thinkingBudget",
    "thinking_level": "thinkingLevel",
    "include_thoughts": "includeThoughts",
}

_log = logging.getLogger("hivetrace_gemini.options")


class GeminiOptions(HttpOptions):
    """Gemini through the Gemini Developer API. Ranges are those of its reference; the server has the last word."""

    model: str = Field(
        min_length=1, description="The model's id, such as gemini-2.5-flash; models/ID and tunedModels/ID as well."
    )
    base_url: str = Field(
        default=BASE_URL, description="Address of the API with its version; the default's v1beta has previews, too."
    )
    api_key: SecretStr = from_env(*KEY_VARIABLES, description="Sent in the header x-goog-api-key, never in the URL.")
    temperature: float | None = Field(default=None, ge=0, description="0 to 2.")
    top_p: float | None = Field(default=None, ge=0, le=1, description="0 to 1.")
    top_k: int | None = Field(default=None, ge=1, description="Tokens to choose from.")
    max_tokens: int | None = Field(
        default=None, ge=1, description="Longest answer in tokens, thinking included (maxOutputTokens)."
    )
    stop: str | list[str] | None = Field(
        default=None, description="Up to 5 strings that end the answer (stopSequences)."
    )
    seed: int | None = Field(default=None, description="Best effort at repeatable answers.")
    presence_penalty: float | None = Field(default=None, ge=-2, le=2, description="-2 to 2.")
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2, description="-2 to 2.")
    response_mime_type: str | None = Field(default=None, description="text/plain, application/json or text/x.enum.")
    response_schema: dict[str, Any] | None = Field(
        default=None, description="Schema of JSON answers, in the API's subset of OpenAPI; needs response_mime_type."
    )
    response_json_schema: dict[str, Any] | None = Field(
        default=None, description="The same as JSON Schema; needs response_mime_type."
    )
    thinking_budget: int | None = Field(
        default=None, ge=-1, description="Tokens for thinking (2.5 models): 0 is off where allowed, -1 is dynamic."
    )
    thinking_level: str | None = Field(
        default=None, description="minimal, low, medium, high or xhigh, for models newer than 2.5."
    )
    include_thoughts: bool | None = Field(default=None, description="Whether summaries of the thinking come along.")
    safety_settings: dict[str, str] | list[dict[str, Any]] | None = Field(
        default=None,
        description="Category to threshold, such as {harassment: BLOCK_NONE}; or the API's own list of settings.",
    )
    tools: list[dict[str, Any]] | None = Field(default=None, description="In the API's form: functionDeclarations, ...")
    tool_config: dict[str, Any] | None = Field(default=None, description="In the API's form: functionCallingConfig.")
    generation_config: dict[str, Any] | None = Field(
        default=None, description="Further keys of the request's generationConfig, over those of the options above."
    )

    @field_validator("model")
    @classmethod
    def _check_model(cls, value: str) -> str:
        name = value.partition("/")[2] if value.partition("/")[0] in _COLLECTIONS else value
        if not name.strip() or name != name.strip():
            raise ValueError("model must be an id without blanks around it, such as gemini-2.5-flash")
        return value

    @model_validator(mode="after")
    def _one_way_to_think(self) -> Self:
        if self.thinking_budget is not None and self.thinking_level is not None:
            raise ValueError("thinking_budget and thinking_level exclude each other: pass one of them")
        return self

    @model_validator(mode="after")
    def _one_schema(self) -> Self:
        if self.response_schema is not None and self.response_json_schema is not None:
            raise ValueError("response_schema and response_json_schema exclude each other: pass one of them")
        return self

    @model_validator(mode="after")
    def _say_which_key(self) -> Self:
        winner, other = (os.environ.get(name, "") for name in KEY_VARIABLES)
        if winner and other and winner != other and self.api_key.get_secret_value() == winner:
            _log.warning("%s and %s are both set; %s is used.", *KEY_VARIABLES, KEY_VARIABLES[0])
        return self

    def path(self, method: str) -> str:
        """The path of a method of the model, below `base_url`.

        Args:
            method: `generateContent` or another one of the API's.
        """
        collection, slash, name = self.model.partition("/")
        if not slash or collection not in _COLLECTIONS:
            collection, name = _COLLECTIONS[0], self.model
        return f"{collection}/{quote(name, safe='')}:{method}"

    def auth_headers(self) -> dict[str, str]:
        """The header that identifies the caller."""
        return {"x-goog-api-key": self.api_key.get_secret_value()}

    def parameters(self) -> dict[str, Any]:
        """The request's JSON without its contents."""
        body: dict[str, Any] = {}
        config = self._generation_config()
        if config:
            body["generationConfig"] = config
        if self.safety_settings is not None:
            body["safetySettings"] = _settings(self.safety_settings)
        if self.tools is not None:
            body["tools"] = self.tools
        if self.tool_config is not None:
            body["toolConfig"] = self.tool_config
        return body

    def _generation_config(self) -> dict[str, Any]:
        config = self._named(_GENERATION)
        if self.stop is not None:
            config["stopSequences"] = [self.stop] if isinstance(self.stop, str) else self.stop
        thinking = self._named(_THINKING)
        if "thinkingLevel" in thinking:
            thinking["thinkingLevel"] = thinking["thinkingLevel"].upper()
        if thinking:
            config["thinkingConfig"] = thinking
        return {**config, **(self.generation_config or {})}

    def _named(self, names: dict[str, str]) -> dict[str, Any]:
        values = {wire: getattr(self, name) for name, wire in names.items()}
        return {wire: value for wire, value in values.items() if value is not None}


def _settings(given: dict[str, str] | list[dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(given, list):
        return given
    return [
        {"category": name if name.startswith(_CATEGORY) else f"{_CATEGORY}{name.upper()}", "threshold": threshold}
        for name, threshold in given.items()
    ]
