"""From neutral messages to a request's `contents` and `systemInstruction`. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from hivetrace_core import Message, Messages, ModelError

from .payloads import mapping, word


def contents_of(messages: Messages) -> dict[str, Any]:
    """The part of the request that has the prompt in it.

    The API knows the roles `user` and `model` only. System and developer messages go into `systemInstruction`, in their
    order; the answers of tools, those that follow each other together, into a turn of the user's.

    Raises:
        ModelError: kind `bad_request`; the API cannot take this prompt. Nothing was sent.
    """
    system: list[dict[str, Any]] = []
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    after_tool = False
    for number, message in enumerate(messages, 1):
        role = message["role"]
        if role in ("system", "developer"):
            system.extend(_system_parts(message, number))
            continue
        if role == "tool":
            part = _function_response(message, names, number)
            if after_tool:
                contents[-1]["parts"].append(part)
            else:
                contents.append({"role": "user", "parts": [part]})
        elif role == "assistant":
            parts = [*_parts(message, number), *_function_calls(message, names, number)]
            contents.append({"role": "model", "parts": parts})
        else:
            contents.append({"role": "user", "parts": _parts(message, number)})
        after_tool = role == "tool"
    if not contents:
        _refuse("it has system messages only, and Gemini needs at least one of the user's")
    return {"contents": contents, "systemInstruction": {"parts": system}} if system else {"contents": contents}


def _parts(message: Message, number: int) -> list[dict[str, Any]]:
    content = message["content"]
    if content is None:
        return []
    if isinstance(content, str):
        return [{"text": content}]
    return [{"text": part["text"]} if part["type"] == "text" else _image(part, number) for part in content]


def _system_parts(message: Message, number: int) -> list[dict[str, Any]]:
    content = message["content"]
    if isinstance(content, list) and any(part["type"] != "text" for part in content):
        _refuse(f"message {number} has an image in a system message; Gemini takes text there")
    return _parts(message, number)


def _image(part: Mapping[str, Any], number: int) -> dict[str, Any]:
    if "data" in part:
        return {"inlineData": {"mimeType": part["mime_type"], "data": part["data"]}}
    url: str = part["url"]
    if not url.startswith(("https://", "gs://")):
        _refuse(
            f"message {number} has an image whose URL Gemini does not fetch; it takes https:// (public or signed), "
            "gs:// (registered) and files of its Files API. Pass the image as base64 `data` with its `mime_type`"
        )
    named = {"mimeType": part["mime_type"]} if "mime_type" in part else {}
    return {"fileData": {**named, "fileUri": url}}


def _function_calls(message: Message, names: dict[str, str], number: int) -> list[dict[str, Any]]:
    """Calls that the model made in an earlier turn, with the signatures that it wants to see again."""
    parts: list[dict[str, Any]] = []
    for call in message.get("tool_calls") or ():
        function = mapping(mapping(call).get("function"))
        name, call_id = word(function.get("name")), word(mapping(call).get("id"))
        if name is None:
            _refuse(f"message {number} has a tool call without `function.name`")
        if call_id is not None:
            names[call_id] = name
        part: dict[str, Any] = {"functionCall": {"name": name, "args": _arguments(function.get("arguments"), number)}}
        if call_id is not None:
            part["functionCall"]["id"] = call_id
        signature = word(call.get("thought_signature"))
        if signature is not None:
            part["thoughtSignature"] = signature
        parts.append(part)
    return parts


def _arguments(given: Any, number: int) -> Mapping[str, Any]:
    if isinstance(given, str):
        try:
            given = json.loads(given) if given.strip() else {}
        except (ValueError, RecursionError):
            _refuse(f"message {number} has a tool call whose `function.arguments` is not JSON")
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        _refuse(f"message {number} has a tool call whose `function.arguments` is no JSON object")
    return given


def _function_response(message: Message, names: dict[str, str], number: int) -> dict[str, Any]:
    call_id = message.get("tool_call_id")
    name = message.get("name") or names.get(call_id or "")
    if not name:
        _refuse(f"message {number} answers a tool that no message before it calls; give its `name` or `tool_call_id`")
    response: dict[str, Any] = {"name": name, "response": _result(message, number)}
    if call_id:
        response["id"] = call_id
    return {"functionResponse": response}


def _result(message: Message, number: int) -> Mapping[str, Any]:
    """The API wants an object: JSON objects go as they are, anything else under `result`."""
    parts = _parts(message, number)
    if any("text" not in part for part in parts):
        _refuse(f"message {number} has an image in a tool's answer; only text can be sent there")
    text = "".join(part["text"] for part in parts)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"result": text}


def _refuse(problem: str) -> NoReturn:
    raise ModelError(f"The prompt was not sent: {problem}.", kind="bad_request", attempts=0)
