"""Messages as this wire format spells them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from hivetrace_core import Message, Messages, ModelError

from .payloads import mapping

_NATIVE: Final = ("toolCallList", "toolResultList")
_ROLES: Final = ("system", "user", "assistant")


def wire_messages(messages: Messages) -> list[dict[str, Any]]:
    """The request's messages: text, tool calls or tool results each.

    Raises:
        ModelError: kind `bad_request`; the service cannot be asked this (images, other roles, a tool's answer without
            the name of its function).
    """
    return [_wire_message(message, messages[:number]) for number, message in enumerate(messages)]


def _wire_message(message: Message, before: Sequence[Message]) -> dict[str, Any]:
    role = message["role"]
    given: Mapping[str, Any] = message  # core leaves further keys as they are
    for key in _NATIVE:
        if key in given:
            return {"role": role, key: given[key]}
    if role == "tool":
        # The service knows no role of that name; its own clients send results as the assistant's.
        return {"role": "assistant", "toolResultList": {"toolResults": [_tool_result(message, before)]}}
    if role not in _ROLES:
        _refuse(
            f"YandexGPT has no role {role!r}; its roles are {', '.join(_ROLES)} (and tool, for results of functions)"
        )
    if message.get("tool_calls"):
        return {"role": role, "toolCallList": {"toolCalls": [_tool_call(call) for call in message["tool_calls"]]}}
    return {"role": role, "text": _text(message)}


def _text(message: Message) -> str:
    content = message["content"]
    if content is None or isinstance(content, str):
        return content or ""
    texts: list[str] = []
    for part in content:
        if part["type"] != "text":
            _refuse("YandexGPT's completion API takes no images; send text only")
        texts.append(part["text"])
    return "\n".join(texts)


def _tool_call(call: Any) -> Any:
    """A call in the widespread form, in this one; one that has this form stays as it is."""
    function = mapping(call).get("function")
    if not isinstance(function, Mapping):
        return call
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            _refuse("The arguments of a tool call are not JSON")
    return {"functionCall": {"name": function.get("name"), "arguments": arguments}}


def _tool_result(message: Message, before: Sequence[Message]) -> dict[str, Any]:
    name = message.get("name") or _name_of(message.get("tool_call_id"), before)
    if not name:
        _refuse("A tool's answer needs the `name` of its function, or the `tool_call_id` of a call before it")
    return {"functionResult": {"name": name, "content": _text(message)}}


def _name_of(call_id: str | None, before: Sequence[Message]) -> str | None:
    for message in reversed(before):
        for call in message.get("tool_calls") or ():
            if call_id is not None and mapping(call).get("id") == call_id:
                name = mapping(call.get("function")).get("name")
                return name if isinstance(name, str) else None
    return None


def _refuse(problem: str) -> NoReturn:
    raise ModelError(f"The prompt was not sent: {problem}.", kind="bad_request")
