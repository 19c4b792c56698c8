"""The wire dialect of an Ollama server for core's mock server: `/api/chat`, and what clients ask about models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from hivetrace_core.mockserver import (
    Dialect,
    Turn,
    WireReply,
    WireRequest,
    constant,
    final_variants_of,
    json_reply,
    last_user_message,
    payload_reply,
    rough_tokens,
    variants_of,
    wait_headers,
    words_of,
)

from .dialect_signals import ANSWERS, BODIES, ERRORS, QUEUE_FULL, TOO_LONG, Signal, answer, error
from .payloads import items, mapping, text

_SIGNALS: Final[Mapping[str, Signal]] = {**ANSWERS, **BODIES, **ERRORS}
_JSON: Final = {"Content-Type": "application/json; charset=utf-8"}
_CREATED: Final = "2026-11-01T00:00:00Z"
_MODEL: Final = {
    "name": "mock:latest",
    "model": "mock:latest",
    "modified_at": _CREATED,
    "size": 522653767,
    "digest": "7df6b6e09427a769808717c0a93cadc4ae99ed4eb8bf5ca557c90846becea435",
    "details": {"format": "gguf", "family": "mock", "parameter_size": "0.6B", "quantization_level": "Q4_K_M"},
}
_TIMES: Final = {
    "total_duration": 5_000_000,
    "load_duration": 1_000_000,
    "prompt_eval_duration": 1_000_000,
    "eval_duration": 3_000_000,
}

_OUTCOMES: Final[Mapping[str, Signal]] = {
    "answered": ANSWERS["done.stop"],
    "truncated": ANSWERS["done.length"],
    "empty": ANSWERS["content.empty"],
    "unknown": ANSWERS["done.unseen"],
    "tool_calls": ANSWERS["message.tool_calls"],
}

_FAILURES: Final[Mapping[str, Signal]] = {
    "authentication": ERRORS["error.unauthorized"],
    "permission": ERRORS["error.cloud_disabled"],
    "rate_limit": Signal("rate_limit", error(QUEUE_FULL), 503),
    "quota": ERRORS["error.weekly_limit"],
    "context_length": Signal("context_length", error(TOO_LONG), 400),
    "bad_request": Signal("bad_request", error("invalid request: the mock server says no"), 400),
    "not_found": ERRORS["error.model_not_found"],
    "timeout": ERRORS["error.gateway_timeout"],
    "server": ERRORS["error.runner"],
    "response_format": Signal("response_format", constant({"mock": "neither an answer nor an error"})),
}


class OllamaDialect(Dialect):
    """`/api/chat`, whole or as lines of JSON; `/api/tags`, `/api/ps`, `/api/show`, `/api/version`.

    Ollama marks neither blocks nor refusals, so that no script can ask for one.
    """

    name = "ollama"
    base_path = ""
    stream_type = "application/x-ndjson"
    variants: Mapping[str, str] = variants_of(_SIGNALS)
    cannot_say: Mapping[str, str] = {
        "blocked": "Ollama has no filter, so that nothing is ever blocked",
        "refused": "Ollama marks no refusals: they are ordinary text",
    }
    final_variants = final_variants_of(_SIGNALS)

    def matches(self, request: WireRequest) -> bool:
        """A chat."""
        return request.path == "/api/chat" and request.method == "POST"

    def prompt_of(self, request: WireRequest) -> str:
        """The text of the last user message."""
        return text(last_user_message(request.body).get("content"))

    def wants_stream(self, request: WireRequest) -> bool:
        """Unless the request says no: that is the server's default."""
        return isinstance(request.body, dict) and request.body.get("stream") is not False

    def side(self, request: WireRequest) -> WireReply | None:
        """What is installed, what is loaded, what a model is, and the version."""
        asked = (request.method, request.path)
        if asked in (("GET", "/api/tags"), ("GET", "/api/ps")):
            return json_reply({"models": [_MODEL]})
        if asked == ("GET", "/api/version"):
            return json_reply({"version": "0.33.0"})
        if asked == ("POST", "/api/show"):
            shown = {"details": _MODEL["details"], "capabilities": ["completion", "tools", "thinking"]}
            return json_reply({"modified_at": _CREATED, "template": "{{ .Prompt }}", "model_info": {}, **shown})
        return None

    def reply(self, request: WireRequest, turn: Turn) -> WireReply:
        """An answer or an error in one piece."""
        read = _tokens(request)
        if turn.outcome == "answered" and turn.variant is None:
            before = _template(turn.text, self.model_of(request))
            return WireReply(turn.status or 200, _JSON, before + b'"prompt_eval_count":%d}' % read)
        signal = _signal(turn)
        payload = signal.build(turn.text)
        if isinstance(payload, dict) and "message" in payload:
            payload = _completed(payload, self.model_of(request), read)
        return payload_reply(payload, turn.status or signal.status, {**signal.headers, **wait_headers(turn)})

    def stream(self, request: WireRequest, turn: Turn) -> Iterable[bytes] | None:
        """Lines of JSON; errors before generation and odd bodies come in one piece."""
        signal = _signal(turn)
        broken = turn.error is not None and turn.variant is None
        if (broken and turn.after is None) or not (broken or signal.in_stream):
            return None
        payload = signal.build("") if broken else signal.build(turn.text)
        if broken:
            payload = {"message": {"content": turn.text}, "error": text(mapping(payload).get("error")) or "it broke"}
        whole = _completed(payload, self.model_of(request), _tokens(request))
        return [json_reply(line).body + b"\n" for line in _lines(whole, turn.after if broken else None)]


def _signal(turn: Turn) -> Signal:
    if turn.variant is not None:
        return _SIGNALS[turn.variant]
    if turn.error is not None:
        return _FAILURES.get(turn.error, _FAILURES["server"])
    return _OUTCOMES[turn.outcome]


def _lines(whole: Mapping[str, Any], until: int | None) -> Iterator[dict[str, Any]]:
    """The objects of a stream: pieces of the reasoning and the text, the calls, then the rest."""
    message = mapping(whole.get("message"))
    base = {"model": whole.get("model"), "created_at": _CREATED}
    for number, (key, piece) in enumerate(_pieces(message)):
        if number == until:
            break
        yield {**base, "message": {"role": "assistant", "content": "", key: piece}, "done": False}
    if whole.get("error"):
        yield {"error": whole["error"]}
    elif whole.get("done") is True:
        yield {**whole, "message": {"role": "assistant", "content": ""}}


def _pieces(message: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in ("thinking", "content"):
        for word in words_of(text(message.get(key))):
            yield key, word
    if items(message.get("tool_calls")):
        yield "tool_calls", message["tool_calls"]


def _tokens(request: WireRequest) -> int:
    """Roughly, and never fewer than the words; a real tokenizer would cost more than all the rest."""
    return len(request.raw) // 2 + 1


def _completed(payload: dict[str, Any], model: str, read: int) -> dict[str, Any]:
    """The payload with what every answer has."""
    written = rough_tokens(len(text(mapping(payload.get("message")).get("content"))))
    counts = {"eval_count": written, "prompt_eval_count": read}
    return {"model": model, "created_at": _CREATED, **_TIMES, **counts, **payload}


@lru_cache(maxsize=64)
def _template(said: str, model: str) -> bytes:
    """A plain answer up to the tokens of its prompt: nothing of it changes with the prompt."""
    payload = _completed(answer("stop")(said), model, 0)
    del payload["prompt_eval_count"]
    return json_reply(payload).body[:-1] + b","
