"""Bodies: JSON to bytes, and whatever a server sends to a payload."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from ..errors import ModelError

# Built once: json.dumps with any option builds an encoder per call. ASCII, so that lone surrogates survive as escapes.
_encode: Final = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode

# Some servers send NaN and infinities (log probabilities), which JSON lacks. As words, the payload stays JSON-ready.
_decode: Final = json.JSONDecoder(parse_constant=str).decode

_CHARSET = re.compile(
    r"charset\s*=\s*[\"']?((?:utf|iso|latin|windows|cp|koi8|mac|gb|big5|shift|euc)[\w.:-]*)", re.IGNORECASE
)


def json_bytes(body: Mapping[str, Any]) -> bytes:
    """A request body.

    Raises:
        ModelError: kind `bad_request`, for what JSON cannot express (NaN, dates, cycles).
    """
    try:
        return _encode(body).encode("ascii")
    except (TypeError, ValueError, RecursionError) as exc:
        raise ModelError(
            f"The request cannot be written as JSON ({exc}); check the parameters and the prompt", kind="bad_request"
        ) from exc


def payload_of(body: bytes, content_type: str) -> Any:
    """What a body says: decoded JSON, or its text where it is none, or None where it is empty. Never raises.

    Args:
        body: The bytes, decompressed.
        content_type: The header; only its charset counts, and only for text that is not UTF-8.
    """
    if not body:
        return None
    try:
        return _decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except (ValueError, RecursionError):
        return _text(body, content_type)


def _text(body: bytes, content_type: str) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        named = _CHARSET.search(content_type)
    if named is not None:
        try:
            return body.decode(named[1], "replace")
        except LookupError:
            pass
    return body.decode("utf-8", "replace")
