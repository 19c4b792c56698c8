"""What an answer of the engine means: pure functions over the payload.

llama.cpp has no filter and marks no refusal: what a model writes is answered, and what was cut short is truncated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hivetrace_core import FinishReason, ModelError, ModelResponse, Outcome, Reply, ResponseMetadata, Usage

RULES_VERSION: Final = 1

_FINISH: Final[dict[str, tuple[FinishReason, Outcome]]] = {
    "eos": ("stop", "answered"),
    "stop": ("stop", "answered"),
    "max_tokens": ("length", "truncated"),
    "context": ("length", "truncated"),
    "memory": ("length", "truncated"),
}
"""How an answer ended: the model's own end mark, a stop text, or the limit that cut it short."""


def classify(reply: Reply) -> ModelResponse:
    """The response that a payload of the engine amounts to.

    Raises:
        ModelError: kind `response_format`; it is no such payload.
    """
    payload = reply.payload
    if not isinstance(payload, Mapping) or not isinstance(payload.get("content"), str):
        raise ModelError("The payload is not one of this engine", kind="response_format", status=reply.status)
    content: str = payload["content"]
    native = payload.get("finish")
    finish, outcome = _FINISH.get(native, ("unknown", "unknown")) if isinstance(native, str) else ("unknown", "unknown")
    if not content and outcome == "answered":
        outcome = "empty"
    model = payload.get("model")
    metadata: ResponseMetadata = {
        "model_name": model if isinstance(model, str) else "",
        "finish_reason": finish,
        "native_finish_reason": native if isinstance(native, str) else None,
        "outcome": outcome,
        "usage": _usage(payload.get("usage")),
    }
    return {"content": content, "response_metadata": metadata}


def _usage(given: Any) -> Usage:
    usage: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    names = ("input_tokens", "output_tokens", "cached_tokens")
    counts = [value if isinstance(value := usage.get(name), int) else None for name in names]
    read, written, cached = counts
    total = read + written if read is not None and written is not None else None
    return {"input_tokens": read, "output_tokens": written, "total_tokens": total, "cached_tokens": cached}
