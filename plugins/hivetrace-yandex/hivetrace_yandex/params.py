"""The types of the constructor's keyword arguments, for editors and type checkers. Meanings and ranges: `options`."""

from __future__ import annotations

from typing import Any, Literal

from hivetrace_core import SecretStr
from hivetrace_core.http import HttpParams

from .options import TokenProvider


class YandexGPTParams(HttpParams, total=False):
    """`YandexGPTModel`."""

    operations_url: str | None
    folder_id: str | None
    api_key: SecretStr | str | None
    iam_token: SecretStr | str | None
    iam_token_provider: TokenProvider | None
    iam_token_lifetime: float
    mode: Literal["sync", "async"]
    poll_interval: float
    max_poll_interval: float
    operation_reads_per_second: float
    temperature: float | None
    max_tokens: int | None
    reasoning_options: dict[str, Any] | None
    tools: list[dict[str, Any]] | None
    tool_choice: str | dict[str, Any] | None
    parallel_tool_calls: bool | None
    json_object: bool | None
    json_schema: dict[str, Any] | None
    data_logging: bool | None
