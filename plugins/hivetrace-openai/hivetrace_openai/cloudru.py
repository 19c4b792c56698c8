"""Blocks that only Cloud.ru's service is read for. It documents none; these are what its models and gateways may say.

GigaChat models answer a filtered prompt with one of a few sentences. Their own service marks such an answer with the
finish reason `blacklist`; a gateway that normalises finish reasons would lose that and leave only the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from hivetrace_core import Block, ModelResponse

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
"""Compared as a whole, so that an answer that only quotes one of them stays an answer."""

_CODE: Final = re.compile(r"content[\s_-]*(?:filter|polic)|moderation", re.IGNORECASE)
_SENTENCE: Final = re.compile(
    r"(?:blocked|flagged|rejected|filtered|refused|stopped)\b[^.\"]{0,40}\b(?:content[\s_-]*filter|moderation)",
    re.IGNORECASE,
)
"""A message may quote the prompt, in which the bare words prove nothing: the filter has to have acted."""


def with_canned_text(response: ModelResponse) -> ModelResponse:
    """The response; blocked where its whole text is one of the sentences with which GigaChat models evade a topic."""
    metadata, content = response["response_metadata"], " ".join(response["content"].split())
    if metadata.get("outcome") in ("answered", "unknown") and content in CANNED_TEXTS:
        metadata["outcome"] = "blocked"
        metadata["finish_reason"] = "content_filter"
        metadata["block"] = {
            "stage": "unspecified",
            "categories": [],
            "rule": "gigachat.canned_text",
            "evidence": {"path": "choices[0].message.content", "value": content},
        }
    return response


def filter_named(error: Mapping[str, Any], status: int) -> Block | None:
    """The block that a 400 or 403 means whose code names a content filter, or whose message says that one has acted."""
    if status not in (400, 403):
        return None
    for key, sign in (("code", _CODE), ("type", _CODE), ("message", _SENTENCE)):
        value = error.get(key)
        if isinstance(value, str) and sign.search(value):
            return {
                "stage": "prompt",
                "categories": [],
                "rule": "sbercloud.moderation",
                "evidence": {"path": f"error.{key}", "value": value},
            }
    return None
