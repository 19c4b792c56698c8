"""Prompts as this wire format spells them: one system message, first; text in one piece; functions, not tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from hivetrace_core import Message, Messages, ModelError

from .payloads import mapping


def wire_messages(messages: Messages) -> list[dict[str, Any]]:
    """The messages of a request. Keys that the contract does not know (`attachments`, ...) go along as they are.

    A system message that is not the first is moved there: the service refuses any other place, and means the same.

    Raises:
        ModelError: kind `bad_request`, attempts 0: the service could not take this prompt.
    """
    systems = sum(message["role"] == "system" for message in messages)
    if systems > 1:
        _unsendable(
            f"it has {systems} system messages, and GigaChat takes one, at the beginning; "
            "put their texts into one message"
        )
    ordered = messages
    if systems and messages[0]["role"] != "system":
        ordered = sorted(messages, key=lambda message: message["role"] != "system")
    return [_wire(message) for message in ordered]


def _wire(message: Message) -> dict[str, Any]:
    role, content = message["role"], message["content"]
    if isinstance(content, str) and role in ("user", "system") and len(message) == 2:
        return message  # type: ignore[return-value]  # a TypedDict is a dict
    if role == "developer":
        _unsendable("GigaChat has no role developer; use system")
    wire: dict[str, Any] = {**message, "content": _text(content)}
    if role == "tool":
        return _function_result(wire)
    calls = wire.pop("tool_calls", None)
    if calls:
        if len(calls) > 1:
            _unsendable("an assistant message has several tool calls, and GigaChat knows one a message")
        wire["function_call"] = _function_call(calls[0])
    return wire


def _text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if any(part["type"] != "text" for part in content):
        _unsendable(
            "GigaChat takes images as uploaded files only: upload it (model.sdk_client().upload_file(...)) and put its "
            "id into the message, as in {'role': 'user', 'content': '...', 'attachments': ['<file id>']}"
        )
    return "\n".join(part["text"] for part in content)


def _function_result(wire: dict[str, Any]) -> dict[str, Any]:
    wire.pop("tool_call_id", None)
    if not wire.get("name"):
        _unsendable("a tool message needs the `name` of its function for GigaChat")
    return {**wire, "role": "function"}


def _function_call(call: Any) -> dict[str, Any]:
    """A call as the service spells it: its arguments are an object, where others have JSON in a text."""
    function = mapping(call).get("function", call)
    name, arguments = mapping(function).get("name"), mapping(function).get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            arguments = None
    if not isinstance(name, str) or not isinstance(arguments, Mapping):
        _unsendable("a tool call has no name, or arguments that are no JSON object")
    return {"name": name, "arguments": dict(arguments)}


def _unsendable(problem: str) -> NoReturn:
    raise ModelError(f"The prompt was not sent: {problem}.", kind="bad_request", attempts=0)
