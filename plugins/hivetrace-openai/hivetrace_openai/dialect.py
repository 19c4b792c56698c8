"""The wire dialects of the three services for core's mock server: one base, and how each says no."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any, Final

from hivetrace_core import ErrorKind
from hivetrace_core.mockserver import (
    Dialect,
    Signal,
    Turn,
    WireReply,
    WireRequest,
    asks_to_stream,
    final_variants_of,
    json_reply,
    payload_reply,
    prompt_in,
    rough_tokens,
    variants_of,
    wait_headers,
)

from .dialect_signals import (
    AZURE,
    BODIES,
    COMPATIBLE,
    COMPLETIONS,
    FILTERED,
    HARMLESS,
    OPENAI,
    OPENROUTER,
    POLICY,
    TOO_LONG,
    TOOL_CALL,
    answer,
    error,
    routed,
)
from .dialect_streams import pieces_of
from .payloads import mapping, sequence, text

_FINISH: Final = {"answered": "stop", "truncated": "length", "refused": "stop", "empty": "stop", "unknown": "mystery"}
_AZURE_PATH: Final = re.compile(r"/openai/deployments/[^/]+/chat/completions")
_NONSENSE: Final = {"mock": "neither an answer nor an error"}


class ChatDialect(Dialect):
    """Chat completions, as all three services speak them."""

    stream_comment: str | None = None
    usage_in_every_stream = False
    signals: Mapping[str, Signal] = {}

    @cached_property
    def _path(self) -> str:
        return f"{self.base_path}/chat/completions"

    @cached_property
    def variants(self) -> Mapping[str, str]:  # type: ignore[override]  # made from the signals, once
        """Every named signal, and what it means."""
        return variants_of(self.signals)

    @cached_property
    def final_variants(self) -> frozenset[str]:  # type: ignore[override]  # the same
        """Those that are not worth another attempt."""
        return final_variants_of(self.signals)

    def matches(self, request: WireRequest) -> bool:
        """A chat completion."""
        return request.path == self._path and request.method == "POST"

    def prompt_of(self, request: WireRequest) -> str:
        """The text of the last user message."""
        return prompt_in(request.body)

    def wants_stream(self, request: WireRequest) -> bool:
        """As the request says."""
        return asks_to_stream(request.body)

    def side(self, request: WireRequest) -> WireReply | None:
        """The list of models."""
        if (request.method, request.path) != ("GET", f"{self.base_path}/models"):
            return None
        return json_reply({"object": "list", "data": [{"id": "mock", "object": "model", "owned_by": "mock"}]})

    def reply(self, request: WireRequest, turn: Turn) -> WireReply:
        """An answer, a block or an error in one piece."""
        prompt_tokens = rough_tokens(len(request.raw))
        if turn.outcome == "answered" and turn.variant is None:
            before, written = _template(turn.text, self.model_of(request))
            usage = b'"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}'
            body = before + usage % (prompt_tokens, written, prompt_tokens + written)
            return WireReply(turn.status or 200, _JSON, body)
        signal = self._signal(turn, azure=_is_azure(request))
        payload = signal.build(turn.text)
        if isinstance(payload, dict) and payload.get("choices"):
            payload = _completed(payload, self.model_of(request), prompt_tokens)
        return payload_reply(payload, turn.status or signal.status, {**signal.headers, **wait_headers(turn)})

    def stream(self, request: WireRequest, turn: Turn) -> Iterable[bytes] | None:
        """Server-sent events; errors before generation and odd bodies come in one piece."""
        broken = self._signal(turn, azure=_is_azure(request)) if turn.error is not None else None
        if turn.variant is None and broken is not None:
            if turn.after is None:
                return None
            payload = answer("error")(turn.text)
            payload["choices"][0]["error"] = mapping(broken.build("")).get("error")
        else:
            signal = self._signal(turn, azure=_is_azure(request))
            payload = signal.build(turn.text)
            if signal.status != 200 or not isinstance(payload, dict) or not (payload.keys() & {"choices", "error"}):
                return None
            if payload.get("choices") == []:
                return None
        options = mapping(mapping(request.body).get("stream_options"))
        return pieces_of(
            _completed(payload, self.model_of(request), rough_tokens(len(request.raw))),
            usage=self.usage_in_every_stream or options.get("include_usage") is True,
            comment=self.stream_comment,
            until=turn.after,
        )

    def _signal(self, turn: Turn, *, azure: bool) -> Signal:
        if turn.variant is not None:
            return self.signals[turn.variant]
        if turn.error is not None:
            return self._error(turn.error, turn.status, azure=azure)
        if turn.outcome == "blocked":
            return self._block(turn, azure=azure)
        if turn.outcome == "tool_calls":
            return Signal("tool_calls", answer("tool_calls", message={"tool_calls": [TOOL_CALL], "content": None}))
        if turn.outcome == "refused":
            return Signal("refused", answer("stop", content=False, message={"refusal": turn.text}))
        return Signal(turn.outcome, answer(_FINISH[turn.outcome], content=turn.outcome != "empty"))

    def _error(self, kind: ErrorKind, status: int | None, *, azure: bool) -> Signal:
        usual, build = _ERRORS.get(kind, _ERRORS["server"])
        return Signal(kind, build, status or usual)

    def _block(self, turn: Turn, *, azure: bool) -> Signal:
        return Signal("blocked", answer("content_filter", content=bool(turn.text)))


class OpenAIDialect(ChatDialect):
    """OpenAI, compatible servers, and Azure under `/openai/deployments/`."""

    name = "openai"
    base_path = "/v1"
    signals: Mapping[str, Signal] = {**COMPLETIONS, **BODIES, **COMPATIBLE, **OPENAI, **AZURE}

    def matches(self, request: WireRequest) -> bool:
        """A chat completion; Azure's has its API version in the query."""
        return super().matches(request) or (_is_azure(request) and "api-version=" in request.query)

    def key_of(self, request: WireRequest) -> str | None:
        """The bearer key, or Azure's `api-key`."""
        return request.headers.get("api-key") or super().key_of(request)

    def _error(self, kind: ErrorKind, status: int | None, *, azure: bool) -> Signal:
        name = {
            "not_found": "azure.deployment",
            "authentication": "azure.key",
            "rate_limit": "azure.token_rate",
        }.get(kind)
        if azure and name is not None:
            return replace(AZURE[name], status=status or AZURE[name].status)
        return super()._error(kind, status, azure=azure)

    def _block(self, turn: Turn, *, azure: bool) -> Signal:
        if turn.stage == "response":
            choice = {"content_filter_results": _filtered(turn)} if azure or turn.categories else None
            return Signal("blocked", answer("content_filter", content=bool(turn.text), choice=choice))
        if azure or turn.categories:
            inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _filtered(turn)}
            return Signal("blocked", error("content_filter", param="prompt", status=400, innererror=inner), 400)
        return Signal("blocked", error("invalid_prompt", POLICY), 400)


class OpenRouterDialect(ChatDialect):
    """OpenRouter."""

    name = "openrouter"
    base_path = "/api/v1"
    stream_comment = "OPENROUTER PROCESSING"
    usage_in_every_stream = True
    signals: Mapping[str, Signal] = {**COMPLETIONS, **BODIES, **OPENROUTER}

    def _error(self, kind: ErrorKind, status: int | None, *, azure: bool) -> Signal:
        if kind not in _ROUTED:
            return super()._error(kind, status, azure=azure)
        usual, error_type, more = _ROUTED[kind]
        return Signal(kind, routed(status or usual, error_type, **more), status or usual)

    def _block(self, turn: Turn, *, azure: bool) -> Signal:
        if turn.stage == "prompt":
            return Signal("blocked", routed(403, reasons=list(turn.categories) or ["flagged"], flagged_input=""), 403)
        choice = {"native_finish_reason": "SAFETY"}
        return Signal("blocked", answer("content_filter", content=bool(turn.text), choice=choice))


class SberCloudDialect(ChatDialect):
    """Cloud.ru Foundation Models; the service documents no signals of its own."""

    name = "sbercloud"
    base_path = "/v1"
    signals: Mapping[str, Signal] = {**COMPLETIONS, **BODIES, **COMPATIBLE}

    def _block(self, turn: Turn, *, azure: bool) -> Signal:
        finish = "blacklist" if turn.stage == "prompt" else "content_filter"
        return Signal("blocked", answer(finish, content=bool(turn.text)))


_JSON: Final = {"Content-Type": "application/json"}

_ERRORS: Final[dict[str, tuple[int, Any]]] = {
    "authentication": (401, error("invalid_api_key", "Incorrect API key provided.")),
    "permission": (403, error("unsupported_country_region_territory")),
    "rate_limit": (429, error("rate_limit_exceeded", "Rate limit reached.", type="requests")),
    "quota": (429, error("insufficient_quota", type="insufficient_quota")),
    "context_length": (400, error("context_length_exceeded", TOO_LONG, param="messages")),
    "bad_request": (400, error(None, type="invalid_request_error")),
    "not_found": (404, error("model_not_found")),
    "timeout": (408, error("timeout")),
    "server": (500, error("server_error", type="server_error")),
    "response_format": (200, lambda _: _NONSENSE),
}

_ROUTED: Final[dict[str, tuple[int, str | None, dict[str, Any]]]] = {
    "authentication": (401, None, {}),
    "permission": (403, "permission_denied", {}),
    "rate_limit": (429, "rate_limit_exceeded", {}),
    "quota": (402, None, {"limit_source": "openrouter_credits"}),
    "context_length": (400, "context_length_exceeded", {}),
    "bad_request": (400, "invalid_request", {}),
    "not_found": (404, "not_found", {}),
    "timeout": (408, "timeout", {}),
    "server": (502, "provider_unavailable", {}),
}


def _is_azure(request: WireRequest) -> bool:
    return request.path[:8] == "/openai/" and request.method == "POST" and bool(_AZURE_PATH.fullmatch(request.path))


def _filtered(turn: Turn) -> dict[str, Any]:
    found = {name: {"filtered": True, "severity": "medium"} for name in turn.categories}
    return {**HARMLESS, **(found or {"violence": FILTERED["violence"]})}


def _completed(payload: dict[str, Any], model: str, prompt_tokens: int) -> dict[str, Any]:
    """The payload with what every completion has."""
    choices = sequence(payload.get("choices"))
    said = text(mapping(mapping(choices[0]).get("message")).get("content")) if choices else ""
    written = rough_tokens(len(said))
    return {
        "id": "chatcmpl-mock",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": model,
        **payload,
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": written,
            "total_tokens": prompt_tokens + written,
        },
    }


@lru_cache(maxsize=64)
def _template(said: str, model: str) -> tuple[bytes, int]:
    """A plain answer up to its usage, and the tokens that it counts: nothing of it changes with the prompt."""
    payload = _completed(answer("stop")(said), model, 0)
    written: int = payload.pop("usage")["completion_tokens"]
    return json_reply(payload).body[:-1] + b",", written
