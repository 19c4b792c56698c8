"""The wire dialect of the Gemini Developer API for core's mock server."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qs, unquote

from hivetrace_core import ErrorKind
from hivetrace_core.mockserver import (
    Build,
    Dialect,
    Turn,
    WireReply,
    WireRequest,
    constant,
    json_reply,
    payload_reply,
    rough_tokens,
    variants_of,
    wait_headers,
)

from .dialect_signals import (
    CALL,
    EXCEEDED,
    HARMLESS,
    PER_DAY,
    PER_MINUTE,
    SIGNALS,
    TOO_LONG,
    Signal,
    answer,
    blocked,
    error,
    quotas,
    reason,
    retry,
    stopped,
)
from .dialect_streams import bare, event, events_of
from .payloads import first_candidate, mapping, text_of

_METHOD: Final = re.compile(
    r"/v1(?:beta|alpha)?/(?:models|tunedModels)/([^/:]+):(generateContent|streamGenerateContent)"
)
_MODEL: Final = re.compile(r"/v1(?:beta|alpha)?/models(?:/([^/:]+))?")
_FINISH: Final = {"answered": "STOP", "truncated": "MAX_TOKENS", "unknown": "A_NEW_REASON"}
_JSON: Final = {"Content-Type": "application/json; charset=UTF-8"}


class GeminiDialect(Dialect):
    """generateContent, streamGenerateContent and the list of models."""

    name = "gemini"
    base_path = "/v1beta"
    cannot_say: Mapping[str, str] = {"refused": "Gemini marks no refusals: they are ordinary text"}
    variants: Mapping[str, str] = variants_of(SIGNALS)

    def matches(self, request: WireRequest) -> bool:
        """A request for an answer, whole or as a stream."""
        return request.method == "POST" and _METHOD.fullmatch(request.path) is not None

    def prompt_of(self, request: WireRequest) -> str:
        """The text of the last turn of the user's."""
        # Decoded JSON is of the plain types; asking for the abstract ones takes longer than all the rest of a reply.
        contents = request.body.get("contents") if isinstance(request.body, dict) else None
        for content in reversed(contents if isinstance(contents, list) else []):
            if isinstance(content, dict) and content.get("role", "user") == "user":
                return text_of({"content": content})
        return ""

    def wants_stream(self, request: WireRequest) -> bool:
        """As the method says."""
        return request.path.endswith(":streamGenerateContent")

    def model_of(self, request: WireRequest) -> str:
        """The id in the path."""
        found = _METHOD.fullmatch(request.path)
        return unquote(found[1]) if found else ""

    def key_of(self, request: WireRequest) -> str | None:
        """The header; or the query, where other clients put it."""
        return request.headers.get("x-goog-api-key") or next(iter(parse_qs(request.query).get("key", [])), None)

    def side(self, request: WireRequest) -> WireReply | None:
        """The list of models, or one of them."""
        found = _MODEL.fullmatch(request.path) if request.method == "GET" else None
        if found is None:
            return None
        return json_reply({"models": [_model("mock")]} if found[1] is None else _model(unquote(found[1])))

    def reply(self, request: WireRequest, turn: Turn) -> WireReply:
        """An answer, a block or an error in one piece."""
        if turn.outcome == "answered" and turn.variant is None:
            before, written = _template(turn.text, self.model_of(request))
            read = rough_tokens(len(request.raw))
            usage = b'"usageMetadata":{"promptTokenCount":%d,"candidatesTokenCount":%d,"totalTokenCount":%d}}'
            return WireReply(turn.status or 200, _JSON, before + usage % (read, written, read + written))
        signal = _signal(turn)
        payload = _with_wait(signal.build(turn.text), turn)
        headers = wait_headers(turn) if turn.retry_after_form != "seconds" else {}
        if isinstance(payload, dict | list):
            headers = {**_JSON, **headers}
        said = _completed(payload, request, self.model_of(request))
        return payload_reply(said, turn.status or signal.status, headers)

    def stream(self, request: WireRequest, turn: Turn) -> Iterable[bytes] | None:
        """Server-sent events; what has no end in it, and errors before the first piece, come in one piece."""
        signal = _signal(turn)
        if signal.bare or (turn.error is not None and turn.variant is None and turn.after is not None):
            until = 2 if turn.after is None else turn.after
            begun = _completed(answer("STOP")(turn.text), request, self.model_of(request))
            broken = signal.build("")
            last = bare(broken) if signal.bare or not isinstance(broken, dict) else event(broken)
            return [*events_of(begun, until=until), last]
        payload = signal.build(turn.text)
        if signal.status != 200 or not isinstance(payload, dict):
            return None
        candidate = first_candidate(payload)
        ends = payload.keys() & {"promptFeedback", "error"} or (candidate is not None and "finishReason" in candidate)
        return events_of(_completed(payload, request, self.model_of(request))) if ends else None


def _signal(turn: Turn) -> Signal:
    if turn.variant is not None:
        return SIGNALS[turn.variant]
    if turn.error is not None:
        return _error(turn.error, turn)
    if turn.outcome == "blocked":
        return Signal("blocked", _block(turn))
    if turn.outcome == "tool_calls":
        return Signal("tool_calls", answer("STOP", text=bool(turn.text), parts=[CALL]))
    if turn.outcome == "empty":
        return Signal("empty", stopped("STOP"))
    return Signal(turn.outcome, answer(_FINISH[turn.outcome]))


def _block(turn: Turn) -> Build:
    names = turn.categories or ("HARM_CATEGORY_DANGEROUS_CONTENT",)
    marked = [{"category": name, "probability": "HIGH", "blocked": True} for name in names]
    if turn.stage == "prompt":
        return blocked("SAFETY", [*HARMLESS, *marked])
    return answer("SAFETY", text=bool(turn.text), safetyRatings=[*HARMLESS, *marked])


def _error(kind: ErrorKind, turn: Turn) -> Signal:
    status, build = _ERRORS.get(kind, _ERRORS["server"])
    return Signal(kind, build, turn.status or status)


def _with_wait(payload: Any, turn: Turn) -> Any:
    """The payload with the wait that the script asks for, where this vendor says it: among the error's details."""
    found = payload.get("error") if isinstance(payload, dict) else None
    if turn.retry_after is None or turn.retry_after_form != "seconds" or not isinstance(found, dict):
        return payload
    # Rounded up: whoever waits as told must not come too early.
    wait = retry(f"{math.ceil(turn.retry_after * 1000) / 1000}s")
    return {"error": {**found, "details": [wait, *found.get("details", [])]}}


_ERRORS: Final[dict[str, tuple[int, Build]]] = {
    "authentication": (
        400,
        error(400, "INVALID_ARGUMENT", "API key not valid.", [reason("API_KEY_INVALID")]),
    ),
    "permission": (403, error(403, "PERMISSION_DENIED")),
    "rate_limit": (429, error(429, "RESOURCE_EXHAUSTED", EXCEEDED, [quotas(PER_MINUTE)])),
    "quota": (429, error(429, "RESOURCE_EXHAUSTED", EXCEEDED, [quotas(PER_DAY), retry("20s")])),
    "context_length": (400, error(400, "INVALID_ARGUMENT", TOO_LONG)),
    "bad_request": (400, error(400, "INVALID_ARGUMENT")),
    "not_found": (404, error(404, "NOT_FOUND")),
    "timeout": (504, error(504, "DEADLINE_EXCEEDED")),
    "server": (503, error(503, "UNAVAILABLE", "The model is overloaded.")),
    "response_format": (200, constant({"mock": "neither an answer nor an error"})),
}


def _completed(payload: Any, request: WireRequest, model: str) -> Any:
    """The payload with what every answer has."""
    if not isinstance(payload, dict) or not (first_candidate(payload) or "promptFeedback" in payload):
        return payload
    read, written = rough_tokens(len(request.raw)), rough_tokens(len(text_of(first_candidate(payload) or {})))
    usage = {"promptTokenCount": read, "totalTokenCount": read + written}
    if first_candidate(payload):
        usage["candidatesTokenCount"] = written
    known = mapping(payload.get("usageMetadata"))
    return {**payload, "usageMetadata": {**usage, **known}, "modelVersion": model, "responseId": "mock-response"}


@lru_cache(maxsize=64)
def _template(said: str, model: str) -> tuple[bytes, int]:
    """A plain answer up to its usage, and the tokens that it counts: nothing of it changes with the prompt."""
    payload = {**answer("STOP")(said), "modelVersion": model, "responseId": "mock-response"}
    return json.dumps(payload, separators=(",", ":")).encode("ascii")[:-1] + b",", rough_tokens(len(said))


def _model(name: str) -> dict[str, Any]:
    methods = ["generateContent", "countTokens"]
    return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}
