"""The wire's vocabulary: which words in a payload mean which finish reason, block or error.

Sources: the reference of generateContent, the pages on troubleshooting, safety settings and rate limits, the enums of
the official SDK (3.4), and errors that users reported. The README says what was not verified against the live service.
"""

from __future__ import annotations

import re
from typing import Final

from hivetrace_core import ErrorKind, FinishReason

RULES_VERSION: Final = 1
"""Raised whenever the same payload would be classified differently than before."""

FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
}
"""Ends that belong to an answer; with function calls, `STOP` is `tool_calls`."""

BLOCKING_REASONS: Final[dict[str, str]] = {
    "SAFETY": "gemini.safety",
    "BLOCKLIST": "gemini.blocklist",
    "PROHIBITED_CONTENT": "gemini.prohibited_content",
    "SPII": "gemini.spii",
    "IMAGE_SAFETY": "gemini.image_safety",
    "IMAGE_PROHIBITED_CONTENT": "gemini.image_prohibited_content",
    "ESCALATION": "gemini.escalation",
    "MODEL_ARMOR": "gemini.model_armor",
    "RECITATION": "gemini.recitation",
    "IMAGE_RECITATION": "gemini.image_recitation",
}
"""Finish reasons that are blocks of the response, and each one's rule. Recitation is about copyright, not harm."""

PROMPT_RULES: Final[dict[str, str]] = {
    "BLOCKED_REASON_UNSPECIFIED": "gemini.prompt_unspecified",
    "SAFETY": "gemini.prompt_safety",
    "OTHER": "gemini.prompt_other",
    "BLOCKLIST": "gemini.prompt_blocklist",
    "PROHIBITED_CONTENT": "gemini.prompt_prohibited_content",
    "IMAGE_SAFETY": "gemini.prompt_image_safety",
    "MODEL_ARMOR": "gemini.prompt_model_armor",
    "JAILBREAK": "gemini.prompt_jailbreak",
}
"""Block reasons of `promptFeedback`, and the rule that each is."""

UNSEEN_PROMPT_RULE: Final = "gemini.prompt_block"
"""The rule of a block reason that is not listed: any block reason is a block."""

UNEXPLAINED_REASONS: Final = frozenset({"LANGUAGE", "OTHER", "IMAGE_OTHER", "NO_IMAGE"})
"""The model stopped and nobody says why. `OTHER` without text is often a filter that is not disclosed.

Neither a block (nothing says so) nor a failed request (the model was asked and has stopped): the outcome is `unknown`.
"""

FAILED_REASONS: Final[dict[str, tuple[ErrorKind, str]]] = {
    "MALFORMED_FUNCTION_CALL": ("server", "the model wrote a function call that cannot be read"),
    "MALFORMED_RESPONSE": ("server", "the model wrote an answer that cannot be read"),
    "UNEXPECTED_TOOL_CALL": ("server", "the model called a tool that it was not offered"),
    "TOO_MANY_TOOL_CALLS": ("server", "the model called too many tools in a row"),
    "MISSING_THOUGHT_SIGNATURE": (
        "bad_request",
        "a function call in the prompt lacks its thought_signature; pass tool_calls on as they came",
    ),
    "PUP_LIMITED_DISABLED": ("permission", "the account is limited because of prohibited use"),
}
"""Finish reasons that are failures: the kind, and what to tell the user."""

STATUS_KINDS: Final[dict[str, ErrorKind]] = {
    "INVALID_ARGUMENT": "bad_request",
    "OUT_OF_RANGE": "bad_request",
    "UNIMPLEMENTED": "bad_request",
    "FAILED_PRECONDITION": "permission",  # a region without service, or billing that is needed
    "UNAUTHENTICATED": "authentication",
    "PERMISSION_DENIED": "permission",
    "NOT_FOUND": "not_found",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "CANCELLED": "connection",
    "ABORTED": "server",
    "DATA_LOSS": "server",
    "INTERNAL": "server",
    "UNKNOWN": "server",
    "UNAVAILABLE": "server",
    "DEADLINE_EXCEEDED": "timeout",
}
"""Canonical status words of an error object (https://cloud.google.com/apis/design/errors)."""

REASON_KINDS: Final[dict[str, ErrorKind]] = {
    "API_KEY_INVALID": "authentication",  # with HTTP 400
    "API_KEY_EXPIRED": "authentication",
    "ACCESS_TOKEN_EXPIRED": "authentication",
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": "authentication",
    "CREDENTIALS_MISSING": "authentication",
    "API_KEY_SERVICE_BLOCKED": "permission",
    "SERVICE_DISABLED": "permission",
    "BILLING_DISABLED": "permission",
    "QUOTA_EXHAUSTED": "quota",
}
"""`reason` of an error's `ErrorInfo`, which says more than its status."""

CONTEXT_TEXT: Final = re.compile(
    r"token count\b.{0,80}\bexceeds|exceeds the maximum number of tokens|maximum context length", re.IGNORECASE
)
KEY_TEXT: Final = re.compile(r"\bapi[ _]key\b", re.IGNORECASE)
"""A 400 or 403 that names the key: invalid, expired, leaked, or none at all."""

BAD_KEY_TEXT: Final = re.compile(r"\bapi[ _]key (?:not (?:valid|found)|expired|is invalid)", re.IGNORECASE)
REGION_TEXT: Final = re.compile(r"location is not supported|not available in your (?:country|region)", re.IGNORECASE)
SPENT_TEXT: Final = re.compile(
    r"\blimit: 0(?!\.?\d)|\bper ?day\b|\bdaily (?:quota|limit)|credits? (?:are|is|have been) depleted|spending cap",
    re.IGNORECASE,
)
"""A 429 that no short wait cures; `limit: 0` is a model that this tier does not have."""

LONG_QUOTA: Final = re.compile(r"Per(?:Day|Week|Month)", re.IGNORECASE)
"""Quota ids of longer than minutes. Their errors ask for a wait of seconds all the same."""

RETRY_TEXT: Final = re.compile(r"retry in ([0-9][0-9a-zµ.]*)", re.IGNORECASE)
