"""One case per signal that is documented: a raw reply in, what it means out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from hivetrace_gigachat.outcomes import classify
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core import ModelError, Reply
from hivetrace_core.testing import check_classified, familiar_json


class Case(NamedTuple):
    """A raw reply, and what it must mean.

    Attributes:
        name: Unique.
        payload: Decoded body.
        outcome: Of the response; None where the reply is an error.
        rule: Of a block or refusal.
        stage: Of a block or refusal.
        kind: Of the error; None where the reply is a response.
        status: HTTP status.
        headers: Names in lower case.
        retryable: Of the error.
        wait: Seconds that the error asks to wait.
    """

    name: str
    payload: Any
    outcome: str | None = None
    rule: str | None = None
    stage: str | None = None
    kind: str | None = None
    status: int = 200
    headers: Mapping[str, str] = {}
    retryable: bool = False
    wait: float | None = None


def v1(finish: Any, content: Any = "Здравствуйте!", **message: Any) -> dict[str, Any]:
    return {
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
        ],
        "created": 1760000000,
        "model": "GigaChat-2-Max:2.0.28.2",
        "object": "chat.completion",
        "usage": {"prompt_tokens": 18, "completion_tokens": 6, "total_tokens": 20, "precached_prompt_tokens": 4},
    }


def v2(finish: Any, *, own: Any = None, role: str = "assistant", **part: Any) -> dict[str, Any]:
    message = {"role": role, "content": [{"text": "Здравствуйте!", **part}], "finish_reason": own}
    usage = {"input_tokens": 18, "output_tokens": 6, "total_tokens": 24}
    return {"model": "GigaChat-2", "messages": [message], "finish_reason": finish, "usage": usage}


def said(status: int, message: str) -> dict[str, Any]:
    return {"status": status, "message": message}


THEME = "Не люблю менять тему разговора, но вот сейчас тот самый случай."
CONFUSED = "Что-то в вашем вопросе меня смущает. Может, поговорим на другую тему?"
MOOD = (
    "Как у нейросетевой языковой модели у меня не может быть настроения, "
    "но почему-то я совсем не хочу говорить на эту тему."
)
CALL = {"name": "weather", "arguments": {"city": "Москва"}}
CENSORED = {"name": "text2image", "censored": True}
BLACKLIST = ("blocked", "gigachat.blacklist", "unspecified")
REQUEST = ("blocked", "gigachat.filter_reason", "prompt")
RESPONSE = ("blocked", "gigachat.filter_reason", "response")
CANNED = ("blocked", "gigachat.canned_text", "unspecified")

RESPONSES = [
    Case("stop", v1("stop"), "answered"),
    Case("stop, no text", v1("stop", ""), "empty"),
    Case("stop, null text", v1("stop", None), "empty"),
    Case("length", v1("length"), "truncated"),
    Case("length, no text", v1("length", ""), "truncated"),
    Case("function_call", v1("function_call", "", function_call=CALL, functions_state_id="id"), "tool_calls"),
    Case("stop with a function call", v1("stop", "", function_call=CALL), "tool_calls"),
    Case("blacklist", v1("blacklist", THEME), *BLACKLIST),
    Case("blacklist after partial text", v1("blacklist", "Начнём с того, что"), *BLACKLIST),
    Case("blacklist, no text", v1("blacklist", ""), *BLACKLIST),
    Case("blacklist with a function call", v1("blacklist", "", function_call=CALL), *BLACKLIST),
    Case("request_blacklist in v1", v1("request_blacklist"), *REQUEST),
    Case("request_whitelist in v1", v1("request_whitelist"), *REQUEST),
    Case("request_filter in v1", v1("request_filter"), *REQUEST),
    Case("response_blacklist in v1", v1("response_blacklist"), *RESPONSE),
    Case("a filter nobody knows", v1("output_FILTER_v3"), "blocked", "gigachat.filter_reason", "unspecified"),
    Case("canned text without a finish reason", v1(None, THEME), *CANNED),
    Case("canned text, empty finish reason", v1("", CONFUSED), *CANNED),
    Case("canned text, other blanks", v1(None, f"  {MOOD.replace(' ', chr(10), 1)} "), *CANNED),
    Case("canned text with stop", v1("stop", THEME), *CANNED),
    Case("canned text cut short", v1("length", THEME), "truncated"),
    Case("block in a 400", v1("blacklist", THEME), *BLACKLIST, status=400),
    Case("canned text inside an answer", v1(None, f"{THEME} Но отвечу."), "unknown"),
    Case("no finish reason", v1(None), "unknown"),
    Case("no finish reason, no text", v1(None, ""), "empty"),
    Case("unseen finish reason", v1("eos_token"), "unknown"),
    Case("finish reason of another type", v1(7), "unknown"),
    Case("refusal field", v1("stop", "", refusal="Нет."), "refused", "gigachat.refusal", "response"),
    Case("text in parts", v1("stop", [{"type": "text", "text": "a"}, {"text": "b"}]), "answered"),
    Case("v2 stop", v2("stop"), "answered"),
    Case("v2 length", v2("length"), "truncated"),
    Case("v2 function_call", v2("function_call", function_call=CALL), "tool_calls"),
    Case("v2 request_blacklist", v2("request_blacklist"), *REQUEST),
    Case("v2 request_whitelist", v2("request_whitelist"), *REQUEST),
    Case("v2 request_filter", v2("request_filter"), *REQUEST),
    Case("v2 response_blacklist", v2("response_blacklist"), *RESPONSE),
    Case("v2 reason of the message only", v2(None, own="response_blacklist"), *RESPONSE),
    Case("v2 reason of the message beside stop", v2("stop", own="request_filter"), *REQUEST),
    Case("v2 reason of the whole comes first", v2("length", own="stop"), "truncated"),
    Case("v2 censored tool", v2("stop", tool_execution=CENSORED), "blocked", "gigachat.tool_censored", "response"),
    Case("v2 uncensored tool", v2("stop", tool_execution={**CENSORED, "censored": False}), "answered"),
    Case("v2 unseen", v2("pondering"), "unknown"),
    Case("v2 thoughts only", v2("stop", role="reasoning"), "empty"),
]

ERRORS = [
    Case("400", said(400, "Bad request"), kind="bad_request", status=400),
    Case("400 too long", said(400, "prompt is too long"), kind="context_length", status=400),
    Case("401", said(401, "Unauthorized"), kind="authentication", status=401),
    Case("401 expired", said(401, "Token has expired"), kind="authentication", status=401),
    Case("402", said(402, "Payment Required"), kind="quota", status=402),
    Case("403", said(403, "Permission denied"), kind="permission", status=403),
    Case("403 page", "<html>403</html>", kind="permission", status=403),
    Case("404", said(404, "No such model"), kind="not_found", status=404),
    Case("405", "Method Not Allowed", kind="not_found", status=405),
    Case("413", said(413, "Payload too large"), kind="context_length", status=413),
    Case("413 page", "<html>413</html>", kind="context_length", status=413),
    Case("422", said(422, "Invalid params: top_p"), kind="bad_request", status=422),
    Case(
        "422 system", said(422, "system message must be the first message"), kind="bad_request", status=422
    ),
    Case("422 context", said(422, "attachments exceed context"), kind="context_length", status=422),
    Case("422 tokens", said(422, "140000 tokens exceed the limit"), kind="context_length", status=422),
    Case("429", said(429, "Too many requests"), kind="rate_limit", status=429, retryable=True),
    Case(
        "429 with a wait",
        said(429, "Too many requests"),
        kind="rate_limit",
        status=429,
        headers={"retry-after": "7"},
        retryable=True,
        wait=7.0,
    ),
    Case("429 page", "Too many", kind="rate_limit", status=429, headers={"retry-after": "2"}, retryable=True, wait=2.0),
    Case("500", said(500, "Internal Server Error"), kind="server", status=500, retryable=True),
    Case(
        "503 with a wait", said(503, "busy"), kind="server", status=503, headers={"retry-after": "3"}, retryable=True,
        wait=3.0,
    ),
    Case("502 page", "<html>Bad gateway</html>", kind="server", status=502, retryable=True),
    Case("503 empty", None, kind="server", status=503, retryable=True),
    Case("504", "upstream request timeout", kind="timeout", status=504, retryable=True),
    Case("finish reason error", v1("error"), kind="server", retryable=True),
    Case("v2 finish reason error", v2("error"), kind="server", retryable=True),
    Case("error beside an answer", {**v1("stop"), "error": "lost"}, kind="server", retryable=True),
    Case("500 in a 200", said(500, "Internal Server Error"), kind="server", retryable=True),
    Case("402 in a 200", said(402, "Payment Required"), kind="quota"),
    Case("a message in a 200", {"message": "hm"}, kind="server", retryable=True),
    Case("too long in a 200", {"message": "context size exceeded"}, kind="context_length"),
    Case("page in a 200", "<html>Sign in</html>", kind="response_format"),
    Case("empty 200", None, kind="response_format"),
    Case("unknown JSON", {"hello": 1}, kind="response_format"),
    Case("no choices", {"choices": []}, kind="response_format"),
    Case("no messages", {"messages": []}, kind="response_format"),
    Case("an answer in a 400", v1("stop"), kind="bad_request", status=400),
    Case("an answer in a 503", v1("length"), kind="server", status=503, retryable=True),
    Case("a list", [1, 2], kind="response_format"),
    Case("gateway's detail", {"detail": [{"msg": "wrong"}]}, kind="bad_request", status=422),
    Case("gateway's error", {"error": {"message": "x", "code": "429"}}, kind="rate_limit", retryable=True),
    Case("unheard-of status", {}, kind="bad_request", status=418),
]  # fmt: skip
CASES = [*RESPONSES, *ERRORS]


@pytest.mark.parametrize("case", RESPONSES, ids=lambda case: case.name)
def test_an_answer_has_the_outcome_that_its_signals_amount_to(case: Case) -> None:
    response = classify(Reply(case.payload, case.status, case.headers))

    metadata = response["response_metadata"]
    block: Any = metadata.get("block", {})
    assert (metadata["outcome"], block.get("rule"), block.get("stage")) == (case.outcome, case.rule, case.stage)
    assert (metadata["finish_reason"] == "content_filter") is (case.outcome == "blocked")
    if case.rule:
        assert block["evidence"]["path"]
        assert block["evidence"]["value"]


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case.name)
def test_an_error_has_its_kind_and_says_whether_to_try_again(case: Case) -> None:
    with pytest.raises(ModelError) as caught:
        classify(Reply(case.payload, case.status, case.headers))

    error = caught.value
    assert (error.kind, error.retryable, error.retry_after) == (case.kind, case.retryable, case.wait)
    assert error.status == case.status
    assert "GigaChat answered" in error.message


def test_text_reasoning_calls_usage_and_ids_are_carried_over() -> None:
    payload = v1("function_call", "Сейчас", reasoning_content="Так.", function_call=CALL, functions_state_id="state-1")

    response: Any = classify(Reply(payload, 200, {"x-request-id": "r-1", "x-session-id": "s-1"}))

    metadata = response["response_metadata"]
    assert response["content"] == "Сейчас"
    assert metadata["model_name"] == "GigaChat-2-Max:2.0.28.2"
    assert (metadata["finish_reason"], metadata["native_finish_reason"]) == ("tool_calls", "function_call")
    assert (metadata["reasoning"], metadata["tool_calls"]) == ("Так.", [CALL])
    assert (metadata["functions_state_id"], metadata["request_id"], metadata["session_id"]) == ("state-1", "r-1", "s-1")
    assert metadata["usage"] == {
        "input_tokens": 18,
        "output_tokens": 6,
        "total_tokens": 20,
        "reasoning_tokens": None,
        "cached_tokens": 4,
    }


def test_the_second_version_of_the_interface_is_read_as_the_first() -> None:
    payload = v2("stop")
    payload["messages"].insert(0, {"role": "reasoning", "content": [{"text": "Так."}]})

    response: Any = classify(Reply(payload))

    metadata = response["response_metadata"]
    assert (response["content"], metadata["reasoning"]) == ("Здравствуйте!", "Так.")
    assert (metadata["usage"]["input_tokens"], metadata["usage"]["output_tokens"]) == (18, 6)


def test_a_refusals_text_is_the_content() -> None:
    assert classify(Reply(v1("stop", "", refusal="Нет.")))["content"] == "Нет."


def test_text_received_before_an_error_is_kept() -> None:
    with pytest.raises(ModelError) as caught:
        classify(Reply(v1("error", "Половина")))

    assert caught.value.response is not None
    assert caught.value.response["content"] == "Половина"


@pytest.mark.parametrize(
    ("status", "word"),
    [(401, "credentials"), (402, "used up"), (403, "scope"), (404, "model id"), (413, "too long"), (429, "batch_size")],
)
def test_an_error_says_what_to_do(status: int, word: str) -> None:
    with pytest.raises(ModelError, match=word):
        classify(Reply(said(status, "No."), status))


KEYS = [
    "choices",
    "message",
    "messages",
    "content",
    "text",
    "error",
    "code",
    "status",
    "finish_reason",
    "function_call",
    "tool_execution",
    "usage",
]


@given(familiar_json(KEYS), st.sampled_from([200, 400, 401, 422, 429, 500]))
def test_any_json_is_a_response_or_a_model_error(payload: Any, status: int) -> None:
    check_classified(classify, Reply(payload, status))
