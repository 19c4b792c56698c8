"""Every documented signal, as an Ollama server sends it: the named variants of the mock server's dialect.

The same payloads that `outcomes.py` reads, written from the server's source and not from its tables, so that each side
checks the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hivetrace_core import mockserver
from hivetrace_core.mockserver import Build, constant


@dataclass(frozen=True, slots=True)
class Signal(mockserver.Signal):
    """One way to end, and how this vendor's streams say it.

    Attributes:
        in_stream: Whether a stream says it in its lines, and not with a whole reply.
    """

    in_stream: bool = False


def answer(
    reason: str | None,
    *,
    content: bool = True,
    message: Mapping[str, Any] | None = None,
    top: Mapping[str, Any] | None = None,
) -> Build:
    """An answer; `content` says whether it has the script's text. A reason of None is left out, as the server does."""

    def build(text: str) -> dict[str, Any]:
        said = {"role": "assistant", "content": text if content else "", **(message or {})}
        reasons = {} if reason is None else {"done_reason": reason}
        return {"message": said, "done": True, **reasons, **(top or {})}

    return build


def error(message: str, **more: Any) -> Build:
    """An error object."""
    return lambda _: {"error": message, **more}


def ending(means: str, build: Build) -> Signal:
    """A signal that a stream says in its lines."""
    return Signal(means, build, in_stream=True)


TOOL_CALL: Final = {"id": "call_1", "function": {"index": 0, "name": "look_up", "arguments": {"word": "x"}}}
TOO_LONG: Final = "the prompt is longer than the context length currently available to the model"
RUNNERS_TOO_LONG: Final = '{"error":{"code":400,"message":"the request exceeds the available context size"}}'
HOURLY: Final = "you've reached your hourly usage limit, please wait or upgrade to continue"
WEEKLY: Final = "you (mock) have reached your weekly usage limit, upgrade for higher limits (ref: 0a1b2c3d-mock)"
QUEUE_FULL: Final = "server busy, please try again.  maximum pending requests exceeded"

ANSWERS: Final[dict[str, Signal]] = {
    "done.stop": ending("answered", answer("stop")),
    "done.length": ending("truncated", answer("length")),
    "done.length_empty": ending("truncated", answer("length", content=False)),
    "done.absent": ending("unknown", answer(None)),
    "done.unseen": ending("unknown", answer("eos_token")),
    "done.connection_closed": ending("connection", answer("")),
    "done.load": ending("response_format", answer("load", content=False)),
    "done.unload": ending("response_format", answer("unload", content=False)),
    "done.false": ending("connection", answer(None, top={"done": False})),
    "content.empty": ending("empty", answer("stop", content=False)),
    "message.thinking": ending("answered", answer("stop", message={"thinking": "Let me think."})),
    "message.only_thinking": ending("empty", answer("stop", content=False, message={"thinking": "Let me think."})),
    "message.tool_calls": ending("tool_calls", answer("stop", content=False, message={"tool_calls": [TOOL_CALL]})),
    "prompt.cut": ending("answered", answer("stop", top={"prompt_eval_count": 1})),
}
"""What an answer may look like."""

BODIES: Final[dict[str, Signal]] = {
    "body.html": Signal("response_format", constant("<html>Sign in</html>")),
    "body.empty": Signal("response_format", constant(None)),
    "body.other_object": Signal("response_format", constant({"hello": 1})),
    "body.list": Signal("response_format", constant([1, 2])),
    "body.error_list_400": Signal("bad_request", constant([{"error": "no"}]), 400),
    "body.error_in_200": ending("server", error("an error was encountered while running the model")),
    "body.html_502": Signal("server", constant("<html>Bad gateway</html>"), 502),
    "body.not_found_text": Signal("not_found", constant("404 page not found"), 404),
}
"""What stands where an answer should, whoever the server is."""

ERRORS: Final[dict[str, Signal]] = {
    "error.no_chat": Signal("bad_request", error('"m-1" does not support chat'), 400),
    "error.no_tools": Signal("bad_request", error("registry.ollama.ai/library/m-1:latest does not support tools"), 400),
    "error.no_thinking": Signal("bad_request", error('"m-1" does not support thinking'), 400),
    "error.option": Signal("bad_request", error('option "temperature" must be of type float32'), 400),
    "error.format": Signal("bad_request", error('invalid format: "xml"; expected "json" or a valid JSON Schema'), 500),
    "error.context_length": Signal("context_length", error(TOO_LONG), 400),
    "error.context_size": Signal("context_length", error(RUNNERS_TOO_LONG), 400),
    "error.unauthorized": Signal(
        "authentication", error("unauthorized", signin_url="https://ollama.com/connect?name=mock"), 401
    ),
    "error.cloud_disabled": Signal("permission", error("ollama cloud is disabled: remote model unavailable"), 403),
    "error.model_not_found": Signal("not_found", error("model 'm-1' not found"), 404),
    "error.pull_it_first": Signal("not_found", error('model "m-1" not found, try pulling it first'), 404),
    "error.rate_limit": Signal("rate_limit", error("too many concurrent requests"), 429, {"retry-after": "0"}),
    "error.hourly_limit": Signal("quota", error(HOURLY), 429),
    "error.weekly_limit": Signal("quota", error(WEEKLY), 429),
    "error.canceled": Signal("connection", error("request canceled"), 499),
    "error.runner": Signal("server", error("model runner has unexpectedly stopped"), 500),
    "error.memory": Signal(
        "server", error("model requires more system memory (9.1 GiB) than is available (4.0 GiB)"), 500, final=True
    ),
    "error.load": Signal("server", error("unable to load model: /models/blobs/sha256-0"), 500, final=True),
    "error.upstream": Signal("server", error("dial tcp: lookup ollama.com: no such host"), 502),
    "error.queue_full": Signal("rate_limit", error(QUEUE_FULL), 503),
    "error.overloaded": Signal("server", error("Server overloaded, please retry shortly (ref: 0a1b2c3d-mock)"), 503),
    "error.gateway_timeout": Signal("timeout", constant("upstream request timeout"), 504),
}
"""What the server and the hosted service say instead of an answer."""
