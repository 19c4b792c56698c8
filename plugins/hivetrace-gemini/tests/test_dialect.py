"""The dialect against the model: what a script asks for, spelt by a real server, is what the model reports."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hivetrace_gemini import GeminiNativeModel
from hivetrace_gemini.dialect import GeminiDialect

from hivetrace_core import ModelError
from hivetrace_core.mockserver import MockServer, WireRequest, expected

DIALECT = GeminiDialect()
KEY = "AIza-test-key-12345"
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
# The wire has no word for a refusal.
OUTCOMES = {name: name for name in ("answered", "truncated", "blocked", "tool_calls", "empty", "unknown")}
MEANINGS = {**OUTCOMES, **{kind: kind for kind in KINDS}}


def model_of(server: MockServer, **options: Any) -> GeminiNativeModel:
    options = {"model": "gemini-2.5-flash", "api_key": KEY, "max_attempts": 1, "timeout": 10, **options}
    return GeminiNativeModel(base_url=server.url("gemini"), **options)


async def ending(model: GeminiNativeModel, prompt: str, *, stream: bool) -> str:
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


def endings(server: MockServer, prompts: list[str], *, stream: bool = False) -> dict[str, str]:
    async def all_of_them() -> dict[str, str]:
        # A model each: a refused key would stop the next one.
        ends = [ending(model_of(server), prompt, stream=stream) for prompt in prompts]
        return dict(zip(prompts, await asyncio.gather(*ends), strict=True))

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_every_variant_is_classified_as_what_it_means(stream: bool) -> None:
    rules = [{"match": f"^{name}$", "variant": name} for name in DIALECT.variants]
    with MockServer({"rules": rules}, dialects=[DIALECT]) as server:
        assert endings(server, list(DIALECT.variants), stream=stream) == dict(DIALECT.variants)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_every_neutral_outcome_and_error_has_a_spelling(stream: bool) -> None:
    rules: list[dict[str, Any]] = [
        {"match": f"^{name}$", "error" if name in KINDS else "outcome": name} for name in MEANINGS
    ]
    rules += [{"match": f"^{stage}$", "outcome": "blocked", "stage": stage} for stage in ("prompt", "response")]
    wanted = {**MEANINGS, "prompt": "blocked", "response": "blocked"}
    with MockServer({"rules": rules}, dialects=[DIALECT]) as server:
        assert endings(server, list(wanted), stream=stream) == wanted


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("stage", "rule"), [("prompt", "gemini.prompt_safety"), ("response", "gemini.safety")])
def test_a_block_carries_its_stage_and_categories(stage: str, rule: str, stream: bool) -> None:
    script = {"rules": [{"outcome": "blocked", "stage": stage, "categories": ["HARM_CATEGORY_HATE_SPEECH"]}]}
    with MockServer(script, dialects=[DIALECT]) as server, model_of(server) as model:
        response: Any = list(model.stream("Hello"))[-1] if stream else model.invoke("Hello")

    block = response["response_metadata"]["block"]
    assert (block["stage"], block["rule"]) == (stage, rule)
    assert block["categories"] == [{"name": "HARM_CATEGORY_HATE_SPEECH", "severity": "HIGH"}]


def test_the_answer_has_the_scripts_text_the_models_id_and_usage() -> None:
    with MockServer({"text": "You said: {prompt}"}, dialects=[DIALECT]) as server, model_of(server) as model:
        response: Any = model.invoke("Привет \ud800")
        streamed: list[Any] = list(model.stream("Hi there"))

    metadata = response["response_metadata"]
    assert response["content"] == "You said: Привет \ud800"
    assert (metadata["model_name"], metadata["provider"]) == ("gemini-2.5-flash", "gemini")
    usage = metadata["usage"]
    assert usage["input_tokens"] > 0
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert "".join(chunk["content"] for chunk in streamed) == "You said: Hi there"
    assert len(streamed) == 5
    assert streamed[-1]["response_metadata"]["usage"]["output_tokens"] == 5


@pytest.mark.parametrize("form", ["seconds", "ms", "date"])
def test_a_wait_is_said_in_each_form(form: str) -> None:
    script = {"rules": [{"times": 1, "error": "rate_limit", "retry_after": 0.02, "retry_after_form": form}]}
    with (
        MockServer(script, dialects=[DIALECT]) as server,
        model_of(server) as model,
        pytest.raises(ModelError) as caught,
    ):
        model.invoke("Hello")

    assert caught.value.retry_after is not None
    assert caught.value.retry_after == 0.02 if form != "date" else caught.value.retry_after <= 2


def test_another_key_is_refused_as_the_vendor_does() -> None:
    with MockServer({"key": KEY}, dialects=[DIALECT]) as server:
        with model_of(server) as friend:
            answered: Any = friend.invoke("Hello")
        with model_of(server, api_key="AIza-stranger-key") as stranger, pytest.raises(ModelError) as caught:
            stranger.invoke("Hello")

    assert answered["response_metadata"]["outcome"] == "answered"
    assert (caught.value.kind, caught.value.code) == ("authentication", "API_KEY_INVALID")


def test_the_key_of_another_client_may_be_in_the_query() -> None:
    assert DIALECT.key_of(WireRequest("POST", "/", "key=abc&alt=sse", {}, None, b"")) == "abc"
    assert DIALECT.key_of(WireRequest("POST", "/", "", {"x-goog-api-key": "abc"}, None, b"")) == "abc"
    assert DIALECT.key_of(WireRequest("POST", "/", "alt=sse", {}, None, b"")) is None


def test_a_wrong_base_url_gets_the_vendors_404() -> None:
    with MockServer(dialects=[DIALECT]) as server:
        model = GeminiNativeModel(model="m", base_url=server.root("gemini"), api_key=KEY, max_attempts=1)
        with model, pytest.raises(ModelError) as caught:
            model.invoke("Hello")

    assert (caught.value.kind, caught.value.code) == ("not_found", "NOT_FOUND")


def test_models_are_listed() -> None:
    def side(path: str, method: str = "GET") -> Any:
        found = DIALECT.side(WireRequest(method, path, "", {}, None, b""))
        return found and json.loads(found.body)

    assert side("/v1beta/models")["models"][0]["name"] == "models/mock"
    assert side("/v1beta/models/gemini-2.5-flash")["name"] == "models/gemini-2.5-flash"
    assert side("/v1beta/models", "POST") is None
    assert side("/v1beta/files") is None


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash", False),
        ("/v1/models/gemini-2.5-flash:streamGenerateContent", "gemini-2.5-flash", True),
        ("/v1beta/tunedModels/mine%20own:generateContent", "mine own", False),
    ],
)
def test_model_and_method_are_read_from_the_path(path: str, model: str, stream: bool) -> None:
    request = WireRequest("POST", path, "", {}, {}, b"{}")

    assert DIALECT.matches(request)
    assert (DIALECT.model_of(request), DIALECT.wants_stream(request)) == (model, stream)


@pytest.mark.parametrize("path", ["/v1beta/models/m:countTokens", "/v1beta/models/a/b:generateContent", "/v2/models/m"])
def test_other_paths_ask_no_model(path: str) -> None:
    request = WireRequest("POST", path, "", {}, {}, b"{}")

    assert not DIALECT.matches(request)
    assert DIALECT.model_of(request) == ""


BROKEN = [None, [], {}, {"contents": 3}, {"contents": [3, {"role": "user"}]}, {"contents": [{"parts": [{"text": 1}]}]}]


@pytest.mark.parametrize("body", BROKEN)
def test_a_prompt_is_found_in_any_body(body: Any) -> None:
    assert DIALECT.prompt_of(WireRequest("POST", "/", "", {}, body, b"")) == ""


def test_the_prompt_is_the_text_of_the_last_user_turn() -> None:
    contents = [
        {"role": "user", "parts": [{"text": "first"}]},
        {"parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}]},
    ]

    assert DIALECT.prompt_of(WireRequest("POST", "/", "", {}, {"contents": contents}, b"")) == "ab"


FAULTS = ["reset", "cut", "garbage", "html", "empty", "half", "wrong_length", "redirect", "trickle", "slow_headers"]


def test_each_fault_ends_as_foretold() -> None:
    script = {"rules": [{"match": f"^{fault}$", "fault": fault, "pace": 0.0005} for fault in FAULTS]}
    foretold = {one.prompt: one.error or one.outcome for one in expected(script, FAULTS, DIALECT, max_attempts=1)}
    with MockServer(script, dialects=[DIALECT]) as server:
        assert endings(server, FAULTS) == foretold


def test_a_batch_ends_as_foretold_in_whatever_order_it_is_sent() -> None:
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
    prompts = [f"prompt {number}" for number in range(300)]
    with MockServer(script, dialects=[DIALECT]) as server:
        with model_of(server, max_attempts=5) as model:
            responses: Any = model.batch(prompts, batch_size=32)
        sent = len(server.log)

    foretold = expected(script, prompts, DIALECT)
    for response, one in zip(responses, foretold, strict=True):
        metadata = response["response_metadata"]
        error = response.get("error", {}).get("kind")
        assert (metadata["outcome"], error, metadata["attempts"]) == (one.outcome, one.error, one.attempts)
        assert one.outcome != "answered" or response["content"] == f"echo {one.prompt}"
    assert sent == sum(one.attempts for one in foretold)
