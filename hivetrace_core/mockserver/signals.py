"""`Signal`: one named way in which a vendor ends a request, and what dialects do with it and with chat requests.

Dialects of any vendor need these; a vendor's own words stay in its plugin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from .dialect import WireReply, json_reply

Build: TypeAlias = Callable[[str], Any]
"""From the script's text to a payload: what is said as JSON; text for a body that is none; None for an empty body."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One way to end. A dialect that must know more of its signals inherits and adds attributes.

    Attributes:
        means: The outcome or error kind that it is.
        build: From the script's text to the payload.
        status: HTTP status.
        headers: Beside the content type.
        final: Whether its error is not worth another attempt although its kind usually is.
    """

    means: str
    build: Build
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    final: bool = False


def variants_of(signals: Mapping[str, Signal]) -> dict[str, str]:
    """What each of them means: a dialect's `variants`."""
    return {name: signal.means for name, signal in signals.items()}


def final_variants_of(signals: Mapping[str, Signal]) -> frozenset[str]:
    """Those that are not worth another attempt: a dialect's `final_variants`."""
    return frozenset(name for name, signal in signals.items() if signal.final)


def constant(payload: Any) -> Build:
    """A payload that has nothing of the script's."""
    return lambda _: payload


def payload_reply(payload: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> WireReply:
    """The reply with a payload as `Build` makes them: JSON, a page of text in place of JSON, or an empty body."""
    if payload is not None and not isinstance(payload, str):
        return json_reply(payload, status, headers)
    kind = "text/html; charset=utf-8" if payload else "application/json"
    return WireReply(status, {"Content-Type": kind, **(headers or {})}, (payload or "").encode())


def last_user_message(body: Any) -> Mapping[str, Any]:
    """The last message of the user's in a body with `messages`; an empty one where there is none, whatever it is."""
    # Decoded JSON is of the plain types; asking for the abstract ones takes longer than all the rest of a reply.
    messages = body.get("messages") if isinstance(body, dict) else None
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, dict) and message.get("role") == "user":
            return message
    return {}


def prompt_in(body: Any) -> str:
    """The text of that message, where its `content` is a string or a list of parts with `text`."""
    content = last_user_message(body).get("content")
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in content if isinstance(part, dict)) if isinstance(content, list) else ()
    return "".join(text for text in texts if isinstance(text, str))


def asks_to_stream(body: Any) -> bool:
    """Whether a body has `"stream": true`."""
    return isinstance(body, dict) and body.get("stream") is True


def words_of(text: str) -> list[str]:
    """The pieces in which a stream says a text: words with the space behind them. Together they are the text."""
    return _WORDS.findall(text)


def rough_tokens(length: int) -> int:
    """Tokens in so many bytes or characters, roughly; a real tokenizer would cost more than all the rest of a reply."""
    return -(-length // 4)


_WORDS: Final = re.compile(r"\S+\s*|\s+")
