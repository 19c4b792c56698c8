"""A LangChain message as it is shown: every field of it that can tell how the answer ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._showing import Seen, plain

_NOISE = {"token_usage", "model_name", "model_provider", "id", "logprobs", "created_at", "system_fingerprint", "model",
          "total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration",
          "x_headers", "service_tier", "message", "cost", "cost_details", "created", "object"}  # fmt: skip


def message_shown(fields: Mapping[str, Any]) -> Seen:
    """What an `AIMessage`, taken as a mapping, shows."""
    content = fields.get("content")
    if isinstance(content, list):
        parts = [part if isinstance(part, str) else part.get("text") or "" for part in content]
        content = "".join(str(part) for part in parts)
    more: Mapping[str, Any] = fields.get("additional_kwargs") or {}
    metadata: Mapping[str, Any] = fields.get("response_metadata") or {}
    signals = {name: plain(value) for name, value in metadata.items() if name not in _NOISE}
    calls = fields.get("tool_calls") or fields.get("invalid_tool_calls") or more.get("function_call")
    seen: Seen = {"content": str(content or ""), "signals": signals, "tool_calls": bool(calls)}
    seen["refusal"] = str(more.get("refusal") or "")
    return seen
