"""The dialect against the model: what a script asks for, spelt by a real server, is what the model reports."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hivetrace_yandex import YandexGPTModel
from hivetrace_yandex.dialect import YandexDialect
from hivetrace_yandex.dialect_operations import begun, reading

from hivetrace_core import ConfigError, ModelError
from hivetrace_core.mockserver import MockServer, WireRequest, expected

DIALECT = YandexDialect()
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
OUTCOMES = ["answered", "truncated", "blocked", "tool_calls", "empty", "unknown"]
MODES = pytest.mark.parametrize("mode", ["sync", "async"])


def model_at(server: MockServer, **options: Any) -> YandexGPTModel:
    fast: dict[str, Any] = {"poll_interval": 0.02, "max_poll_interval": 0.05, "operation_reads_per_second": 1000}
    given = {"base_url": server.url("yandex"), "api_key": "AQVN-test-key", "folder_id": "b1g", "timeout": 10, **fast}
    return YandexGPTModel("yandexgpt-lite", **{**given, "max_attempts": 1, **options})


async def ending(model: YandexGPTModel, prompt: str, *, stream: bool = False) -> str:
    """The outcome, or the kind of the error."""
    try:
        if not stream:
            response: Any = await model.ainvoke(prompt)
            return str(response["response_metadata"]["outcome"])
        chunks: Any = [chunk async for chunk in model.astream(prompt)]
        return str(chunks[-1]["response_metadata"]["outcome"])
    except ModelError as error:
        return error.kind
    finally:
        await model.aclose()


def endings(server: MockServer, prompts: list[str], *, stream: bool = False, **options: Any) -> dict[str, str]:
    async def all_of_them() -> dict[str, str]:
        # A model each: a refused key would stop the next one. What never ends needs an end of its own.
        models = [model_at(server, timeout=2 if name == "operation.never" else 10, **options) for name in prompts]
        ends = [ending(model, prompt, stream=stream) for model, prompt in zip(models, prompts, strict=True)]
        return dict(zip(prompts, await asyncio.gather(*ends), strict=True))

    return asyncio.run(all_of_them())


@MODES
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_every_variant_is_classified_as_what_it_means(mode: str, stream: bool) -> None:
    rules = [{"match": f"^{name}$", "variant": name} for name in DIALECT.variants]
    with MockServer({"rules": rules}, dialects=[DIALECT]) as server:
        assert endings(server, list(DIALECT.variants), stream=stream, mode=mode) == dict(DIALECT.variants)


@MODES
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_every_neutral_outcome_and_error_has_a_spelling(mode: str, stream: bool) -> None:
    rules: list[dict[str, Any]] = [{"match": f"^{outcome}$", "outcome": outcome} for outcome in OUTCOMES]
    rules += [{"match": f"^{kind}$", "error": kind} for kind in sorted(KINDS)]
    rules += [{"match": f"^{stage}$", "outcome": "blocked", "stage": stage} for stage in ("prompt", "response")]
    wanted = {name: name for name in [*OUTCOMES, *sorted(KINDS)]} | {"prompt": "blocked", "response": "blocked"}
    with MockServer({"rules": rules}, dialects=[DIALECT]) as server:
        assert endings(server, list(wanted), stream=stream, mode=mode) == wanted


def test_a_script_cannot_ask_for_a_refusal_for_which_the_service_has_no_sign() -> None:
    with pytest.raises(ConfigError, match="marks no refusals"):
        MockServer({"rules": [{"outcome": "refused"}]}, dialects=[DIALECT])


@MODES
def test_the_answer_has_the_scripts_text_the_models_id_and_usage(mode: str) -> None:
    with MockServer({"text": "You said: {prompt}"}, dialects=[DIALECT]) as server, model_at(server, mode=mode) as model:
        response: Any = model.invoke("Привет \ud800")
        (record,) = [record for record in server.log if record.method == "POST"]

    metadata = response["response_metadata"]
    assert response["content"] == "You said: Привет \ud800"
    assert (metadata["model_name"], metadata["model_version"]) == ("yandexgpt-lite", "mock")
    assert record.model == "yandexgpt-lite"
    usage = metadata["usage"]
    assert usage["input_tokens"] > 0
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_a_stream_says_the_text_in_several_pieces() -> None:
    with MockServer({"text": "one two three four"}, dialects=[DIALECT]) as server, model_at(server) as model:
        chunks: Any = list(model.stream("Hello"))

    assert [chunk["content"] for chunk in chunks] == ["one ", "two ", "three ", "four", ""]
    assert chunks[-1]["response_metadata"]["usage"]["output_tokens"] == 5


def test_a_block_of_the_response_replaces_what_a_stream_has_said() -> None:
    rule = {"outcome": "blocked", "stage": "response"}
    with MockServer({"rules": [rule]}, dialects=[DIALECT]) as server, model_at(server) as model:
        chunks: Any = list(model.stream("Hello"))

    metadata = chunks[-1]["response_metadata"]
    assert (metadata["outcome"], metadata["block"]["stage"]) == ("blocked", "response")
    assert "".join(chunk["content"] for chunk in chunks) not in ("", metadata["replacement_text"])


def test_an_error_in_the_middle_of_a_stream_comes_after_the_text_so_far() -> None:
    script = {"text": "one two three four", "rules": [{"error": "rate_limit", "after": 2}]}
    received = []
    with MockServer(script, dialects=[DIALECT]) as server, model_at(server) as model:
        chunks = model.stream("Hello")
        with pytest.raises(ModelError) as caught:
            received.extend(chunk["content"] for chunk in chunks)

    assert caught.value.kind == "rate_limit"
    assert received == ["one ", "two "]


@MODES
@pytest.mark.parametrize("credential", [{"api_key": "the-right-key"}, {"api_key": None, "iam_token": "the-right-key"}])
def test_the_servers_key_is_asked_for_in_either_form(mode: str, credential: Any) -> None:
    with MockServer({"key": "the-right-key"}, dialects=[DIALECT]) as server:
        with model_at(server, mode=mode, **credential) as model:
            answered: Any = model.invoke("Hello")
        with model_at(server, mode=mode) as model, pytest.raises(ModelError) as caught:
            model.invoke("Hello")

    assert answered["response_metadata"]["outcome"] == "answered"
    assert caught.value.kind == "authentication"
    assert "AQVN" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "model"),
    [
        ("gpt://b1g/yandexgpt-lite/latest", "yandexgpt-lite"),
        ("gpt://b1g/yandexgpt-lite", "yandexgpt-lite"),
        ("gpt://b1g/yandexgpt/rc", "yandexgpt/rc"),
        ("ds://bt1", "ds://bt1"),
        (None, ""),
        (3, ""),
    ],
)
def test_the_model_is_named_as_in_scripts(uri: Any, model: str) -> None:
    assert DIALECT.model_of(WireRequest("POST", "/", "", {}, {"modelUri": uri}, b"")) == model


@pytest.mark.parametrize("body", [None, [], {}, {"messages": 3}, {"messages": [3, {"role": "user"}]}, {"messages": []}])
def test_a_prompt_is_found_in_any_body(body: Any) -> None:
    assert DIALECT.prompt_of(WireRequest("POST", "/", "", {}, body, b"")) == ""


@pytest.mark.parametrize("operation", ["unknown", "mock", "mock!!!", "mockeJw", "mock" + "A" * 40])
def test_an_id_that_is_none_of_ours_is_not_found(operation: str) -> None:
    assert reading(operation).status == 404


def test_a_long_answer_fits_into_an_operations_id() -> None:
    said = "слово " * 3000
    operation = json.loads(begun("done", {"response": {"text": said}}).body)

    assert operation["done"] is False
    assert len(operation["id"]) < 8000
    assert json.loads(reading(operation["id"]).body)["response"] == {"text": said}


def test_other_endpoints_are_not_served() -> None:
    for method, path in (("GET", "/foundationModels/v1/completion"), ("POST", "/operations/x"), ("GET", "/models")):
        request = WireRequest(method, path, "", {}, None, b"")
        assert DIALECT.side(request) is None
        assert not DIALECT.matches(request)


FAULTS = ["reset", "cut", "garbage", "html", "empty", "half", "wrong_length", "redirect", "trickle", "slow_headers"]


@MODES
def test_each_fault_of_a_submission_ends_as_foretold(mode: str) -> None:
    script: Any = {"rules": [{"match": f"^{fault}$", "fault": fault, "pace": 0.0005} for fault in FAULTS]}
    with MockServer(script, dialects=[DIALECT]) as server:
        foretold = expected(script, FAULTS, DIALECT, max_attempts=1)
        assert endings(server, FAULTS, mode=mode) == {one.prompt: one.error or one.outcome for one in foretold}


@MODES
def test_a_batch_ends_as_foretold_in_whatever_order_it_is_sent(mode: str) -> None:
    script = {
        "seed": 3,
        "text": "echo {prompt}",
        "rules": [
            {"share": 0.2, "times": 1, "fault": "reset"},
            {"share": 0.2, "times": 2, "error": "rate_limit", "retry_after": 0.01},
            {"share": 0.1, "outcome": "blocked", "stage": "response"},
            {"share": 0.1, "variant": "canned.final"},
            {"share": 0.1, "error": "context_length"},
            {"share": 0.1, "variant": "status.unseen"},
        ],
    }
    prompts = [f"prompt {number}" for number in range(200)]
    with MockServer(script, dialects=[DIALECT]) as server:
        with model_at(server, mode=mode, max_attempts=5) as model:
            responses: Any = model.batch(prompts, batch_size=32)
            reads = model.operation_reads
        posts = [record for record in server.log if record.method == "POST"]
        gets = [record for record in server.log if record.method == "GET"]

    foretold = expected(script, prompts, DIALECT)
    for response, one in zip(responses, foretold, strict=True):
        metadata = response["response_metadata"]
        error = response.get("error", {}).get("kind")
        assert (metadata["outcome"], error, metadata["attempts"]) == (one.outcome, one.error, one.attempts)
        assert one.outcome != "answered" or response["content"] == f"echo {one.prompt}"
    assert len(posts) == sum(one.attempts for one in foretold)
    assert len(gets) == reads
