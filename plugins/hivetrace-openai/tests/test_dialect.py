"""The dialects against the models: what a script asks for, spelt by a real server, is what the model reports."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hivetrace_openai import OpenAIModel, OpenRouterModel, SberCloudModel
from hivetrace_openai.dialect import ChatDialect, OpenAIDialect, OpenRouterDialect, SberCloudDialect

from hivetrace_core import ModelError, ProviderModel
from hivetrace_core.mockserver import MockServer, WireRequest

DIALECTS: list[ChatDialect] = [OpenAIDialect(), OpenRouterDialect(), SberCloudDialect()]
MODELS: dict[str, Any] = {"openai": OpenAIModel, "openrouter": OpenRouterModel, "sbercloud": SberCloudModel}


def model_of(server: MockServer, provider: str, **options: Any) -> ProviderModel[Any]:
    options = {"model": "m-1", "api_key": "sk-test-12345", "max_attempts": 1, "timeout": 10, **options}
    model: ProviderModel[Any] = MODELS[provider](base_url=server.url(provider), **options)
    return model


@pytest.mark.parametrize(
    ("provider", "stage", "rule", "categories"),
    [
        ("openai", "prompt", "azure.prompt_filter", ["hate"]),
        ("openai", "response", "azure.completion_filter", ["hate"]),
        ("openrouter", "prompt", "openrouter.moderation", ["hate"]),
        ("sbercloud", "response", "openai.finish_reason", []),
    ],
)
def test_a_block_carries_its_stage_and_categories(provider: str, stage: str, rule: str, categories: list[str]) -> None:
    script = {"rules": [{"outcome": "blocked", "stage": stage, "categories": ["hate"]}]}
    with MockServer(script, dialects=DIALECTS) as server, model_of(server, provider) as model:
        block: Any = model.invoke("Hello")["response_metadata"]["block"]

    assert (block["stage"], block["rule"]) == (stage, rule)
    assert [category["name"] for category in block["categories"]] == categories


def test_the_answer_has_the_scripts_text_the_models_id_and_usage() -> None:
    with MockServer({"text": "You said: {prompt}"}, dialects=DIALECTS) as server:
        for dialect in DIALECTS:
            with model_of(server, dialect.name) as model:
                response: Any = model.invoke("Привет \ud800")
                streamed = list(model.stream("Hi there"))

            metadata = response["response_metadata"]
            assert response["content"] == "You said: Привет \ud800"
            assert metadata["model_name"] == "m-1"
            usage = metadata["usage"]
            assert usage["input_tokens"] > 0
            assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
            assert "".join(chunk["content"] for chunk in streamed) == "You said: Hi there"
            assert len(streamed) > 3
            last: Any = streamed[-1]
            assert last["response_metadata"]["usage"]["output_tokens"] == 5


@pytest.mark.parametrize("provider", ["openai", "openrouter"])
def test_an_error_in_the_middle_of_a_stream_comes_after_the_text_so_far(provider: str) -> None:
    script = {"text": "one two three four", "rules": [{"error": "server", "after": 2}]}
    with MockServer(script, dialects=DIALECTS) as server, model_of(server, provider) as model:
        received = []
        chunks = model.stream("Hello")
        with pytest.raises(ModelError) as caught:
            received.extend(chunk["content"] for chunk in chunks)

    assert caught.value.kind == "server"
    assert received == ["one ", "two "]
    assert caught.value.response is not None
    assert caught.value.response["content"] == "one two "


def test_azure_is_spoken_under_its_own_paths() -> None:
    script = {
        "key": "azure-key-1",
        "rules": [{"match": "bad", "outcome": "blocked"}, {"match": "busy", "error": "rate_limit"}],
    }
    azure = {"model": "gpt-x", "api_version": "2025-01-01-preview", "max_attempts": 1}
    with MockServer(script, dialects=DIALECTS) as server:
        root = server.root("openai")
        with OpenAIModel(azure_endpoint=root, api_key="azure-key-1", **azure) as model:
            answered: Any = model.invoke("good")
            blocked: Any = model.invoke("bad")
            with pytest.raises(ModelError) as busy:
                model.invoke("busy")
        stranger = OpenAIModel(azure_endpoint=root, api_key="azure-key-2", **azure)
        with stranger, pytest.raises(ModelError) as refused:
            stranger.invoke("good")
        paths = {record.path for record in server.log}

    assert answered["response_metadata"]["outcome"] == "answered"
    assert blocked["response_metadata"]["block"]["rule"] == "azure.prompt_filter"
    assert (busy.value.kind, busy.value.retry_after) == ("rate_limit", 0.005)
    assert refused.value.kind == "authentication"
    assert paths == {"/openai/openai/deployments/gpt-x/chat/completions?api-version=2025-01-01-preview"}


def test_a_wrong_base_url_gets_the_vendors_404() -> None:
    with MockServer(dialects=DIALECTS) as server:
        model = OpenAIModel(model="m", base_url=server.root("openai"), api_key="k", max_attempts=1)
        with model, pytest.raises(ModelError) as caught:
            model.invoke("Hello")

    assert (caught.value.kind, caught.value.code) == ("not_found", "model_not_found")


def test_each_service_can_say_everything_that_a_script_may_ask_for() -> None:
    assert [dialect.cannot_say for dialect in DIALECTS] == [{}] * 3


def test_models_are_listed() -> None:
    request = WireRequest("GET", "/v1/models", "", {}, None, b"")

    listed = OpenAIDialect().side(request)

    assert listed is not None
    assert json.loads(listed.body)["data"][0]["object"] == "model"


@pytest.mark.parametrize("body", [None, [], {}, {"messages": 3}, {"messages": [3, {"role": "user"}]}, {"messages": []}])
def test_a_prompt_is_found_in_any_body(body: Any) -> None:
    assert OpenAIDialect().prompt_of(WireRequest("POST", "/v1/chat/completions", "", {}, body, b"")) == ""


def test_the_prompt_is_the_text_of_the_last_user_message() -> None:
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "b"},
    ]
    messages = [
        {"role": "user", "content": "first"},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": "c"},
    ]

    assert OpenAIDialect().prompt_of(WireRequest("POST", "/", "", {}, {"messages": messages}, b"")) == "ab"
