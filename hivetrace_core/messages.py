"""Prompts: what a caller may pass, and the one form that providers get.

A prompt is a string or a list of `{"role", "content"}` messages. `normalize` checks it and returns messages with
canonical roles and parts; a malformed prompt is a `ModelError` of kind `bad_request` that concerns that prompt only.
"""

from __future__ import annotations

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
    """A piece of text."""

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
    if not prompt:
        _malformed("the list of messages is empty")
    return [_message(message, f"message {number}") for number, message in enumerate(prompt, 1)]


def with_system(prompt: Any, system_prompt: str | None) -> Any:
    """The prompt with a system message in front; unchanged where there is no system prompt or it brings its own."""
    if not system_prompt:
        return prompt
    system = {"role": "system", "content": system_prompt}
    if isinstance(prompt, str):
        return [system, {"role": "user", "content": prompt}]
    if isinstance(prompt, Sequence) and not any(isinstance(m, Mapping) and m.get("role") == "system" for m in prompt):
        return [system, *prompt]
    return prompt


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
        _malformed(f"{where} has the role {role!r}; roles are system, user, assistant, developer, tool{_hint(role)}")
    normal: dict[str, Any] = dict(message)
    normal["role"] = canonical
    content = message.get("content")
    if content is None:
        if canonical != "assistant" or not message.get("tool_calls"):
            _malformed(f"{where} has no `content`")
        normal["content"] = None
    elif not isinstance(content, str):
        if not isinstance(content, Sequence) or isinstance(content, (bytes, bytearray)) or not content:
            _malformed(f"the content of {where} is neither text nor a list of parts")
        normal["content"] = [_part(part, f"part {number} of {where}") for number, part in enumerate(content, 1)]
    return normal  # type: ignore[return-value]  # the keys were checked above


def _part(part: Any, where: str) -> Part:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text":
        if not isinstance(part.get("text"), str):
            _malformed(f"{where} has no `text`")
        return {"type": "text", "text": part["text"]}
    if kind == "image_url":
        return _image_url(part.get("image_url"), where)
    if kind == "image":
        return _image(part, where)
    _malformed(f"{where} has the type {kind!r}; types are text, image, image_url")


def _image(part: Mapping[str, Any], where: str) -> ImagePart:
    given = [key for key in ("url", "data") if isinstance(part.get(key), str) and part[key]]
    if len(given) != 1:
        _malformed(f"{where} needs exactly one of `url` and `data` (base64)")
    if given == ["data"] and not isinstance(part.get("mime_type"), str):
        _malformed(f"{where} has `data` without a `mime_type` such as image/png")
    image: ImagePart = {"type": "image"}
    for key in ("url", "data", "mime_type", "detail"):
        if isinstance(part.get(key), str):
            image[key] = part[key]
    return image


def _image_url(value: Any, where: str) -> ImagePart:
    # The widespread form {"type": "image_url", "image_url": {"url": "https://..." or "data:image/png;base64,..."}}
    fields: Mapping[str, Any] = (
        {"url": value} if isinstance(value, str) else value if isinstance(value, Mapping) else {}
    )
    url = fields.get("url")
    if not isinstance(url, str) or not url:
        _malformed(f"{where} has no `image_url.url`")
    image: ImagePart = {"type": "image"}
    if url.startswith("data:"):
        header, comma, data = url[5:].partition(",")
        if not comma or not header.endswith(";base64"):
            _malformed(f"{where} has a data URL that is not base64")
        image["mime_type"], image["data"] = header.removesuffix(";base64"), data
    else:
        image["url"] = url
    if isinstance(fields.get("detail"), str):
        image["detail"] = fields["detail"]
    return image


def _hint(role: Any) -> str:
    close = get_close_matches(str(role).lower(), _ROLES, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _malformed(problem: str) -> NoReturn:
    raise ModelError(f"The prompt was not sent: {problem}.", kind="bad_request", attempts=0)
