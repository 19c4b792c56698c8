"""The types of the constructor's keyword arguments, for editors and type checkers. Meanings and ranges: `options`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hivetrace_core import SecretStr
from hivetrace_core.http import HttpParams


class GigaChatParams(HttpParams, total=False):
    """`GigaChatModel`."""

    auth_url: str
    credentials: SecretStr | str | None
    scope: str
    user: str | None
    password: SecretStr | str | None
    access_token: SecretStr | str | None
    token_expiry_buffer_ms: int
    auth_timeout: float
    verify_ssl_certs: bool | None
    ca_bundle_file: Path | str | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    repetition_penalty: float | None
    update_interval: float | None
    profanity_check: bool | None
    functions: list[dict[str, Any]] | None
    function_call: str | dict[str, Any] | None
    reasoning_effort: str | None
    response_format: dict[str, Any] | None
    flags: list[str] | None
    storage: dict[str, Any] | None
