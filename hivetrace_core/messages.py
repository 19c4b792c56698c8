"""Prompts: what a caller may pass, and the one form that providers get.

A prompt is a string or a list of `{"role", "content"}` messages. `normalize` checks it and returns messages with
canonical roles and parts; a malformed prompt is a `ModelError` of kind `bad_request` that concerns that prompt only.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, Literal, NoReturn, NotRequired, Required, TypeAlias, TypedDict

from .errors import ModelError

Role: TypeAlias = Literal["system", "user", "assistant", "developer", "tool"]

_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "developer": "developer",
    "tool": "tool",
    "human": "user",
    "ai": "assistant",
}


class TextPart(TypedDict):
    """A piece of text. Further keys, here and in images and messages, are left as they are for the provider."""

    type: Literal["text"]
    text: str


class ImagePart(TypedDict, total=False):
    """An image, by `url` (fetched by the provider, never by us) or as base64 `data` with its `mime_type`."""

    type: Required[Literal["image"]]
    url: str
    data: str
    mime_type: str
    detail: str


Part: TypeAlias = TextPart | ImagePart


class Message(TypedDict, total=False):
    """One turn. Content may be None only for an assistant turn that has `tool_calls`."""

    role: Required[Role]
    content: Required[str | list[Part] | None]
    name: NotRequired[str]
    tool_calls: NotRequired[list[Any]]
    tool_call_id: NotRequired[str]


Messages: TypeAlias = list[Message]
Prompt: TypeAlias = str | Sequence[Mapping[str, Any]]


def normalize(prompt: Any) -> Messages:
    """Messages in canonical form: roles without aliases, content a string or a list of text and image parts.

    Raises:
        ModelError: kind `bad_request`, attempts 0; says which message and which key is wrong.
    """
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if not isinstance(prompt, Sequence) or isinstance(prompt, (bytes, bytearray)):
        _malformed(f"it is of type {type(prompt).__name__}; a prompt is a string or a list of messages")
    try:
        messages = [_message(message, f"message {number}") for number, message in enumerate(prompt, 1)]
    except ModelError:
        raise
    except Exception as exc:  # noqa: BLE001  # objects of the caller's own, whose methods may raise anything
        _malformed(f"it cannot be read ({type(exc).__name__})")
    return messages or _malformed("the list of messages is empty")


def with_system(prompt: Any, system_prompt: str | None) -> Any:
    """The prompt with a system message in front; unchanged where there is no system prompt or it brings its own."""
    if not system_prompt:
        return prompt
    system = {"role": "system", "content": system_prompt}
    if isinstance(prompt, str):
        return [system, {"role": "user", "content": prompt}]
    if not isinstance(prompt, Sequence) or isinstance(prompt, (bytes, bytearray)) or not prompt:
        return prompt  # malformed: `normalize` says so
    if any(isinstance(message, Mapping) and message.get("role") == "system" for message in prompt):
        return prompt
    return [system, *prompt]


def text_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """All the text of a list of messages, one paragraph a part; images leave nothing."""
    texts: list[str] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            texts.append(content)
        elif content:
            texts.extend(part["text"] for part in content if part.get("type") == "text")
    return "\n".join(texts)


def _message(message: Any, where: str) -> Message:
    if not isinstance(message, Mapping):
        _malformed(f"{where} is of type {type(message).__name__}, not a mapping with `role` and `content`")
    role = message.get("role")
    canonical = _ROLES.get(role) if isinstance(role, str) else None
    if canonical is None:
        given = reprlib.repr(role)
        _malformed(f"{where} has the role {given}; roles are system, user, assistant, developer, tool{_hint(role)}")
    normal: dict[str, Any] = dict(message)
    normal["role"] = canonical
    content = message.get("content")
    if content is None:
        if canonical != "assistant" or not isinstance(message.get("tool_calls"), list) or not message["tool_calls"]:
            _malformed(f"{where} has no `content`")
        normal["content"] = None
    elif not isinstance(content, str):
        if not isinstance(content, Sequence) or isinstance(content, (bytes, bytearray)) or not content:
            _malformed(f"the content of {where} is neither text nor a list of parts")
        normal["content"] = [_part(part, f"part {number} of {where}") for number, part in enumerate(content, 1)]
    return normal  # type: ignore[return-value]  # the keys were checked above


def _part(part: Any, where: str) -> Part:
    if not isinstance(part, Mapping):
        _malformed(f"{where} is of type {type(part).__name__}, not a mapping with `type`")
    kind = part.get("type")
    if kind == "text":
        if not isinstance(part.get("text"), str):
            _malformed(f"{where} has no `text`")
        return {**part, "type": "text", "text": part["text"]}
    if kind == "image":
        return _image(part, where)
    if kind == "image_url":
        # The widespread form {"type": "image_url", "image_url": {"url": "https://..." or "data:image/png;base64,..."}}
        value = part.get("image_url")
        fields = value if isinstance(value, Mapping) else {"url": value}
        if not isinstance(fields.get("url"), str) or not fields["url"]:
            _malformed(f"{where} has no `image_url.url`")
        others = {key: item for key, item in part.items() if key != "image_url"}
        return _image({**others, **fields}, where)
    _malformed(f"{where} has the type {reprlib.repr(kind)}; types are text, image, image_url")


def _image(part: Mapping[str, Any], where: str) -> ImagePart:
    image: dict[str, Any] = {**part, "type": "image"}
    for key in ("url", "data", "mime_type", "detail"):
        value = image.get(key)
        if value is None or value == "":
            image.pop(key, None)
        elif not isinstance(value, str):
            _malformed(f"{where} has a `{key}` that is not text")
    if ("url" in image) == ("data" in image):
        _malformed(f"{where} needs exactly one of `url` and `data` (base64)")
    if "url" in image and image["url"][:5].lower() == "data:":
        header, comma, image["data"] = image.pop("url")[5:].partition(",")
        mime_type, encoding = header[:-7], header[-7:]
        if not comma or not image["data"] or encoding.lower() != ";base64":
            _malformed(f"{where} has a data URL that is not base64")
        image["mime_type"] = mime_type or image.get("mime_type")
    if "data" in image and not image.get("mime_type"):
        _malformed(f"{where} has `data` without a `mime_type` such as image/png")
    return image  # type: ignore[return-value]  # the keys were checked above


def _hint(role: Any) -> str:
    close = get_close_matches(role[:20].lower(), _ROLES, 1) if isinstance(role, str) else []
    return f" (did you mean {close[0]}?)" if close else ""


def _malformed(problem: str) -> NoReturn:
    raise ModelError(f"The prompt was not sent: {problem}.", kind="bad_request", attempts=0)
