"""How long a provider asks to wait. Pure functions over header values."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

MAX_WAIT_S: Final = 86_400.0
"""A longer wait than a day is taken for a mistake (a timestamp where seconds belong) and ignored."""

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d)")
_UNITS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
}


def wait_seconds(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait before the next request, by `retry-after-ms` or else `retry-after`.

    `retry-after` may be seconds (`1.5`), a duration (`30s`) or an HTTP date; a date in the past is 0. What is negative,
    not finite, unreadable or longer than `MAX_WAIT_S` is ignored, as if the header were not there.

    Args:
        headers: Response headers, names in lower case.
        now: Seconds since the epoch from which a date is measured. By default the reply's own `date`, so that a wrong
            clock on this machine changes nothing, and where there is none, this machine's clock.

    Returns:
        None where the provider names no usable time.
    """
    milliseconds = _number(headers.get("retry-after-ms", "").strip())
    wait = _sane(milliseconds / 1000) if milliseconds is not None else None
    if wait is not None:
        return wait
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    seconds = duration(value)
    if seconds is None and (until := _date(value)) is not None:
        if now is None:
            served = _date(headers.get("date", ""))
            now = time.time() if served is None else served
        seconds = max(0.0, until - now)
    return None if seconds is None else _sane(seconds)


def duration(text: str) -> float | None:
    """Seconds in a duration such as `1m30.5s`, `12ms`, `6m0s` or a bare number of seconds; None for anything else."""
    text = text.strip()
    seconds = _number(text)
    if seconds is not None:
        return seconds
    total = 0.0
    position = 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            return None
        total += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    return total if position and math.isfinite(total) else None


def _number(text: str) -> float | None:
    # float() alone would also take "nan", "1_000", "-5" and other scripts' digits.
    if _NUMBER.fullmatch(text) is None:
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def _sane(seconds: float) -> float | None:
    return seconds if seconds <= MAX_WAIT_S else None


def _date(text: str) -> float | None:
    if not text:
        return None
    from email.utils import parsedate_to_datetime

    try:
        moment: datetime = parsedate_to_datetime(text)
        # HTTP dates are UTC whether they say so or not.
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
