"""Messages as `/api/chat` spells them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from hivetrace_core import Message, Messages, ModelError

_ROLES: Final = frozenset({"system", "user", "assistant", "tool"})


def wire_messages(messages: Messages) -> list[dict[str, Any]]:
    """The messages of a request.

    Raises:
        ModelError: kind `bad_request`, nothing was sent: a role or an image that Ollama has no form for.
    """
    return [_message(message, number) for number, message in enumerate(messages, 1)]


def _message(message: Message, number: int) -> dict[str, Any]:
    if message["role"] not in _ROLES:
        raise _refused(f"Ollama has no role {message['role']!r} (message {number}); use system")
    content = message["content"]
    if isinstance(content, str) and "tool_calls" not in message:
        return message  # type: ignore[return-value]  # a TypedDict is a dict
    wire: dict[str, Any] = {**message, "content": content or ""}
    if content is not None and not isinstance(content, str):
        wire["content"] = "\n".join(part["text"] for part in content if part["type"] == "text")
        images = [_image(part, number) for part in content if part["type"] == "image"]
        if images:
            wire["images"] = images
    if "tool_calls" in message:
        wire["tool_calls"] = [_tool_call(call) for call in message["tool_calls"]]
    return wire


def _image(part: Mapping[str, Any], number: int) -> str:
    """The base64 text. It is never a path or an address: nothing is opened or fetched for a prompt."""
    data = part.get("data")
    if not isinstance(data, str):
        raise _refused(f"Ollama takes images as bytes only, and message {number} has one by URL; pass `data` (base64)")
    return data


def _tool_call(call: Any) -> Any:
    """A call whose arguments are an object; others write them as JSON text."""
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("arguments"), str):
        return call
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        return call  # for the server to judge
    return {**call, "function": {**function, "arguments": arguments}}


def _refused(problem: str) -> ModelError:
    return ModelError(f"The prompt was not sent: {problem}.", kind="bad_request", attempts=0)
