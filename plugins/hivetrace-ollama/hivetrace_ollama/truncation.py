"""Prompts that the server cut without saying so.

Where a prompt does not fit into the context window, Ollama drops the oldest messages, then cuts text out of what is
left, and answers as if nothing had happened. The reply only tells how many tokens it has evaluated. A tokenizer never
makes one token of two words, so a prompt with more words than that was not read whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hivetrace_core import Messages

from .payloads import count


def least_tokens(messages: Messages) -> int:
    """A number of tokens that the prompt has at least: the words of its system and user messages.

    What assistants have said is left out, because templates drop their reasoning; images and tools only add tokens.
    """
    words = 0
    for message in messages:
        if message["role"] in ("system", "user"):
            content = message["content"]
            if isinstance(content, str):
                words += len(content.split())
            elif content:
                words += sum(len(part["text"].split()) for part in content if part["type"] == "text")
    return words


def was_cut(payload: Mapping[str, Any], least: int, num_ctx: int | None) -> bool:
    """Whether the server cannot have read the whole prompt. False means that it is not known, not that it has.

    Args:
        payload: The answer.
        least: Tokens that the prompt has at least.
        num_ctx: The context window that was asked for; None where the server decided.
    """
    evaluated = count(payload.get("prompt_eval_count"))
    if evaluated is None:
        return num_ctx is not None and least > num_ctx
    cached = count(payload.get("prompt_eval_cached_count")) or 0
    # The count includes the cached tokens; where it plainly does not, they are added, so as not to claim too much.
    return least > (evaluated if cached <= evaluated else evaluated + cached)
