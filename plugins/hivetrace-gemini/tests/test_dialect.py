"""The dialect against the model: what a script asks for, spelt by a real server, is what the model reports."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hivetrace_gemini import GeminiNativeModel
from hivetrace_gemini.dialect import GeminiDialect

from hivetrace_core import ModelError
from hivetrace_core.mockserver import MockServer, WireRequest

DIALECT = GeminiDialect()
KEY = "AIza-test-key-12345"


def model_of(server: MockServer, **options: Any) -> GeminiNativeModel:
    options = {"model": "gemini-2.5-flash", "api_key": KEY, "max_attempts": 1, "timeout": 10, **options}
    return GeminiNativeModel(base_url=server.url("gemini"), **options)


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


def test_a_script_can_ask_for_everything_but_refusals() -> None:
    assert set(DIALECT.cannot_say) == {"refused"}


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
