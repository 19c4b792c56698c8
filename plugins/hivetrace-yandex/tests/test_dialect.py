"""The dialect against the model: what a script asks for, spelt by a real server, is what the model reports."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hivetrace_yandex import YandexGPTModel
from hivetrace_yandex.dialect import YandexDialect
from hivetrace_yandex.dialect_operations import begun, reading

from hivetrace_core import ConfigError, ModelError
from hivetrace_core.mockserver import MockServer, WireRequest

DIALECT = YandexDialect()
MODES = pytest.mark.parametrize("mode", ["sync", "async"])


def model_at(server: MockServer, **options: Any) -> YandexGPTModel:
    fast: dict[str, Any] = {"poll_interval": 0.02, "max_poll_interval": 0.05, "operation_reads_per_second": 1000}
    given = {"base_url": server.url("yandex"), "api_key": "AQVN-test-key", "folder_id": "b1g", "timeout": 10, **fast}
    return YandexGPTModel("yandexgpt-lite", **{**given, "max_attempts": 1, **options})


def test_a_script_cannot_ask_for_a_refusal_for_which_the_service_has_no_sign() -> None:
    with pytest.raises(ConfigError, match="marks no refusals"):
        MockServer({"rules": [{"outcome": "refused"}]}, dialects=[DIALECT])
    assert set(DIALECT.cannot_say) == {"refused"}


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


def test_readings_of_operations_are_counted_and_are_all_that_is_sent_beside_the_submissions() -> None:
    rules = [{"share": 0.2, "times": 1, "fault": "reset"}, {"share": 0.2, "variant": "operation.slow"}]
    with MockServer({"seed": 3, "rules": rules}, dialects=[DIALECT]) as server:
        with model_at(server, mode="async", max_attempts=5) as model:
            model.batch([f"prompt {number}" for number in range(50)], batch_size=32)
            reads = model.operation_reads
        methods = Counter(record.method for record in server.log)

    assert methods["GET"] == reads >= 50
    assert methods.keys() == {"GET", "POST"}
