"""The dialects against the models: what a script asks for, spelt by a real server, is what the model reports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hivetrace_openai import OpenAIModel, OpenRouterModel, SberCloudModel
from hivetrace_openai.dialect import ChatDialect, OpenAIDialect, OpenRouterDialect, SberCloudDialect

from hivetrace_core import ModelError, ProviderModel
from hivetrace_core.mockserver import MockServer, WireRequest, expected

DIALECTS: list[ChatDialect] = [OpenAIDialect(), OpenRouterDialect(), SberCloudDialect()]
MODELS: dict[str, Any] = {"openai": OpenAIModel, "openrouter": OpenRouterModel, "sbercloud": SberCloudModel}
KINDS = {
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
}
OUTCOMES = ["answered", "truncated", "refused", "blocked", "tool_calls", "empty", "unknown"]


def each(names: list[str]) -> list[dict[str, Any]]:
    return [{"match": f"^{name}$", "variant": name} for name in names]


def model_of(server: MockServer, provider: str, **options: Any) -> ProviderModel[Any]:
    options = {"model": "m-1", "api_key": "sk-test-12345", "max_attempts": 1, "timeout": 10, **options}
    model: ProviderModel[Any] = MODELS[provider](base_url=server.url(provider), **options)
    return model


async def ending(model: ProviderModel[Any], prompt: str, *, stream: bool = False) -> str:
    """The outcome, or the kind of the error."""
    try:
        if not stream:
            response: Any = await model.ainvoke(prompt)
            return str(response["response_metadata"]["outcome"])
        chunks = [chunk async for chunk in model.astream(prompt)]
        return str(chunks[-1]["response_metadata"]["outcome"])
    except ModelError as error:
        return error.kind
    finally:
        await model.aclose()


def endings(server: MockServer, provider: str, prompts: list[str], *, stream: bool = False) -> dict[str, str]:
    async def all_of_them() -> dict[str, str]:
        # A model each: a refused key would stop the next one.
        models = [model_of(server, provider) for _ in prompts]
        ends = [ending(model, prompt, stream=stream) for model, prompt in zip(models, prompts, strict=True)]
        return dict(zip(prompts, await asyncio.gather(*ends), strict=True))

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_variant_is_classified_as_what_it_means(dialect: ChatDialect, stream: bool) -> None:
    with MockServer({"rules": each(list(dialect.variants))}, dialects=[dialect]) as server:
        found = endings(server, dialect.name, list(dialect.variants), stream=stream)

    assert found == dict(dialect.variants)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_neutral_outcome_and_error_has_a_spelling(dialect: ChatDialect, stream: bool) -> None:
    rules: list[dict[str, Any]] = [{"match": f"^{outcome}$", "outcome": outcome} for outcome in OUTCOMES]
    rules += [{"match": f"^{kind}$", "error": kind} for kind in sorted(KINDS)]
    for stage in ("prompt", "response"):
        rules.append({"match": f"^{stage}$", "outcome": "blocked", "stage": stage, "categories": ["hate"]})
    wanted = {name: name for name in [*OUTCOMES, *sorted(KINDS)]} | {"prompt": "blocked", "response": "blocked"}
    with MockServer({"rules": rules}, dialects=[dialect]) as server:
        assert endings(server, dialect.name, list(wanted), stream=stream) == wanted


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


FAULTS = ["reset", "cut", "garbage", "html", "empty", "half", "wrong_length", "redirect", "trickle", "slow_headers"]


@pytest.fixture(scope="module")
def faulty() -> Iterator[MockServer]:
    rules: list[dict[str, Any]] = [{"match": f"^{fault}$", "fault": fault, "pace": 0.0005} for fault in FAULTS]
    with MockServer({"rules": rules}, dialects=DIALECTS) as server:
        yield server


def test_each_fault_ends_as_foretold(faulty: MockServer) -> None:
    foretold = expected(faulty.script, FAULTS, DIALECTS[0], max_attempts=1)

    assert endings(faulty, "openai", FAULTS) == {one.prompt: one.error or one.outcome for one in foretold}


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
    for dialect in DIALECTS:
        with MockServer(script, dialects=DIALECTS) as server:
            with model_of(server, dialect.name, max_attempts=5) as model:
                responses: Any = model.batch(prompts, batch_size=32)
            sent = len(server.log)

        foretold = expected(script, prompts, dialect)
        for response, one in zip(responses, foretold, strict=True):
            metadata = response["response_metadata"]
            error = response.get("error", {}).get("kind")
            assert (metadata["outcome"], error, metadata["attempts"]) == (one.outcome, one.error, one.attempts)
            assert one.outcome != "answered" or response["content"] == f"echo {one.prompt}"
        assert sent == sum(one.attempts for one in foretold)
