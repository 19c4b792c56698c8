"""The dialect against the model: what a script asks for, spelt by a real server, is what the model reports."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hivetrace_gigachat.dialect import AUTH_PATH, GigaChatDialect
from hivetrace_gigachat.dialect_tokens import mint

from hivetrace_core import ModelError
from hivetrace_core.mockserver import MockServer, Turn, WireReply, WireRequest

DIALECT = GigaChatDialect()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_block_is_worded_by_the_service_or_comes_after_the_scripts_text(model_of: Any, stream: bool) -> None:
    rules = [
        {"match": "^in$", "outcome": "blocked"},
        {"match": "^out$", "outcome": "blocked", "stage": "response", "text": "Начнём с"},
    ]
    with MockServer({"rules": rules}, dialects=[DIALECT]) as server:
        model = model_of(server)
        contents = {}
        for prompt in ("in", "out"):
            chunks = list(model.stream(prompt)) if stream else [model.invoke(prompt)]
            contents[prompt] = "".join(chunk["content"] for chunk in chunks)
            assert chunks[-1]["response_metadata"]["block"]["rule"] == "gigachat.blacklist"

    assert contents == {"in": "Не люблю менять тему разговора, но вот сейчас тот самый случай.", "out": "Начнём с"}


def test_the_answer_has_the_scripts_text_the_models_id_and_usage(model_of: Any) -> None:
    with MockServer({"text": "You said: {prompt}"}, dialects=[DIALECT]) as server:
        model = model_of(server)
        response: Any = model.invoke("Привет \ud800")
        streamed: list[Any] = list(model.stream("Hi there"))

    metadata = response["response_metadata"]
    assert response["content"] == "You said: Привет \ud800"
    assert metadata["model_name"] == "GigaChat"
    usage = metadata["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > usage["output_tokens"] > 0
    assert "".join(chunk["content"] for chunk in streamed) == "You said: Hi there"
    assert len(streamed) > 3
    assert streamed[-1]["response_metadata"]["usage"]["output_tokens"] == 5


def test_a_script_can_ask_for_everything() -> None:
    assert DIALECT.cannot_say == {}


# The endpoints, asked directly


def asked(path: str, headers: dict[str, str] | None = None, raw: bytes = b"", *, method: str = "POST") -> WireRequest:
    return WireRequest(method, path, "", headers or {}, None, raw)


def body_of(reply: WireReply | None) -> dict[str, Any]:
    assert reply is not None
    return {"http": reply.status, **json.loads(reply.body)}


@pytest.mark.parametrize(
    ("headers", "raw", "status", "code"),
    [
        ({}, b"scope=GIGACHAT_API_PERS", 400, 4),
        ({"authorization": "Bearer x", "rquid": "1"}, b"scope=GIGACHAT_API_PERS", 400, 4),
        ({"authorization": "Basic a2V5"}, b"scope=GIGACHAT_API_PERS", 400, 1),
        ({"authorization": "Basic a2V5", "rquid": "1"}, b"", 400, 5),
        ({"authorization": "Basic a2V5", "rquid": "1"}, b"scope=ELSE", 400, 7),
        ({"authorization": "Basic a2V5", "rquid": "1"}, b"scope=GIGACHAT_API_CORP", 200, None),
    ],
)
def test_the_token_endpoint_wants_what_the_vendors_does(
    headers: dict[str, str], raw: bytes, status: int, code: int | None
) -> None:
    answer = body_of(DIALECT.side(asked(AUTH_PATH, headers, raw)))

    assert (answer["http"], answer.get("code")) == (status, code)
    assert ("access_token" in answer) is (status == 200)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models"])
def test_only_tokens_that_were_handed_out_and_are_alive_are_accepted(path: str) -> None:
    def status(token: str | None) -> int:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        request = asked(path, headers, method="GET" if path == "/v1/models" else "POST")
        reply = DIALECT.side(request) or DIALECT.reply(request, turn)
        return int(reply.status)

    turn = Turn(outcome="answered", text="x")
    assert status(mint("key", lifetime=60)) == 200
    assert status(mint("key", lifetime=-1)) == 401
    assert [status(token) for token in (None, "eyJhbGciOi", "mock.", "mock.e30=", "mock.WzFd")] == [401] * 5


def test_the_key_of_a_request_is_the_credential_behind_its_token() -> None:
    request = asked("/v1/chat/completions", {"authorization": f"Bearer {mint('key-1', lifetime=60)}"})

    assert DIALECT.key_of(request) == "key-1"
    assert DIALECT.key_of(asked("/v1/chat/completions", {"authorization": "Bearer key-1"})) is None
    assert DIALECT.key_of(asked("/v1/chat/completions")) is None


@pytest.mark.parametrize("basic", ["", "Basic !", "Basic dXNlcg==", "Basic dXNlcjo=", "Basic OnBhc3M="])
def test_a_login_without_user_or_password_is_refused(basic: str) -> None:
    assert body_of(DIALECT.side(asked("/v1/token", {"authorization": basic})))["http"] == 401


@pytest.mark.parametrize("body", [None, [], {}, {"messages": 3}, {"messages": [3, {"role": "user"}]}, {"messages": []}])
def test_a_prompt_is_found_in_any_body(body: Any) -> None:
    assert DIALECT.prompt_of(WireRequest("POST", "/v1/chat/completions", "", {}, body, b"")) == ""


def test_a_wrong_base_url_gets_the_vendors_404(model_of: Any) -> None:
    with MockServer(dialects=[DIALECT]) as server:
        model = model_of(server, base_url=server.root("gigachat") + "/v9")
        with pytest.raises(ModelError) as caught:
            model.invoke("Hello")

    assert caught.value.kind == "not_found"
