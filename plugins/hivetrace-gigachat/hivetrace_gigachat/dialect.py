"""The wire dialect for core's mock server: chat, the token endpoints, the list of models.

Chat is answered only to a token that this server has handed out and that is still alive. Give a model
`base_url=server.url("gigachat")` and `auth_url=server.root("gigachat") + AUTH_PATH`.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qs

from hivetrace_core import ErrorKind
from hivetrace_core.mockserver import (
    Dialect,
    Signal,
    Turn,
    WireReply,
    WireRequest,
    asks_to_stream,
    constant,
    json_reply,
    payload_reply,
    prompt_in,
    rough_tokens,
    variants_of,
    wait_headers,
)

from .dialect_signals import CALL, CANNED, TOO_LONG, VARIANTS, answer, error
from .dialect_streams import pieces_of
from .dialect_tokens import mint, opened, refusal
from .payloads import first_choice, mapping, text

AUTH_PATH: Final = "/api/v2/oauth"
"""Path of the token endpoint below the dialect's root; the vendor has it on a host of its own."""

_SCOPES: Final = frozenset({"GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"})
_FINISH: Final = {"answered": "stop", "truncated": "length", "empty": "stop", "unknown": "mystery"}
_JSON: Final = {"Content-Type": "application/json"}
_USAGE: Final = b'"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"precached_prompt_tokens":0}}'

_ERRORS: Final[dict[str, tuple[int, str]]] = {
    "authentication": (401, "Unauthorized"),
    "permission": (403, "Permission denied"),
    "rate_limit": (429, "Too many requests"),
    "quota": (402, "Payment Required"),
    "context_length": (422, TOO_LONG),
    "bad_request": (422, "Invalid params"),
    "not_found": (404, "No such model"),
    "timeout": (504, "upstream request timeout"),
    "server": (500, "Internal Server Error"),
}


class GigaChatDialect(Dialect):
    """GigaChat's v1, and its token endpoints.

    Args:
        token_lifetime: Seconds for which a token is accepted.
        clock_error: Seconds by which the expiry that is told with a token is wrong.
    """

    name = "gigachat"
    base_path = "/v1"
    other_urls: Mapping[str, str] = {"auth_url": AUTH_PATH}
    variants: Mapping[str, str] = variants_of(VARIANTS)

    def __init__(self, *, token_lifetime: float = 1800.0, clock_error: float = 0.0) -> None:
        self._lifetime = token_lifetime
        self._clock_error = clock_error

    def matches(self, request: WireRequest) -> bool:
        """A chat completion."""
        return request.path == "/v1/chat/completions" and request.method == "POST"

    def prompt_of(self, request: WireRequest) -> str:
        """The text of the last user message."""
        return prompt_in(request.body)

    def wants_stream(self, request: WireRequest) -> bool:
        """As the request says."""
        return asks_to_stream(request.body)

    def key_of(self, request: WireRequest) -> str | None:
        """The credential for which the request's token was handed out: `credentials`, or the password."""
        token = super().key_of(request)
        inside = opened(token) if token else None
        return inside.key if inside is not None else None

    def side(self, request: WireRequest) -> WireReply | None:
        """The token endpoints and the list of models."""
        where = (request.method, request.path)
        if where == ("POST", AUTH_PATH):
            return self._oauth(request)
        if where == ("POST", "/v1/token"):
            return self._login(request)
        if where == ("GET", "/v1/models"):
            models = {"object": "list", "data": [{"id": "GigaChat", "object": "model", "owned_by": "salutedevices"}]}
            return self._unauthorized(request) or json_reply(models)
        return None

    def reply(self, request: WireRequest, turn: Turn) -> WireReply:
        """An answer, a block or an error in one piece; a 401 to a token that is not good."""
        if self.matches(request) and (refused := self._unauthorized(request)) is not None:
            return refused
        prompt_tokens = rough_tokens(len(request.raw))
        if turn.outcome == "answered" and turn.variant is None:
            before, written = _template(turn.text, self.model_of(request))
            body = before + _USAGE % (prompt_tokens, written, prompt_tokens + written)
            return WireReply(turn.status or 200, _JSON, body)
        signal = _signal(turn)
        payload = signal.build(turn.text)
        if isinstance(payload, dict) and payload.get("choices"):
            payload = _completed(payload, self.model_of(request), prompt_tokens)
        return payload_reply(payload, turn.status or signal.status, {**signal.headers, **wait_headers(turn)})

    def stream(self, request: WireRequest, turn: Turn) -> Iterable[bytes] | None:
        """Server-sent events; errors before generation, v2 and odd bodies come in one piece."""
        if self._unauthorized(request) is not None:
            return None
        broken: Mapping[str, Any] | None = None
        if turn.error is not None and turn.variant is None:
            if turn.after is None:
                return None
            broken = mapping(_signal(turn).build(""))
            payload = answer(None)(turn.text)
        else:
            signal = _signal(turn)
            payload = signal.build(turn.text)
            if signal.status != 200 or first_choice(mapping(payload)) is None:
                return None
        whole = _completed(payload, self.model_of(request), rough_tokens(len(request.raw)))
        return pieces_of(whole, error=broken, until=turn.after)

    def _unauthorized(self, request: WireRequest) -> WireReply | None:
        why = refusal(super().key_of(request))
        return None if why is None else json_reply({"status": 401, "message": why}, 401)

    def _oauth(self, request: WireRequest) -> WireReply:
        key = _basic(request)
        if key is None:
            return json_reply({"code": 4, "message": "Can't decode 'Authorization' header"}, 400)
        if not request.headers.get("rquid"):
            return json_reply({"code": 1, "message": "RqUID is missing"}, 400)
        scopes = parse_qs(request.raw.decode("latin-1")).get("scope", [""])
        if not scopes[0]:
            return json_reply({"code": 5, "message": "scope is empty"}, 400)
        if scopes[0] not in _SCOPES:
            return json_reply({"code": 7, "message": "scope from db not fully includes consumed scope"}, 400)
        expires_at = round((time.time() + self._lifetime + self._clock_error) * 1000)
        return json_reply({"access_token": mint(key, lifetime=self._lifetime), "expires_at": expires_at})

    def _login(self, request: WireRequest) -> WireReply:
        try:
            user, _, password = base64.b64decode(_basic(request) or "", validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user = password = ""
        if not user or not password:
            return json_reply({"status": 401, "message": "Unauthorized"}, 401)
        expires_at = round((time.time() + self._lifetime + self._clock_error) * 1000)
        return json_reply({"tok": mint(password, lifetime=self._lifetime), "exp": expires_at})


def _signal(turn: Turn) -> Signal:
    if turn.variant is not None:
        return VARIANTS[turn.variant]
    if turn.error is not None:
        return _error(turn.error, turn.status)
    if turn.outcome == "blocked":
        # v1 does not tell the stage; a block of the answer keeps what the script says came before.
        content = None if turn.stage == "response" and turn.text else turn.text or CANNED
        return Signal("blocked", answer("blacklist", content=content))
    if turn.outcome == "tool_calls":
        return Signal("tool_calls", answer("function_call", function_call=CALL))
    if turn.outcome == "refused":
        return Signal("refused", answer("stop", content="", refusal=turn.text))
    return Signal(turn.outcome, answer(_FINISH[turn.outcome], content="" if turn.outcome == "empty" else None))


def _error(kind: ErrorKind, status: int | None) -> Signal:
    if kind == "response_format":
        return Signal(kind, constant({"mock": "neither an answer nor an error"}), status or 200)
    usual, message = _ERRORS.get(kind, _ERRORS["server"])
    return Signal(kind, error(status or usual, message), status or usual)


def _basic(request: WireRequest) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "basic" and key.strip() else None


def _completed(payload: dict[str, Any], model: str, prompt_tokens: int) -> dict[str, Any]:
    """The payload with what every completion has."""
    said = text(mapping(mapping(first_choice(payload)).get("message")).get("content"))
    written = rough_tokens(len(said))
    return {
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": model,
        **payload,
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": written,
            "total_tokens": prompt_tokens + written,
            "precached_prompt_tokens": 0,
        },
    }


@lru_cache(maxsize=64)
def _template(said: str, model: str) -> tuple[bytes, int]:
    """A plain answer up to its usage, and the tokens that it counts: nothing of it changes with the prompt."""
    payload = _completed(answer("stop")(said), model, 0)
    written: int = payload.pop("usage")["completion_tokens"]
    return json_reply(payload).body[:-1] + b",", written
