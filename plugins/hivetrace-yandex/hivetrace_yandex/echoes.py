"""Refusals of a credential that repeat parts of it: how they are kept from being shown and stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MASK: Final = "***"

_SHORTEST: Final = 6
"""Characters that a text must share with the credential to count as a part of it."""

_DEEPEST: Final = 50  # no error of the service is nested like that

_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|«[^»]*»|“[^”]*”")
_LIKE_A_CREDENTIAL: Final = re.compile(r"(?<!\w)(?:AQVN|AQAAAA|AgAAAA|t1\.|y[0-3]_)[^\s'\"`,;]*")
"""API keys, OAuth and IAM tokens begin like this."""


def without_credentials(text: str, *, quotes: bool = False) -> str:
    """The text without what looks like a credential of this service.

    Args:
        text: A message of the service.
        quotes: Also without all that it quotes: a message about a credential quotes nothing else.
    """
    masked = _QUOTED.sub(lambda found: f"{found[0][0]}{MASK}{found[0][-1]}", text) if quotes else text
    return _LIKE_A_CREDENTIAL.sub(MASK, masked)


def without_parts(text: str, secret: str) -> str:
    """The text without any run of `_SHORTEST` or more characters that the secret has, too."""
    kept: list[str] = []
    at = 0
    while at < len(text):
        end = at + _SHORTEST
        if end > len(text) or text[at:end] not in secret:
            kept.append(text[at])
            at += 1
            continue
        while end < len(text) and text[at : end + 1] in secret:
            end += 1
        kept.append(MASK)
        at = end
    return "".join(kept)


def hidden(payload: Any, secret: str, *, quotes: bool = False, depth: int = 0) -> Any:
    """A copy of an error's payload with the same done to every string in it, names aside."""
    if isinstance(payload, str):
        return without_credentials(without_parts(payload, secret), quotes=quotes)
    if isinstance(payload, Mapping | list) and depth >= _DEEPEST:
        return MASK
    if isinstance(payload, Mapping):
        return {key: hidden(value, secret, quotes=quotes, depth=depth + 1) for key, value in payload.items()}
    if isinstance(payload, list):
        return [hidden(item, secret, quotes=quotes, depth=depth + 1) for item in payload]
    return payload
