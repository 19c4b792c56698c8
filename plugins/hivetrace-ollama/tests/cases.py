"""One case per documented signal: a raw reply, and what it means. Data only, so that others can use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple


class Answer(NamedTuple):
    """A reply that is an answer."""

    id: str
    payload: Any
    outcome: str
    finish: str
    content: str = ""


class Failure(NamedTuple):
    """A reply that is an error; `says` is in its message."""

    id: str
    status: int
    payload: Any
    kind: str
    retryable: bool
    says: str = ""
    headers: Mapping[str, str] = {}
    wait: float | None = None
    partial: str | None = None


TOP: Final = {
    "model": "llama3.2",
    "created_at": "2026-11-01T10:00:00.1Z",
    "total_duration": 5_191_566_416,
    "load_duration": 2_154_458,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 383_809_000,
    "eval_count": 298,
    "eval_duration": 4_799_921_000,
}
CALL: Final = {"function": {"name": "get_weather", "arguments": {"city": "Tokyo"}}}


def chat(content: Any = "Hello!", *, reason: Any = "stop", done: Any = True, **more: Any) -> dict[str, Any]:
    """A whole answer; a reason of None is left out, as the server does."""
    message = {"role": "assistant", "content": content, **more.pop("message", {})}
    reasons = {} if reason is None else {"done_reason": reason}
    return {**TOP, "message": message, "done": done, **reasons, **more}


ANSWERS: Final = [
    Answer("stop", chat(), "answered", "stop", "Hello!"),
    Answer("length", chat("Hel", reason="length"), "truncated", "length", "Hel"),
    Answer("length with nothing but reasoning", chat("", reason="length"), "truncated", "length"),
    Answer("empty", chat(""), "empty", "stop"),
    Answer("no content at all", chat(None), "empty", "stop"),
    Answer("only reasoning", chat("", message={"thinking": "Hm."}), "empty", "stop"),
    Answer("reasoning and an answer", chat(message={"thinking": "Hm."}), "answered", "stop", "Hello!"),
    Answer("thinking is null", chat(message={"thinking": None, "tool_calls": None}), "answered", "stop", "Hello!"),
    Answer("tool calls with stop", chat("", message={"tool_calls": [CALL]}), "tool_calls", "tool_calls"),
    Answer("tool calls, cut", chat("", reason="length", message={"tool_calls": [CALL]}), "tool_calls", "length"),
    Answer("no reason, as old servers", chat(reason=None), "unknown", "unknown", "Hello!"),
    Answer("no reason and no text", chat("", reason=None), "empty", "unknown"),
    Answer("unseen reason", chat(reason="eos_token"), "unknown", "unknown", "Hello!"),
    Answer("a reason that is no word", chat(reason=7), "unknown", "unknown", "Hello!"),
    Answer("done is left out", {"message": {"content": "Hi"}, "done_reason": "stop"}, "answered", "stop", "Hi"),
    Answer("an unsafe verdict is only text", chat("unsafe\nS1"), "answered", "stop", "unsafe\nS1"),
]

HOURLY: Final = "you've reached your hourly usage limit, please wait or upgrade to continue"
WEEKLY: Final = (
    "you (jo) have reached your weekly usage limit, upgrade for higher limits: https://ollama.com/upgrade "
    "(ref: 06d81c91-9772-4081-affc-f122d5523da7)"
)
SESSION: Final = "you (jo) have reached your session usage limit, please wait or upgrade to continue"
QUEUE: Final = "server busy, please try again.  maximum pending requests exceeded"
LONG: Final = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the "
    "context length in settings, or use a model with a longer context length"
)
RUNNER: Final = '{"error":{"code":400,"message":"request exceeds the available context size","type":"x"}}'

FAILURES: Final = [
    Failure("no chat", 400, {"error": '"nomic" does not support chat'}, "bad_request", False, "support chat"),
    Failure("no tools", 400, {"error": "library/gemma:2b does not support tools"}, "bad_request", False),
    Failure("no thinking", 400, {"error": '"gemma" does not support thinking'}, "bad_request", False),
    Failure("option", 400, {"error": 'option "stop" must be of type array'}, "bad_request", False),
    Failure("option, by the runner", 500, {"error": 'option "stop" must be of type array'}, "bad_request", False),
    Failure("format", 400, {"error": "invalid format"}, "bad_request", False),
    Failure("format, by the runner", 500, {"error": 'invalid format: "xml"; expected "json"'}, "bad_request", False),
    Failure("no thinking, by the runner", 500, {"error": "m does not support thinking"}, "bad_request", False),
    Failure("context", 400, {"error": LONG}, "context_length", False, "raise num_ctx or shorten"),
    Failure("context, runner's words", 400, {"error": RUNNER}, "context_length", False, "400: request exceeds"),
    Failure("context, 413", 413, {"error": "exceed_context_size_error"}, "context_length", False),
    Failure("unauthorized", 401, {"error": "unauthorized", "signin_url": "https://ollama.com/connect?key=c2VjcmV0"},
            "authentication", False, "ollama signin"),
    Failure("cloud disabled", 403, {"error": "ollama cloud is disabled"}, "permission", False),
    Failure("payment", 402, {"error": "payment required"}, "quota", False, "usage limit"),
    Failure("not found", 404, {"error": "model 'qwen3:0.6b' not found"}, "not_found", False,
            "ollama pull qwen3:0.6b"),
    Failure("not found, older words", 404, {"error": 'model "hf.co/me/x-GGUF:Q4" not found, try pulling it first'},
            "not_found", False, "ollama pull hf.co/me/x-GGUF:Q4"),
    Failure("not found, something else", 404, {"error": "not found"}, "not_found", False, "model id and base_url"),
    Failure("wrong path", 404, "404 page not found", "not_found", False, "without /api or /v1"),
    Failure("wrong method", 405, "405 method not allowed", "not_found", False),
    Failure("rate limit", 429, {"error": "too many requests"}, "rate_limit", True, headers={"retry-after": "7"},
            wait=7.0),
    Failure("hourly", 429, {"error": HOURLY}, "quota", False, headers={"retry-after": "7"}),
    Failure("weekly", 429, {"error": WEEKLY}, "quota", False),
    Failure("session", 429, {"error": SESSION}, "quota", False),
    Failure("weekly, as 403", 403, {"error": WEEKLY}, "quota", False),
    Failure("canceled", 499, {"error": "request canceled"}, "connection", True),
    Failure("canceled, as 500", 500, {"error": "context canceled"}, "connection", True),
    Failure("runner died", 500, {"error": "llama runner process has terminated: exit status 2"}, "server", True),
    Failure("memory", 500, {"error": "model requires more system memory (5.6 GiB) than is available (2.1 GiB)"},
            "server", False, "system memory"),
    Failure("architecture", 500, {"error": "unable to load model: /blobs/sha256-a"}, "server", False),
    Failure("repeats", 500, {"error": "prediction aborted, token repeat limit reached"}, "server", True),
    Failure("context of memory is no prompt", 500, {"error": "failed to create a context of this context size"},
            "server", True),
    Failure("upstream", 502, {"error": "dial tcp: no such host"}, "server", True),
    Failure("gateway page", 502, "<html>Bad gateway</html>", "server", True, headers={"retry-after": "3"}, wait=3.0),
    Failure("queue full", 503, {"error": QUEUE}, "rate_limit", True, "lower batch_size"),
    Failure("queue full, as 500", 500, {"error": QUEUE}, "rate_limit", True),
    Failure("overloaded", 503, {"error": "Server overloaded, please retry shortly"}, "server", True),
    Failure("gateway timeout", 504, None, "timeout", True),
    Failure("an array", 400, [{"error": "no"}], "bad_request", False, "neither an answer nor an error"),
    Failure("an error object", 500, {"error": {"message": "it broke", "code": 1}}, "server", True, "it broke"),
    Failure("an error object without words", 500, {"error": {"code": 1}}, "server", True, '{"code": 1}'),
    Failure("a gateway's message", 500, {"message": "upstream failed"}, "server", True, "upstream failed"),
    Failure("a framework's detail", 422, {"detail": "bad body"}, "bad_request", False, "bad body"),
    Failure("an answer with an error status", 500, chat(), "server", True),
    Failure("empty body", 200, None, "response_format", False, "is base_url right"),
    Failure("a page", 200, "<html>Sign in</html>", "response_format", False, "Sign in"),
    Failure("another object", 200, {"hello": 1}, "response_format", False),
    Failure("message is text", 200, {"message": "hello", "done": True}, "server", True, "hello"),
    Failure("error in a 200", 200, {"error": "an error was encountered while running the model"}, "server", True),
    Failure("busy in a 200", 200, {"error": QUEUE}, "rate_limit", True),
    Failure("context in a 200", 200, {"error": LONG}, "context_length", False),
    Failure("quota in a 200", 200, {"error": SESSION}, "quota", False),
    Failure("canceled in a 200", 200, {"error": "context canceled"}, "connection", True),
    Failure("format in a 200", 200, {"error": "invalid format: x"}, "bad_request", False),
    Failure("memory in a 200", 200, {"error": "model requires more system memory than is available"}, "server", False),
    Failure("error after text", 200, chat("Hel", reason=None, done=False, error="runner crashed"), "server", True,
            "runner crashed", partial="Hel"),
    Failure("error before text", 200, chat("", reason=None, done=False, error="runner crashed"), "server", True),
    Failure("not done", 200, chat("Hel", reason=None, done=False), "connection", True, "done: true", partial="Hel"),
    Failure("not done, only reasoning", 200, chat("", reason=None, done=False, message={"thinking": "Hm"}),
            "connection", True, partial=""),
    Failure("connection closed", 200, chat("Hel", reason=""), "connection", True, partial="Hel"),
    Failure("load", 200, chat("", reason="load"), "response_format", False, "has loaded the model"),
    Failure("unload", 200, chat("", reason="unload"), "response_format", False, "unloaded"),
]  # fmt: skip
