"""What a response says about itself, whatever shape a custom model gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ..responses import ErrorInfo, metadata_of


def tokens_of(response: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Tokens in and out; None for what is no count."""
    usage = metadata_of(response).get("usage")
    if not isinstance(usage, (dict, Mapping)):
        return None, None
    return _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))


def error_of(response: Mapping[str, Any]) -> ErrorInfo | None:
    """Why it failed; of kind `unexpected` where it does not name one."""
    error = response.get("error")
    if not error:
        return None
    if isinstance(error, Mapping) and isinstance(error.get("kind"), str) and isinstance(error.get("message"), str):
        return cast(ErrorInfo, error)
    return {"kind": "unexpected", "message": error if isinstance(error, str) else repr(error), "retryable": False}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**53 else None
