"""A dialect that speaks as another one does, and remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..mockserver import Dialect, Turn, WireReply, WireRequest, json_reply


class Recording(Dialect):
    """Passes everything on to another dialect.

    Args:
        spoken: The dialect that answers.
        echo: What an inconsiderate vendor repeats in the texts of its errors; None for a considerate one.
    """

    def __init__(self, spoken: Dialect, *, echo: str | None = None) -> None:
        self.spoken = spoken
        self.name = spoken.name
        self.base_path = spoken.base_path
        self.stream_type = spoken.stream_type
        self.variants = spoken.variants
        self.final_variants = spoken.final_variants
        self.cannot_say = spoken.cannot_say
        self.requests: list[WireRequest] = []
        self.replies: list[WireReply] = []
        self._echo = echo

    def matches(self, request: WireRequest) -> bool:
        """As the other one says."""
        asks = self.spoken.matches(request)
        if asks:
            # The mapping of headers belongs to the connection, which uses it again.
            self.requests.append(request._replace(headers=dict(request.headers)))
        return asks

    def prompt_of(self, request: WireRequest) -> str:
        """As the other one says."""
        return self.spoken.prompt_of(request)

    def wants_stream(self, request: WireRequest) -> bool:
        """As the other one says."""
        return self.spoken.wants_stream(request)

    def reply(self, request: WireRequest, turn: Turn) -> WireReply:
        """What the other one says, with the echo in its errors."""
        reply = self.spoken.reply(request, turn)
        if self._echo is not None and turn.error is not None:
            reply = _echoing(reply, self._echo)
        self.replies.append(reply)
        return reply

    def stream(self, request: WireRequest, turn: Turn) -> Iterable[bytes] | None:
        """As the other one says."""
        return self.spoken.stream(request, turn)

    def side(self, request: WireRequest) -> WireReply | None:
        """As the other one says; what it says there may be where an answer ends up."""
        reply = self.spoken.side(request)
        if reply is not None:
            self.replies.append(reply)
        return reply

    def model_of(self, request: WireRequest) -> str:
        """As the other one says."""
        return self.spoken.model_of(request)

    def key_of(self, request: WireRequest) -> str | None:
        """As the other one says."""
        return self.spoken.key_of(request)


def _echoing(reply: WireReply, echo: str) -> WireReply:
    try:
        payload = json.loads(reply.body)
    except ValueError:
        return reply
    headers: Mapping[str, str] = {**reply.headers, "x-echo": echo}
    return json_reply(_with_echo(payload, echo), reply.status, headers)


def _with_echo(value: Any, echo: str) -> Any:
    if isinstance(value, str):
        # Words with a blank are for people; codes and types stay as they are, or the error would mean something else.
        return f"{value} ({echo})" if " " in value else value
    if isinstance(value, dict):
        return {key: _with_echo(item, echo) for key, item in value.items()}
    return [_with_echo(item, echo) for item in value] if isinstance(value, list) else value
