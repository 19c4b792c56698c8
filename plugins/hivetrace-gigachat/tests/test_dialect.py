"""The dialect against the model: what a script asks for, spelt by a real server, is what the model reports."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hivetrace_gigachat import GigaChatModel
from hivetrace_gigachat.dialect import AUTH_PATH, GigaChatDialect
from hivetrace_gigachat.dialect_tokens import mint

from hivetrace_core import ModelError
from hivetrace_core.mockserver import MockServer, WireReply, WireRequest, expected

DIALECT = GigaChatDialect()
KINDS = [
    "authentication",
    "permission",
    "rate_limit",
    "quota",
    "context_length",
    "bad_request",
    "not_found",
    "timeout",
    "server",
    "response_format",
]
OUTCOMES = ["answered", "truncated", "refused", "blocked", "tool_calls", "empty", "unknown"]


async def ending(model: GigaChatModel, prompt: str, *, stream: bool) -> str:
    """The outcome, or the kind of the error."""
    try:
        if not stream:
            response: Any = await model.ainvoke(prompt)
            return str(response["response_metadata"]["outcome"])
        chunks: list[Any] = [chunk async for chunk in model.astream(prompt)]
        return str(chunks[-1]["response_metadata"]["outcome"])
    except ModelError as error:
        return error.kind
    finally:
        await model.aclose()


def endings(server: MockServer, model_of: Any, prompts: list[str], *, stream: bool = False) -> dict[str, str]:
    async def all_of_them() -> dict[str, str]:
        # A model each: a refused key would stop the next one.
        models = [model_of(server, max_attempts=1) for _ in prompts]
        ends = [ending(model, prompt, stream=stream) for model, prompt in zip(models, prompts, strict=True)]
        return dict(zip(prompts, await asyncio.gather(*ends), strict=True))

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_every_variant_is_classified_as_what_it_means(model_of: Any, stream: bool) -> None:
    rules = [{"match": f"^{name}$", "variant": name} for name in DIALECT.variants]
    with MockServer({"rules": rules}, dialects=[DIALECT]) as server:
        found = endings(server, model_of, list(DIALECT.variants), stream=stream)

    assert found == dict(DIALECT.variants)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_every_neutral_outcome_and_error_has_a_spelling(model_of: Any, stream: bool) -> None:
    rules: list[dict[str, Any]] = [{"match": f"^{outcome}$", "outcome": outcome} for outcome in OUTCOMES]
    rules += [{"match": f"^{kind}$", "error": kind} for kind in KINDS]
    wanted = {name: name for name in [*OUTCOMES, *KINDS]}
    with MockServer({"rules": rules}, dialects=[DIALECT]) as server:
        assert endings(server, model_of, list(wanted), stream=stream) == wanted


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


def test_a_batch_ends_as_foretold_in_whatever_order_it_is_sent(model_of: Any) -> None:
    script = {
        "seed": 3,
        "text": "echo {prompt}",
        "rules": [
            {"share": 0.2, "times": 1, "fault": "reset"},
            {"share": 0.2, "times": 2, "error": "rate_limit", "retry_after": 0.01},
            {"share": 0.1, "outcome": "blocked", "stage": "response"},
            {"share": 0.1, "error": "context_length"},
            {"share": 0.1, "variant": "finish.unseen"},
        ],
    }
    prompts = [f"prompt {number}" for number in range(200)]
    with MockServer(script, dialects=[DIALECT]) as server:
        responses = model_of(server, max_attempts=5).batch(prompts, batch_size=32)
        sent = [record for record in server.log if record.said != "side"]

    foretold = expected(script, prompts, DIALECT)
    for response, one in zip(responses, foretold, strict=True):
        metadata = response["response_metadata"]
        error = response.get("error", {}).get("kind")
        assert (metadata["outcome"], error, metadata["attempts"]) == (one.outcome, one.error, one.attempts)
        assert one.outcome != "answered" or response["content"] == f"echo {one.prompt}"
    assert len(sent) == sum(one.attempts for one in foretold)


FAULTS = ["reset", "cut", "garbage", "html", "empty", "half", "wrong_length", "redirect", "trickle", "slow_headers"]


def test_each_fault_ends_as_foretold(model_of: Any) -> None:
    script = {"rules": [{"match": f"^{fault}$", "fault": fault, "pace": 0.0005} for fault in FAULTS]}
    with MockServer(script, dialects=[DIALECT]) as server:
        found = endings(server, model_of, FAULTS)

    assert found == {one.prompt: one.error or one.outcome for one in expected(script, FAULTS, DIALECT, max_attempts=1)}


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

    from hivetrace_core.mockserver import Turn

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
