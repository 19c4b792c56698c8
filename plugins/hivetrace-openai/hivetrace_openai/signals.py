"""The wire's vocabulary: which words in a payload mean which finish reason, block or error.

Sources: the reference of chat completions and the types of the official SDK (3.54), Azure's content-filter pages,
OpenRouter's pages on errors and limits (August 2026). The README says what was not verified against a live service.
"""

from __future__ import annotations

import re
from typing import Final

from hivetrace_core import ErrorKind, FinishReason

RULES_VERSION: Final = 1
"""Raised whenever the same payload would be classified differently than before."""

FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "error": "error",
    "blacklist": "content_filter",  # GigaChat's word, seen behind compatible servers
}

BLOCKING_NATIVE_REASONS: Final = frozenset(
    {
        "SAFETY",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "RECITATION",
        "IMAGE_RECITATION",
        "MODEL_ARMOR",
        "CONTENT_FILTER",
        "CONTENT_FILTERED",
        "GUARDRAIL_INTERVENED",
    }
)
"""Upstream reasons, in upper case, that a router may have passed on as a plain `stop`."""

BLOCK_CODES: Final[dict[str, str]] = {
    "content_filter": "azure.prompt_filter",
    "ResponsibleAIPolicyViolation": "azure.prompt_filter",
    "content_policy_violation": "openai.content_policy",
    "moderation_blocked": "openai.moderation",
}
"""Error codes that are blocks of the prompt, and the rule that each is."""

POLICY_TEXT: Final = re.compile(r"usage polic|safety reasons|violating our|content management policy", re.IGNORECASE)
"""`invalid_prompt` is also the code of malformed prompts; only with such a message is it a block."""

QUOTA_CODES: Final = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    }
)

CODE_KINDS: Final[dict[str, ErrorKind]] = {
    "context_length_exceeded": "context_length",
    "token_limit_exceeded": "context_length",
    "string_too_long": "context_length",
    "invalid_api_key": "authentication",
    "authentication": "authentication",
    "permission_denied": "permission",
    "payment_required": "quota",
    "model_not_found": "not_found",
    "DeploymentNotFound": "not_found",
    "not_found": "not_found",
    "rate_limit_exceeded": "rate_limit",
    "slow_down": "rate_limit",
    "capacity_exhausted": "rate_limit",
    "timeout": "timeout",
    "server": "server",
    "server_error": "server",
    "server_is_overloaded": "server",
    "provider_unavailable": "server",
    "provider_overloaded": "server",
    "temporarily_unavailable": "server",
    **dict.fromkeys(QUOTA_CODES, "quota"),
}

CONTEXT_TEXT: Final = re.compile(r"maximum context length|context window|prompt is too long", re.IGNORECASE)
"""How open-source servers word an overlong prompt that has no code of its own."""

ROUTER_BLOCK_KEYS: Final = ("reasons", "flagged_input", "patterns")
"""Keys of `error.metadata` that make a router's 403 a block."""

IN_FLIGHT_BUDGET: Final = "openrouter_in_flight_budget"
"""The one `limit_source` that passes by itself: too many paid requests at once."""
