"""Tokens of the mock server: what the dialect has to know of one stands inside it, because a dialect keeps no state."""

from __future__ import annotations

import base64
import json
import time
from functools import lru_cache
from typing import Final, NamedTuple

_PREFIX: Final = "mock."


class Minted(NamedTuple):
    """What is inside a token.

    Attributes:
        key: The credential that it was given for.
        dies_at: Seconds since the epoch.
    """

    key: str
    dies_at: float


def mint(key: str, *, lifetime: float) -> str:
    """A token for a credential.

    Args:
        key: The credential.
        lifetime: Seconds that it is accepted.
    """
    inside = json.dumps([key, time.time() + lifetime, time.monotonic_ns()])
    return _PREFIX + base64.urlsafe_b64encode(inside.encode()).decode("ascii")


@lru_cache(maxsize=1024)
def opened(token: str) -> Minted | None:
    """What is inside a token of `mint`; None for any other text."""
    if not token.startswith(_PREFIX):
        return None
    try:
        key, dies_at, _ = json.loads(base64.urlsafe_b64decode(token.removeprefix(_PREFIX)))
        return Minted(str(key), float(dies_at))
    except (ValueError, TypeError):
        return None


def refusal(token: str | None) -> str | None:
    """Why the chat service turns this token away; None where it takes it."""
    inside = opened(token) if token else None
    if inside is None:
        return "Unauthorized"
    return "Token has expired" if inside.dies_at <= time.time() else None
