"""How Globex spells on the wire what a mock server's script decides: for tests, demos and `hivetrace mock-server`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from hivetrace_core.mockserver import (
    Dialect,
    Turn,
    WireReply,
    WireRequest,
    asks_to_stream,
    json_reply,
    prompt_in,
    wait_headers,
)

_STOPS: Final = {
    "answered": "end",
    "empty": "end",
    "truncated": "max_tokens",
    "refused": "refusal",
    "tool_calls": "call",
    "blocked": "policy",
    "unknown": "mystery",
}

_ERRORS: Final = {
    "authentication": (401, "key"),
    "permission": (403, "region"),
    "rate_limit": (429, "rate"),
    "quota": (402, "balance"),
    "context_length": (400, "too_long"),
    "bad_request": (400, "invalid"),
    "not_found": (404, "model"),
    "timeout": (408, "slow"),
    "server": (500, "internal"),
}

_CALL: Final = {"id": "call-1", "name": "look_up", "arguments": {"what": "weather"}}


class GlobexDialect(Dialect):
    """`POST /v1/chat`."""

    name = "globex"
    base_path = "/v1"
    stream_type = "application/x-ndjson"
    variants: Mapping[str, str] = {
        "globex.policy": "blocked",
        "globex.policy_midway": "blocked",
        "globex.no_stop": "unknown",
        "globex.overloaded": "server",
    }

    def matches(self, request: WireRequest) -> bool:
        """A chat request."""
        return (request.method, request.path) == ("POST", "/v1/chat")

    def prompt_of(self, request: WireRequest) -> str:
        """The text of the last user message."""
        return prompt_in(request.body)

    def wants_stream(self, request: WireRequest) -> bool:
        """As the request says."""
        return asks_to_stream(request.body)

    def reply(self, request: WireRequest, turn: Turn) -> WireReply:
        """An answer, a block or an error in one piece."""
        if turn.error == "response_format":
            return json_reply({"id": "r-1"}, turn.status or 200)
        if turn.error is not None:
            usual, kind = (529, "overloaded") if turn.variant == "globex.overloaded" else _ERRORS[turn.error]
            error = {"type": kind, "message": f"Globex says {kind}"}
            return json_reply({"error": error}, turn.status or usual, wait_headers(turn))
        if turn.variant == "globex.policy" or (
            turn.outcome == "blocked" and turn.stage == "prompt" and not turn.variant
        ):
            return json_reply({"error": {"type": "policy", "labels": list(turn.categories)}}, turn.status or 422)
        return json_reply(self._payload(request, turn), turn.status or 200)

    def stream(self, request: WireRequest, turn: Turn) -> Iterable[bytes] | None:
        """Lines, each with a word; what is known before the first word comes in one piece."""
        if turn.error is not None and turn.after is None:
            return None
        if turn.error is None and self.reply(request, turn).status != 200:
            return None
        payload = self._payload(request, turn)
        words = payload.pop("text").split(" ")
        pieces = [{"text": word if number == 0 else f" {word}"} for number, word in enumerate(words)]
        if turn.error is not None:
            status, kind = _ERRORS.get(turn.error, (200, turn.error))
            error = {"type": kind, "message": "The answer broke off", "status": turn.status or status}
            return _lines([*pieces[: turn.after], {"error": error}])
        return _lines([*pieces, payload])

    def _payload(self, request: WireRequest, turn: Turn) -> dict[str, Any]:
        payload: dict[str, Any] = {"id": "r-1", "model": self.model_of(request), "text": turn.text}
        payload["stop"] = _STOPS.get(turn.outcome)
        if turn.outcome == "tool_calls":
            payload["calls"] = [_CALL]
        if turn.variant == "globex.no_stop":
            payload["stop"] = None
        return payload


def _lines(payloads: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(payload).encode("ascii") + b"\n" for payload in payloads]
