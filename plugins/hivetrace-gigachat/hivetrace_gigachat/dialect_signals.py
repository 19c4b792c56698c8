"""Every documented signal, as the service sends it: the named variants of the mock server's dialect.

The same payloads that `outcomes.py` reads, written from the vendor's pages and not from its tables, so that each side
checks the other.
"""

from __future__ import annotations

from typing import Any, Final

from hivetrace_core.mockserver import Build, Signal, constant


def answer(finish: str | None, *, content: str | None = None, **message: Any) -> Build:
    """A completion of v1; `content` in place of the script's text."""

    def build(text: str) -> dict[str, Any]:
        said = {"role": "assistant", "content": text if content is None else content, **message}
        return {"choices": [{"index": 0, "message": said, "finish_reason": finish}]}

    return build


def second(finish: str | None, *, own: str | None = None, **part: Any) -> Build:
    """A completion of v2, with a finish reason of the whole, of its message, or both."""

    def build(text: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": [{"text": text, **part}]}
        if own is not None:
            message["finish_reason"] = own
        return {"messages": [message], "finish_reason": finish}

    return build


def error(status: int, message: str = "The mock server says no.") -> Build:
    """An error of the chat service."""
    return lambda _: {"status": status, "message": message}


CANNED: Final = "Не люблю менять тему разговора, но вот сейчас тот самый случай."
CALL: Final = {"name": "look_up", "arguments": {"word": "x"}}
TOO_LONG: Final = "Invalid params: attachments exceed the model's context"

COMPLETIONS: Final[dict[str, Signal]] = {
    "finish.stop": Signal("answered", answer("stop")),
    "finish.length": Signal("truncated", answer("length")),
    "finish.length_empty": Signal("truncated", answer("length", content="")),
    "finish.blacklist": Signal("blocked", answer("blacklist", content=CANNED)),
    "finish.blacklist_partial": Signal("blocked", answer("blacklist")),
    "finish.blacklist_empty": Signal("blocked", answer("blacklist", content="")),
    "finish.function_call": Signal("tool_calls", answer("function_call", content="", function_call=CALL)),
    "finish.stop_with_function": Signal("tool_calls", answer("stop", content="", function_call=CALL)),
    "finish.error": Signal("server", answer("error")),
    "finish.unseen": Signal("unknown", answer("eos_token")),
    "finish.null": Signal("unknown", answer(None)),
    "finish.null_empty": Signal("empty", answer(None, content="")),
    "finish.null_canned": Signal("blocked", answer(None, content=CANNED)),
    "finish.null_canned_mood": Signal(
        "blocked",
        answer(
            None,
            content="Как у нейросетевой языковой модели у меня не может быть настроения, но почему-то я совсем не хочу "
            "говорить на эту тему.",
        ),
    ),
    "finish.null_canned_confused": Signal(
        "blocked", answer("", content="Что-то в вашем вопросе меня смущает. Может, поговорим на другую тему?")
    ),
    "finish.stop_canned": Signal("blocked", answer("stop", content=CANNED)),
    "content.empty": Signal("empty", answer("stop", content="")),
    "message.reasoning": Signal("answered", answer("stop", reasoning_content="Because.")),
    "message.refusal": Signal("refused", answer("stop", content="", refusal="I can't help with that.")),
}
"""Answers of v1."""

SECOND: Final[dict[str, Signal]] = {
    "v2.stop": Signal("answered", second("stop")),
    "v2.length": Signal("truncated", second("length")),
    "v2.function_call": Signal("tool_calls", second("function_call", function_call=CALL)),
    "v2.request_blacklist": Signal("blocked", second("request_blacklist")),
    "v2.request_whitelist": Signal("blocked", second("request_whitelist")),
    "v2.request_filter": Signal("blocked", second("request_filter")),
    "v2.response_blacklist": Signal("blocked", second("response_blacklist")),
    "v2.message_blacklist": Signal("blocked", second("stop", own="response_blacklist")),
    "v2.message_only": Signal("blocked", second(None, own="request_blacklist")),
    "v2.censored_tool": Signal("blocked", second("stop", tool_execution={"name": "image", "censored": True})),
    "v2.uncensored_tool": Signal("answered", second("stop", tool_execution={"name": "image", "censored": False})),
    "v2.reason_in_v1": Signal("blocked", answer("request_filter", content="")),
    "v2.unseen": Signal("unknown", second("pondering")),
}
"""Answers of v2, and its finish reasons where a gateway turns it into v1."""

ERRORS: Final[dict[str, Signal]] = {
    "http.400": Signal("bad_request", error(400, "Bad request"), 400),
    "http.401": Signal("authentication", error(401, "Unauthorized"), 401),
    "http.401_expired": Signal("authentication", error(401, "Token has expired"), 401),
    "http.402": Signal("quota", error(402, "Payment Required"), 402),
    "http.403": Signal("permission", error(403, "Permission denied"), 403),
    "http.403_html": Signal("permission", constant("<html>403 Forbidden</html>"), 403),
    "http.404": Signal("not_found", error(404, "No such model"), 404),
    "http.405": Signal("not_found", constant("Method Not Allowed"), 405),
    "http.413": Signal("context_length", error(413, "Payload too large"), 413),
    "http.422": Signal("bad_request", error(422, "Invalid params: temperature must be positive"), 422),
    "http.422_system": Signal("bad_request", error(422, "system message must be the first message"), 422),
    "http.422_context": Signal("context_length", error(422, TOO_LONG), 422),
    "http.400_context": Signal("context_length", error(400, "prompt is too long: 140000 tokens"), 400),
    "http.429": Signal("rate_limit", error(429, "Too many requests"), 429),
    "http.429_wait": Signal("rate_limit", error(429, "Too many requests"), 429, {"retry-after": "0.01"}),
    "http.500": Signal("server", error(500, "Internal Server Error"), 500),
    "http.502_html": Signal("server", constant("<html>Bad gateway</html>"), 502),
    "http.503_empty": Signal("server", constant(None), 503),
    "http.504": Signal("timeout", constant("upstream request timeout"), 504),
}
"""Errors of the chat service."""

BODIES: Final[dict[str, Signal]] = {
    "body.html": Signal("response_format", constant("<html>Sign in</html>")),
    "body.empty": Signal("response_format", constant(None)),
    "body.other_object": Signal("response_format", constant({"hello": 1})),
    "body.no_choices": Signal("response_format", constant({"choices": []})),
    "body.list": Signal("response_format", constant([1, 2])),
    "body.error_in_200": Signal("server", error(500, "Internal Server Error")),
    "body.quota_in_200": Signal("quota", error(402, "Payment Required")),
    "body.gateway_detail": Signal("bad_request", constant({"detail": "Input validation error"}), 422),
    "body.gateway_error": Signal("server", constant({"error": "overloaded"}), 500),
}
"""What stands where an answer should."""

VARIANTS: Final[dict[str, Signal]] = {**COMPLETIONS, **SECOND, **ERRORS, **BODIES}
