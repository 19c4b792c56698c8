"""The wire dialect of YandexGPT for core's mock server: completions, streams, operations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

from hivetrace_core.mockserver import (
    Dialect,
    Turn,
    WireReply,
    WireRequest,
    final_variants_of,
    json_reply,
    last_user_message,
    payload_reply,
    rough_tokens,
    variants_of,
    wait_headers,
    words_of,
)

from . import dialect_operations
from .dialect_signals import CANNED, GAUGE, SIGNALS, TOO_LONG, TOOL_CALL, Signal, answer, said_by, wrapped
from .payloads import completion_of, mapping, text

_BASE: Final = "/foundationModels/v1"
_WHOLE: Final = f"{_BASE}/completion"
_ASYNC: Final = f"{_BASE}/completionAsync"
_OPERATIONS: Final = "/operations/"

_RESPONSE: Final = "type.googleapis.com/yandex.cloud.ai.foundation_models.v1.CompletionResponse"
_JSON: Final = {"Content-Type": "application/json"}
_SHORT_URI: Final = re.compile(r"gpt://[^/]+/(?P<id>[^/]+(?:/(?!latest$)[^/]+)?)(?:/latest)?")
_BEFORE_THE_FILTER: Final = "Это просто: "
_NONSENSE: Final = {"mock": "neither an answer nor an error"}


class YandexDialect(Dialect):
    """YandexGPT, whole, in lines, and by operations."""

    name = "yandex"
    base_path = _BASE
    stream_type = "application/json"
    cannot_say: Mapping[str, str] = {"refused": "Yandex marks no refusals: they are ordinary text"}
    variants: Mapping[str, str] = variants_of(SIGNALS)
    final_variants = final_variants_of(SIGNALS)

    def matches(self, request: WireRequest) -> bool:
        """A completion, or the submission of one."""
        return request.method == "POST" and request.path in (_WHOLE, _ASYNC)

    def prompt_of(self, request: WireRequest) -> str:
        """The text of the last user message."""
        return text(last_user_message(request.body).get("text"))

    def model_of(self, request: WireRequest) -> str:
        """The id as users write it: `yandexgpt-lite` for `gpt://FOLDER/yandexgpt-lite/latest`; else the whole URI."""
        uri = request.body.get("modelUri") if isinstance(request.body, dict) else None
        if not isinstance(uri, str):
            return ""
        short = _SHORT_URI.fullmatch(uri)
        return short["id"] if short is not None else uri

    def key_of(self, request: WireRequest) -> str | None:
        """The API key or the IAM token."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() in ("api-key", "bearer") and key.strip() else None

    def wants_stream(self, request: WireRequest) -> bool:
        """As the request says; an operation never streams."""
        return request.path == _WHOLE and mapping(mapping(request.body).get("completionOptions")).get("stream") is True

    def side(self, request: WireRequest) -> WireReply | None:
        """The reading of an operation."""
        if request.method != "GET" or not request.path.startswith(_OPERATIONS):
            return None
        return dialect_operations.reading(unquote(request.path.removeprefix(_OPERATIONS)))

    def reply(self, request: WireRequest, turn: Turn) -> WireReply:
        """An answer, a block or an error in one piece, or the operation that comes to it."""
        is_async = request.path == _ASYNC
        if turn.outcome == "answered" and turn.variant is None and not is_async:
            return WireReply(turn.status or 200, _JSON, _answer_bytes(turn.text, rough_tokens(len(request.raw))))
        signal = _signal(turn)
        payload = signal.build(turn.text)
        completion, _ = completion_of(payload)
        if is_async and signal.status == 200 and completion is not None:
            counted = _counted(payload, request)
            return dialect_operations.begun(
                signal.course, {"response": {"@type": _RESPONSE, **counted.get("result", counted)}}
            )
        if is_async and signal.late:
            error = payload["error"]
            end = {"error": {"code": error["grpcCode"], "message": error["message"], "details": []}}
            return dialect_operations.begun(signal.course, end)
        said = payload if completion is None else _counted(payload, request)
        return payload_reply(said, turn.status or signal.status, {**signal.headers, **wait_headers(turn)})

    def stream(self, request: WireRequest, turn: Turn) -> Iterable[bytes] | None:
        """Lines of JSON with the whole text so far; errors before generation and odd bodies come in one piece."""
        signal = _signal(turn)
        payload = signal.build(turn.text)
        if turn.error is not None and turn.variant is None and turn.after is not None:
            lines = list(_partial(turn.text))[: turn.after]
            return [
                _line(line) for line in [*lines, payload if mapping(payload).get("error") else wrapped(13, 500)("")]
            ]
        completion, _ = completion_of(payload)
        if signal.status != 200 or completion is None:
            return None
        # Either the answer grows to its end, or the filter replaces what the stream has said so far.
        replaced = signal.means == "blocked" and turn.stage == "response"
        before = list(_partial(_BEFORE_THE_FILTER)) if replaced else list(_partial(said_by(payload)))[:-1]
        return [_line(line) for line in [*before, _counted(payload, request)]]


def _signal(turn: Turn) -> Signal:
    if turn.variant is not None:
        return SIGNALS[turn.variant]
    if turn.error is not None:
        grpc, status, message = _ERRORS.get(turn.error, _ERRORS["server"])
        build = (
            (lambda _: _NONSENSE) if turn.error == "response_format" else wrapped(grpc, turn.status or status, message)
        )
        return Signal(turn.error, build, turn.status or status)
    if turn.outcome == "blocked":
        return Signal("blocked", answer("CONTENT_FILTER", turn.text or CANNED, stopped=turn.stage == "prompt"))
    if turn.outcome == "tool_calls":
        return Signal("tool_calls", answer("TOOL_CALLS", "", message={"toolCallList": {"toolCalls": [TOOL_CALL]}}))
    word = {"truncated": "TRUNCATED_FINAL", "unknown": "MYSTERY"}.get(turn.outcome, "FINAL")
    return Signal(turn.outcome, answer(word, "" if turn.outcome == "empty" else None))


_ERRORS: Final[dict[str, tuple[int, int, str]]] = {
    "authentication": (16, 401, "Unknown api key 'AQVN****abcd'"),
    "permission": (7, 403, "Permission denied"),
    "rate_limit": (8, 429, GAUGE),
    "quota": (7, 403, "The billing account is not active"),
    "context_length": (3, 400, TOO_LONG),
    "bad_request": (3, 400, "The mock server says no."),
    "not_found": (5, 404, "The model is not found"),
    "timeout": (4, 504, "Deadline exceeded"),
    "server": (13, 500, "Internal error"),
    "response_format": (0, 200, ""),
}


def _counted(payload: Mapping[str, Any], request: WireRequest) -> dict[str, Any]:
    """The completion with its tokens, where none are counted yet."""
    completion, path = completion_of(payload)
    counted = {"usage": _usage(rough_tokens(len(request.raw)), said_by(payload)), **(completion or {})}
    return {"result": counted} if path else counted


def _usage(prompt_tokens: int, said: str) -> dict[str, Any]:
    written = rough_tokens(len(said))
    return {
        "inputTextTokens": str(prompt_tokens),
        "completionTokens": str(written),
        "totalTokens": str(prompt_tokens + written),
        "completionTokensDetails": {"reasoningTokens": "0"},
    }


def _partial(said: str) -> Iterable[dict[str, Any]]:
    so_far = ""
    for word in words_of(said):
        so_far += word
        yield answer("PARTIAL", so_far)("")


def _line(payload: Any) -> bytes:
    return json.dumps(payload).encode() + b"\n"


@lru_cache(maxsize=1024)
def _answer_bytes(said: str, prompt_tokens: int) -> bytes:
    payload = answer("FINAL")(said)
    payload["result"]["usage"] = _usage(prompt_tokens, said)
    return json_reply(payload).body
