"""The wire's vocabulary: which words in a payload mean which finish reason, block or error.

Sources: the service's protocol definitions (`foundation_models/v1/*.proto`), its pages on error codes and limits, and
issue trackers of its clients. The README says what was not verified against the live service.
"""

from __future__ import annotations

import re
from typing import Final

from hivetrace_core import ErrorKind, FinishReason

RULES_VERSION: Final = 1
"""Raised whenever the same payload would be classified differently than before."""

STATUS: Final = "ALTERNATIVE_STATUS_"

FINISH_REASONS: Final[dict[str, FinishReason]] = {
    f"{STATUS}FINAL": "stop",
    f"{STATUS}TRUNCATED_FINAL": "length",
    f"{STATUS}CONTENT_FILTER": "content_filter",
    f"{STATUS}TOOL_CALLS": "tool_calls",
    f"{STATUS}PARTIAL": "error",
    f"{STATUS}UNSPECIFIED": "error",
}
"""In JSON the status is a name; the numbers of the protocol never appear there and mean nothing here."""

PARTIAL: Final = f"{STATUS}PARTIAL"

CANNED_TEXTS: Final = frozenset(
    {
        "Я не могу обсуждать эту тему. Давайте поговорим о чём-нибудь ещё.",
        "В интернете есть много сайтов с информацией на эту тему. [Посмотрите, что нашлось в поиске](https://ya.ru)",
    }
)
"""The filter's own texts. They were also seen with the status FINAL; only an answer that is nothing else counts."""

GRPC_NAMES: Final[tuple[str, ...]] = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""Names of the gRPC codes; a code is its index."""

GRPC_KINDS: Final[dict[str, ErrorKind]] = {
    "CANCELLED": "connection",
    "UNKNOWN": "server",
    "INVALID_ARGUMENT": "bad_request",
    "DEADLINE_EXCEEDED": "timeout",
    "NOT_FOUND": "not_found",
    "ALREADY_EXISTS": "bad_request",
    "PERMISSION_DENIED": "permission",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "FAILED_PRECONDITION": "bad_request",
    "ABORTED": "server",
    "OUT_OF_RANGE": "bad_request",
    "UNIMPLEMENTED": "bad_request",
    "INTERNAL": "server",
    "UNAVAILABLE": "server",
    "DATA_LOSS": "server",
    "UNAUTHENTICATED": "authentication",
}

TOO_LONG: Final = re.compile(
    r"number of (?:input )?tokens must be no more than|context (?:length|window)|prompt is too long", re.IGNORECASE
)
WRONG_MODEL: Final = re.compile(r"model[ _]?uri", re.IGNORECASE)
WRONG_FOLDER: Final = re.compile(r"folder id\b.*\bdoes not match", re.IGNORECASE | re.DOTALL)
UNPAID: Final = re.compile(r"billing|payment", re.IGNORECASE)
"""Messages that tell apart what shares one code."""

QUOTA_NAME: Final = re.compile(r"\b(ai\.\w+\.(?:count|rate))\b")
NOTHING_ALLOWED: Final = re.compile(r"\ballowed 0 requests\b")

QUOTA_PERIODS: Final[tuple[tuple[str, float], ...]] = (
    ("PerSecond", 1.0),
    ("PerMinute", 60.0),
    ("PerHour", 3600.0),
    ("PerDay", 86_400.0),
)
"""What the name of a rate quota says about its period, in seconds.

The service documents no `Retry-After`. Until a whole period has passed the quota may still be spent, so that is the
wait; one that exceeds a prompt's deadline stops the run.
"""
