"""Tokens that a server repeats: no redactor knows them, because they are handed out while the model works."""

from __future__ import annotations

from typing import Any, Final

MASK: Final = "***"


def without(payload: Any, token: str) -> Any:
    """The payload of an error with the token masked wherever it stands, keys included."""
    if not token:
        return payload
    if isinstance(payload, str):
        return payload.replace(token, MASK)
    if isinstance(payload, dict):
        return {without(key, token): without(value, token) for key, value in payload.items()}
    if isinstance(payload, list):
        return [without(value, token) for value in payload]
    return payload
