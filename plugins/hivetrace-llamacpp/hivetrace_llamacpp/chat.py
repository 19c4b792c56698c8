"""From messages to the tokens of a prompt: the model's chat template, with what users wrote kept as text.

A prompt of a red team is full of control tokens (`<|im_end|>`). Rendered into the template and read as a whole, they
would end the user's turn, and what follows would speak as the system. So their names are marked inside messages before
rendering and read as plain text afterwards.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from hivetrace_core import ConfigError, Messages, ModelError

from .native import library
from .requests import Tokens
from .vocabulary import Vocabulary

RAW: Final = "raw"
"""The name of the format that is none: the messages' text as it is."""

_MARKS: Final = [chr(code) for code in range(0xFDD0, 0xFDF0)]
"""Characters that Unicode keeps for internal use; no text has all of them."""

_SPACE: Final = " \t\n\v\f\r"
"""What C takes for white space."""

Render = Callable[[list[dict[str, Any]]], str]


class ChatFormat:
    """Makes prompts for one model.

    Args:
        vocabulary: The model's.
        template: A Jinja template.
        name: In its place, a format of llama.cpp's, or `raw`.
        variables: For the template.
        parse_special: Whether control tokens inside messages act as such.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        template: str | None,
        name: str | None,
        variables: Mapping[str, Any],
        parse_special: bool,
    ) -> None:
        self._vocabulary = vocabulary
        self._guards = not parse_special
        self._has_template = name != RAW
        names = sorted((text for text in vocabulary.control if text), key=len, reverse=True)
        self._names = "|".join(map(re.escape, names)) or r"(?!)"
        self._control = re.compile(self._names)
        self._render = _renderer(vocabulary, template, name, variables)

    def tokens(self, messages: Messages) -> Tokens:
        """The prompt.

        Raises:
            ModelError: kind `bad_request`; the template refuses the messages, they have images, or characters that the
                model has no token for.
        """
        plain = [_plain(message) for message in messages]
        mark = _unused_mark(plain)
        marked = self._guards and self._has_template and self._control.search(_all_text(plain)) is not None
        text = self._render([_marked(message, self._control, mark) for message in plain] if marked else plain)
        if self._guards and not self._has_template:
            tokens = self._vocabulary.read(text, control=False)
        elif marked or self._vocabulary.has_long_run(text):
            tokens = self._read_marked(text, mark)
        else:
            tokens = self._vocabulary.read(text, control=True)
        if (tokens < 0).any():
            raise ModelError("The model's vocabulary lacks characters of the prompt", kind="bad_request")
        begin = self._vocabulary.begin
        if self._vocabulary.adds_begin and (len(tokens) == 0 or tokens[0] != begin):
            tokens = np.concatenate([np.array([begin], np.int32), tokens])
        return tokens

    def _read_marked(self, text: str, mark: str) -> Tokens:
        """Read a text where the template's control tokens count and those with a mark inside do not."""
        parts: list[Tokens] = []
        at, before = 0, None
        for found in re.finditer(f"(?:{self._names})(?!{mark})", text):
            token = self._vocabulary.control[found[0]]
            parts.append(self._read_between(before, text[at : found.start()].replace(mark, ""), token))
            parts.append(np.array([token], np.int32))
            at, before = found.end(), token
        parts.append(self._read_between(before, text[at:].replace(mark, ""), None))
        return np.concatenate(parts)

    def _read_between(self, before: int | None, text: str, after: int | None) -> Tokens:
        """Read the plain text between two control tokens, as llama.cpp does: some take white space away."""
        if before in self._vocabulary.eats_after:
            text = text.lstrip(_SPACE)
        if after in self._vocabulary.eats_before:
            text = text.rstrip(_SPACE)
        return self._vocabulary.read(text, control=False)


def format_names() -> list[str]:
    """The formats that llama.cpp knows, and `raw`."""
    lib = library()
    count = lib.llama_chat_builtin_templates(None, 0)
    names = (ctypes.c_char_p * count)()
    lib.llama_chat_builtin_templates(names, count)
    return [RAW, *sorted(name.decode() for name in names if name)]


def check_format(name: str | None) -> None:
    """Refuse a format that llama.cpp does not know.

    Raises:
        ConfigError: with the ones it knows.
    """
    if name is not None and name not in (names := format_names()):
        raise ConfigError(f"chat_format {name!r} is unknown; known are {', '.join(names)}.")


def check_template(template: str | None) -> None:
    """Refuse a template that is no Jinja.

    Raises:
        ConfigError: with the line.
    """
    if template is not None:
        from .templates import ChatTemplate

        ChatTemplate(template)


def _renderer(vocabulary: Vocabulary, template: str | None, name: str | None, variables: Mapping[str, Any]) -> Render:
    if name == RAW:
        return lambda messages: "\n".join(message["content"] for message in messages)
    if name is not None:
        return lambda messages: _by_llama(name, messages)
    assert template is not None  # noqa: S101  # the model has checked it
    from .templates import ChatTemplate

    chat_template = ChatTemplate(template, vocabulary.begin_text, vocabulary.end_text)

    def render(messages: list[dict[str, Any]]) -> str:
        try:
            return chat_template.render(messages, variables)
        except Exception as exc:  # noqa: BLE001  # a template is a program, and may fail in any way
            said = str(exc) or type(exc).__name__
            raise ModelError(f"The chat template refuses the messages: {said}", kind="bad_request") from None

    return render


def _by_llama(name: str, messages: list[dict[str, Any]]) -> str:
    lib = library()
    raw = [(message["role"].encode(), message["content"].encode("utf-8", "replace")) for message in messages]
    if any(b"\0" in content for _, content in raw):
        raise ModelError(
            "The prompt has a NUL character, at which llama.cpp's own chat formats end; use chat_template in place of "
            "chat_format",
            kind="bad_request",
        )
    chat = (lib.llama_chat_message * len(raw))(*(lib.llama_chat_message(role, content) for role, content in raw))
    room = 2 * sum(len(role) + len(content) for role, content in raw) + 1024
    while True:
        buffer = ctypes.create_string_buffer(room)
        size = lib.llama_chat_apply_template(name.encode(), chat, len(raw), True, buffer, room)
        if size < 0:
            raise ModelError(f"llama.cpp's chat format {name} refuses the messages", kind="bad_request")
        if size <= room:
            return buffer.raw[:size].decode("utf-8", "replace")
        room = size


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message with one text as its content, as templates expect it."""
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        if any(part["type"] != "text" for part in content):
            raise ModelError("The prompt was not sent: this model reads text only, no images.", kind="bad_request")
        content = "".join(part["text"] for part in content)
    role = "system" if message["role"] == "developer" else message["role"]
    return {**message, "role": role, "content": content or ""}


def _all_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "\0".join(_all_text(one) for one in value.values())
    return "\0".join(map(_all_text, value)) if isinstance(value, list | tuple) else ""


def _unused_mark(messages: list[dict[str, Any]]) -> str:
    text = _all_text(messages)
    for mark in _MARKS:
        if mark not in text:
            return mark
    raise ModelError("The prompt has all of Unicode's internal characters", kind="bad_request")


def _marked(value: Any, control: re.Pattern[str], mark: str) -> Any:
    """The same with a mark inside each name of a control token, behind its first character."""
    if isinstance(value, str):
        return control.sub(lambda found: found[0][0] + mark + found[0][1:], value)
    if isinstance(value, Mapping):
        return {key: one if key == "role" else _marked(one, control, mark) for key, one in value.items()}
    return [_marked(one, control, mark) for one in value] if isinstance(value, list | tuple) else value
