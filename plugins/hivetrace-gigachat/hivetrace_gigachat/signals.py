"""The wire's vocabulary: which words in a payload mean which finish reason, block or error.

Sources: the vendor's reference and its pages on errors and limitations (developers.sber.ru/docs/ru/gigachat), the
source of its SDK (0.2.3). The README says what was not verified against the live service.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from hivetrace_core import FinishReason

RULES_VERSION: Final = 1
"""Raised whenever the same payload would be classified differently than before."""

FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "function_call": "tool_calls",
    "error": "error",
}

_FILTER: Final = re.compile(r"blacklist|whitelist|filter", re.IGNORECASE)
"""`blacklist` of v1; `request_blacklist`, `request_whitelist`, `request_filter`, `response_blacklist` of v2."""

CANNED_TEXTS: Final = frozenset(
    (
        "Не люблю менять тему разговора, но вот сейчас тот самый случай.",
        "Что-то в вашем вопросе меня смущает. Может, поговорим на другую тему?",
        (
            "Как у нейросетевой языковой модели у меня не может быть настроения, "
            "но почему-то я совсем не хочу говорить на эту тему."
        ),
    )
)
"""What the filter says in the model's place, for gateways that drop its finish reason or turn it into `stop`.

The wording varies, so it is no more than a fallback, and only as the whole of an answer.
"""

CONTEXT_TEXT: Final = re.compile(
    r"exceed\w*\b.*\b(?:context|tokens?)\b|\b(?:context|tokens?)\b.*\bexceed|context (?:length|window|size)"
    r"|too (?:long|large)|контекст",
    re.IGNORECASE | re.DOTALL,
)
"""How a 400 or 422 says that the input is too long: the status alone means any fault of the request."""


def filter_stage(finish: str) -> Literal["prompt", "response", "unspecified"] | None:
    """Where a finish reason says that a filter has stepped in; None where it names no filter."""
    if _FILTER.search(finish) is None:
        return None
    word = finish.lower()
    if word.startswith("request"):
        return "prompt"
    return "response" if word.startswith("response") else "unspecified"
