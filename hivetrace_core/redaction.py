"""Secrets: which values are secret, and how they are kept out of everything that is written or shown.

A `Redactor` holds the resolved secret values of a run or of a model. Whatever leaves the process (journal, exports,
logs, error messages, terminal) goes through one.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK: Final = "***"

MIN_SECRET_LENGTH: Final = 8
"""Shorter values would match innocent text; they are masked in configs only, by their key."""

_SECRET_NAME = re.compile(
    r"(?:api_?)?key$|keys$|token$|secret|password|passwd|credential|authorization|cookie", re.IGNORECASE
)
_NOT_SECRET = re.compile(r"max_.*tokens?$|.*_tokens$|^(?:sort|primary|public|foreign)_?key$", re.IGNORECASE)
_URL_USERINFO = re.compile(r"\b([a-z][a-z0-9+.-]*://)[^/\s?#@'\"]+@", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a parameter of this name holds a secret (`api_key`, `iam_token`, `password`; not `max_tokens`)."""
    plain = name.replace("-", "_")
    return bool(_SECRET_NAME.search(plain)) and not _NOT_SECRET.match(plain)


def secret_values(params: Any, *, _secret: bool = False) -> Iterator[str]:
    """Every secret string inside params: under a secret name at any depth, in `SecretStr`, in the userinfo of URLs."""
    if hasattr(params, "get_secret_value"):
        yield str(params.get_secret_value())
    elif isinstance(params, Mapping):
        for key, value in params.items():
            yield from secret_values(value, _secret=_secret or is_secret_name(str(key)))
    elif isinstance(params, (list, tuple, set, frozenset)):
        for value in params:
            yield from secret_values(value, _secret=_secret)
    elif isinstance(params, str):
        if _secret:
            yield params
        elif "://" in params and "@" in params:
            yield from _userinfo(params)


def _userinfo(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    for part in (parts.password, parts.username if parts.password is None else None):
        if part:
            yield part
            yield unquote(part)


def mask_params(params: Any, *, _secret: bool = False) -> Any:
    """A JSON-ready copy of params in which every secret, however short, is `***`."""
    if hasattr(params, "get_secret_value"):
        return MASK
    if isinstance(params, Mapping):
        return {
            str(key): mask_params(value, _secret=_secret or is_secret_name(str(key))) for key, value in params.items()
        }
    if isinstance(params, (list, tuple, set, frozenset)):
        return [mask_params(value, _secret=_secret) for value in params]
    if params is None or isinstance(params, bool):
        return params
    if _secret:
        return MASK
    if isinstance(params, str):
        return _URL_USERINFO.sub(rf"\1{MASK}@", params)
    return params if isinstance(params, (int, float)) else repr(params)


class Redactor:
    """Replaces known secret values in text and in JSON-ready data, also where they are URL-encoded or in base64.

    Args:
        secrets: Resolved values; those under `MIN_SECRET_LENGTH` characters are ignored.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms: set[str] = set()
        for secret in secrets:
            if len(secret) >= MIN_SECRET_LENGTH:
                forms.update(_forms(secret))
        # Longest first: a secret that contains another one is replaced whole.
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __bool__(self) -> bool:
        return self._pattern is not None

    def text(self, text: str) -> str:
        """The text with every secret replaced by `***`."""
        return self._pattern.sub(MASK, text) if self._pattern is not None else text

    def data(self, value: Any) -> Any:
        """The same for JSON-ready data at any depth, keys included; shares what needs no change."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self._pattern.sub(MASK, value)
        if isinstance(value, Mapping):
            return {self.data(key): self.data(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.data(item) for item in value]
        return value


def _forms(secret: str) -> Iterator[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    yield secret
    yield quote(secret, safe="", errors="replace")
    yield quote(secret, errors="replace")
    yield quote_plus(secret, errors="replace")
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        # Inside a longer text ("user:secret") the same bytes appear at one of three offsets; the characters that
        # depend on neighbours are cut off.
        for offset in range(3):
            encoded = encode(b"\0" * offset + raw).decode("ascii").rstrip("=")
            start = (0, 2, 3)[offset]
            end = len(encoded) - (1 if (offset + len(raw)) % 3 else 0)
            if end - start >= MIN_SECRET_LENGTH:
                yield encoded[start:end]
