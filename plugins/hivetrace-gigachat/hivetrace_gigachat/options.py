"""Options of the model. What is not set is not sent; what is sent is what was set."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from hivetrace_core import SecretStr, from_env
from hivetrace_core.http import HttpOptions

from .spelling import model_id, read_credential, read_tls, refuse_what_the_service_lacks

BASE_URL: Final = "https://api.giga.chat/v1"
AUTH_URL: Final = "https://ngw.devices.sberbank.ru:9443/api/v2/oauth"


class GigaChatOptions(HttpOptions):
    """GigaChat, by its v1 interface; ranges are those of the reference, checked by the server where none is given.

    The credential is one of `credentials` with `scope`, `user` and `password`, or `access_token`. Environment variables
    have the names that the vendor's SDK gives them, and those of a credential are read only where none is passed.
    """

    model: str = from_env("GIGACHAT_MODEL", description="Such as GigaChat-2-Max; case does not matter for known ids.")
    base_url: str = from_env("GIGACHAT_BASE_URL", default=BASE_URL, description="Address of the API with its version.")
    auth_url: str = from_env("GIGACHAT_AUTH_URL", default=AUTH_URL, description="Where credentials become a token.")
    credentials: SecretStr | None = Field(
        default=None,
        description="Authorization key: base64 of client_id:client_secret. Environment: GIGACHAT_CREDENTIALS.",
    )
    scope: str = from_env(
        "GIGACHAT_SCOPE",
        "GIGACHAT_API_SCOPE",
        default="GIGACHAT_API_PERS",
        description="What the key is for: GIGACHAT_API_PERS, GIGACHAT_API_B2B or GIGACHAT_API_CORP.",
    )
    user: str | None = Field(default=None, description="Of a private installation. Environment: GIGACHAT_USER.")
    password: SecretStr | None = Field(default=None, description="With user. Environment: GIGACHAT_PASSWORD.")
    access_token: SecretStr | None = Field(
        default=None, description="A token of one's own, never renewed. Environment: GIGACHAT_ACCESS_TOKEN."
    )
    token_expiry_buffer_ms: int = from_env(
        "GIGACHAT_TOKEN_EXPIRY_BUFFER_MS",
        default=60_000,
        description="Milliseconds before its expiry at which a token is renewed",
    )
    batch_size: int = Field(
        default=10,
        ge=1,
        le=100_000,
        description="Requests in flight in one call; by default what the service allows: 1 for individuals "
        "(GIGACHAT_API_PERS), 10 for companies.",
    )
    auth_timeout: float = Field(default=30.0, gt=0, description="Seconds for one request for a token.")
    timeout: Annotated[float, Field(gt=0)] | None = from_env(
        "GIGACHAT_TIMEOUT", default=120.0, description="Seconds for one attempt, the wait for a token included."
    )
    verify_ssl_certs: bool | None = Field(
        default=None, description="The SDK's name for verify_tls. Environment: GIGACHAT_VERIFY_SSL_CERTS."
    )
    ca_bundle_file: Path | None = Field(
        default=None, description="The SDK's name for ca_bundle. Environment: GIGACHAT_CA_BUNDLE_FILE."
    )
    temperature: float | None = Field(
        default=None, description="Above 0; up to 0.001 almost always the same answer, from 2 on noise."
    )
    top_p: float | None = Field(
        default=None, ge=0, le=1, description="Probability mass to sample from; 0 for the likeliest token."
    )
    max_tokens: int | None = Field(default=None, ge=1, description="Longest answer in tokens.")
    repetition_penalty: float | None = Field(default=None, gt=0, description="Above 1 against repetition; 1 for none.")
    update_interval: float | None = Field(
        default=None, ge=0, description="Seconds between the pieces of a stream, at the least."
    )
    profanity_check: bool | None = from_env(
        "GIGACHAT_PROFANITY_CHECK", description="False switches the service's topic filter off, where the key may"
    )
    functions: list[dict[str, Any]] | None = Field(default=None, description="Functions that the model may call.")
    function_call: str | dict[str, Any] | None = Field(default=None, description="auto, none, or {name: ...}.")
    reasoning_effort: str | None = Field(default=None, description="low, medium or high.")
    response_format: dict[str, Any] | None = Field(default=None, description="A JSON schema (beta).")
    flags: list[str] | None = from_env("GIGACHAT_FLAGS", description="Feature flags; in the environment a JSON list")
    storage: dict[str, Any] | None = Field(default=None, description="Whether the service keeps the conversation.")

    request_fields: ClassVar[tuple[str, ...]] = (
        "temperature",
        "top_p",
        "max_tokens",
        "repetition_penalty",
        "update_interval",
        "profanity_check",
        "functions",
        "function_call",
        "reasoning_effort",
        "response_format",
        "flags",
        "storage",
    )
    """Options that go into the request under their own names."""

    @model_validator(mode="before")
    @classmethod
    def _read_environment(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        filled = dict(values)
        refuse_what_the_service_lacks(filled, cls.model_fields)
        read_tls(filled)
        read_credential(filled)
        return filled

    @model_validator(mode="after")
    def _what_individuals_may(self) -> Self:
        individual = self.credentials is not None and self.scope == "GIGACHAT_API_PERS"
        if individual and not self.model_fields_set & {"batch_size", "max_concurrency"}:
            object.__setattr__(self, "batch_size", 1)  # frozen for users; nobody holds the instance yet
        return self

    @field_validator("model")
    @classmethod
    def _spelt_as_the_service_does(cls, value: str) -> str:
        return model_id(value)

    @field_validator("auth_url")
    @classmethod
    def _check_auth_url(cls, value: str) -> str:
        value = value.strip()
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("auth_url must start with http:// or https://")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("auth_url must have no user name, query (?...) or fragment (#...)")
        return value

    @field_validator("credentials", "access_token")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        secret = value.get_secret_value().strip()
        if not secret or not all("!" <= character <= "~" for character in secret):
            raise ValueError("credentials and access_token are ASCII without blanks; check what was pasted")
        return SecretStr(secret)

    @field_validator("token_expiry_buffer_ms")
    @classmethod
    def _not_negative(cls, value: int) -> int:
        if value < 0:
            raise ValueError("token_expiry_buffer_ms must not be negative")
        return value

    @field_validator("temperature")
    @classmethod
    def _above_zero(cls, value: float | None) -> float | None:
        if value is not None and value <= 0:
            raise ValueError(
                "temperature must be above 0 for GigaChat: for answers that repeat, pass top_p=0 or temperature=0.001"
            )
        return value

    @field_validator("flags", mode="before")
    @classmethod
    def _a_list_in_the_environment(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError('flags is a list; in GIGACHAT_FLAGS a JSON list, such as ["a", "b"]') from None

    def parameters(self) -> dict[str, Any]:
        """The request's JSON without its messages."""
        body: dict[str, Any] = {"model": self.model}
        for name in self.request_fields:
            value = getattr(self, name)
            if value is not None:
                body[name] = value
        return body

    def secrets(self) -> list[str]:
        """The resolved secret values; of `credentials` also the client secret inside."""
        inner: list[str] = []
        if self.credentials is not None:
            try:
                decoded = base64.b64decode(self.credentials.get_secret_value(), validate=True).decode()
            except (binascii.Error, ValueError):
                decoded = ""
            inner = [part for part in decoded.partition(":")[2:] if part]
        return [*super().secrets(), *inner]
