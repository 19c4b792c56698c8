"""JSON as the journal stores it: UTF-8 bytes, always valid, lone surrogates included."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from ..redaction import Redactor

_DEEPEST: Final = 100

_NAMES: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode(value: Any, redactor: Redactor | None = None) -> bytes:
    """Any value as JSON, without secrets.

    What JSON cannot say becomes text: NaN and infinities by name, dates in ISO form, the rest its `repr`.
    """
    try:
        text = _encoder.encode(value)
    except (TypeError, ValueError, RecursionError):
        value = jsonable(value)
        text = _encoder.encode(value)
    # Nearly every answer is without secrets, and one search of the whole text is cheaper than one for each string. It
    # misses only what was JSON inside a string already, and that has an escaped backslash.
    if redactor and ("\\\\" in text or redactor.text(text) != text):
        text = _encoder.encode(redactor.data(value))
    return text.encode("utf-8", "surrogatepass")


def decode(blob: Any) -> Any:
    """The value of a blob.

    Raises:
        ValueError: it is not what `encode` makes.
    """
    if not isinstance(blob, bytes):
        raise ValueError(f"bytes expected, found {type(blob).__name__}")  # noqa: TRY004  # what is wrong is the file
    try:
        return json.loads(blob.decode("utf-8", "surrogatepass"))
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def jsonable(value: Any, _depth: int = 0) -> Any:
    """A copy of plain dicts, lists and scalars that JSON can say in full."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return _digits(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else _NAMES[repr(float(value))]
    if isinstance(value, date):
        return value.isoformat()
    try:
        if isinstance(value, Mapping) and _depth < _DEEPEST:
            return {str(key): jsonable(item, _depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)) and _depth < _DEEPEST:
            return [jsonable(item, _depth + 1) for item in value]
        return repr(value)
    except Exception as exc:  # noqa: BLE001  # the code of whoever made the object
        return f"<{type(value).__name__}, unreadable: {type(exc).__name__}>"


def _digits(value: int) -> int | str:
    # Python refuses to print integers of more than 4300 digits, and other readers of JSON stop far earlier.
    return value if value.bit_length() <= 4096 else hex(value)
