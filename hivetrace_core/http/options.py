"""Options of every provider that speaks HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from ..options import ModelOptions
from ..redaction import is_secret_name
from .headers import check_header
from .tls import trust_only

DEFAULT_MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024


class HttpOptions(ModelOptions):
    """What every provider over HTTP takes. A provider gives `base_url` its default.

    Environment variables for proxies and `.netrc` are not read: what is configured is what is used.
    """

    base_url: str = Field(description="Address of the API with its version (https://host/v1); redirects are refused.")
    ca_bundle: Path | None = Field(
        default=None,
        description="PEM file of the CAs to trust, in place of the system's; for a private or national CA.",
    )
    verify_tls: bool = Field(
        default=True, description="False accepts any certificate: others on the path can read the key and the answers."
    )
    proxy: str | None = Field(
        default=None,
        description="Proxy for all requests, http://[user:password@]host:port; the environment's is not used.",
    )
    extra_headers: dict[str, str] = Field(
        default_factory=dict, description="Headers to send along; they replace the provider's own of the same name."
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict, description="Keys to put into every request's JSON, over the provider's own."
    )
    connect_timeout: float = Field(default=10.0, gt=0, description="Seconds to open a connection, TLS included.")
    max_response_bytes: int = Field(
        default=DEFAULT_MAX_RESPONSE_BYTES, ge=1, description="Largest answer to accept, decompressed; default 64 MiB."
    )

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        return check_base_url(value)

    @field_validator("proxy")
    @classmethod
    def _check_proxy(cls, value: str | None) -> str | None:
        if value is not None:
            _check_url("proxy", value, hint="; SOCKS is not supported")
        return value

    @field_validator("ca_bundle")
    @classmethod
    def _check_ca_bundle(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        value = value.expanduser()
        trust_only(value)
        return value

    @field_validator("extra_headers")
    @classmethod
    def _check_headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            check_header("extra_headers", name, text)
        return value

    @field_validator("extra_body")
    @classmethod
    def _check_body(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as exc:
            raise ValueError(f"extra_body cannot be written as JSON ({exc})") from None
        return value

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if self.ca_bundle is not None and not self.verify_tls:
            raise ValueError("ca_bundle has no effect with verify_tls=False: leave out one of the two")
        return self

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                text = value.get_secret_value()
                if not text.strip():
                    raise ValueError(f"{name} is empty: leave it out or give it a value")
                if any(character < " " or character == "\x7f" for character in text):
                    raise ValueError(
                        f"{name} contains a line break or another control character; was it pasted with one?"
                    )
        return self

    def secrets(self) -> list[str]:
        """The resolved secret values; of an `Authorization: Bearer ...` header also the token alone."""
        tokens = [
            value.split(None, 1)[1]
            for name, value in self.extra_headers.items()
            if is_secret_name(name) and len(value.split(None, 1)) > 1
        ]
        return [*super().secrets(), *tokens]


def check_base_url(value: str) -> str:
    """The URL without surrounding blanks.

    Raises:
        ValueError: with the sentence for the user; the URL is not in it.
    """
    value = value.strip()
    parts = _check_url("base_url", value)
    if parts.username is not None or parts.password is not None:
        raise ValueError("base_url must not contain a user name or password: pass them in extra_headers")
    if parts.query or parts.fragment:
        raise ValueError("base_url must not have a query (?...) or a fragment (#...)")
    return value


def _check_url(name: str, value: str, hint: str = "") -> Any:
    # urlsplit drops line breaks and tabs without a word; anything else would go to another address than the one read.
    if any(character <= " " or character == "\x7f" for character in value):
        raise ValueError(f"{name} must not contain blanks or line breaks")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"{name} is not a valid URL") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{name} must start with http:// or https://{hint}")
    if not parts.hostname or port == 0:
        raise ValueError(f"{name} has no valid host and port")
    return parts
