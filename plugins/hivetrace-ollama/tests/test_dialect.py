"""The dialect against the model: what a script asks for, spelt by a real server, is what the model reports."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hivetrace_ollama import OllamaModel
from hivetrace_ollama.dialect import OllamaDialect

from hivetrace_core import ConfigError, ModelError
from hivetrace_core.mockserver import MockServer, WireRequest

DIALECT = OllamaDialect()


def serve(*rules: dict[str, Any], **script: Any) -> MockServer:
    return MockServer({**script, "rules": list(rules)}, dialects=[DIALECT])


def model_of(server: MockServer, **options: Any) -> OllamaModel:
    given: dict[str, Any] = {"base_url": server.url("ollama"), "max_attempts": 1, "timeout": 10, **options}
    return OllamaModel("m-1", **given)


def test_variants_that_are_final_cost_one_request_and_the_others_are_tried_again() -> None:
    retried = {"rate_limit", "timeout", "connection", "server"}
    names = [name for name, means in DIALECT.variants.items() if means in retried]

    async def attempts(server: MockServer, name: str) -> int:
        async with model_of(server, max_attempts=2) as model:
            (response,) = await model.abatch([name])
        return response["response_metadata"]["attempts"]

    async def all_of_them(server: MockServer) -> list[int]:
        return await asyncio.gather(*(attempts(server, name) for name in names))

    with serve(*({"match": f"^{name}$", "variant": name} for name in names)) as server:
        found = asyncio.run(all_of_them(server))

    assert dict(zip(names, found, strict=True)) == {name: 1 if name in DIALECT.final_variants else 2 for name in names}
    assert len(DIALECT.final_variants) == 2


@pytest.mark.parametrize("outcome", ["blocked", "refused"])
def test_a_script_that_asks_for_what_ollama_cannot_say_is_refused(outcome: str) -> None:
    with pytest.raises(ConfigError, match="has no filter" if outcome == "blocked" else "marks no refusals"):
        serve({"outcome": outcome})
    assert set(DIALECT.cannot_say) == {"blocked", "refused"}


def test_the_answer_has_the_scripts_text_the_models_id_and_usage() -> None:
    with serve(text="You said: {prompt}") as server, model_of(server) as model:
        response: Any = model.invoke("Привет \ud800")
        again: Any = model.invoke("Hi")
        streamed = list(model.stream("Hi there"))

    metadata = response["response_metadata"]
    assert response["content"] == "You said: Привет \ud800"
    assert again["content"] == "You said: Hi"
    assert metadata["model_name"] == "m-1"
    assert metadata["usage"]["output_tokens"] == 5
    assert metadata["usage"]["input_tokens"] > again["response_metadata"]["usage"]["input_tokens"] > 0
    assert metadata["total_duration_s"] == 0.005
    assert "".join(chunk["content"] for chunk in streamed) == "You said: Hi there"
    assert len(streamed) > 3
    last: Any = streamed[-1]
    assert last["response_metadata"]["usage"]["output_tokens"] == 5


def test_a_long_prompt_of_short_words_is_not_taken_for_a_cut_one() -> None:
    with serve({"match": "^cut", "variant": "prompt.cut"}) as server, model_of(server) as model:
        whole: Any = model.invoke("a " * 2000)
        cut: Any = model.invoke("cut a b c")

    assert "prompt_truncated" not in whole["response_metadata"]
    assert cut["response_metadata"]["prompt_truncated"] is True


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_is_kept_apart_from_the_answer(stream: bool) -> None:
    with serve({"variant": "message.thinking"}, text="42") as server, model_of(server) as model:
        responses: Any = list(model.stream("Hello")) if stream else [model.invoke("Hello")]

    assert "".join(response["content"] for response in responses) == "42"
    assert responses[-1]["response_metadata"]["reasoning"] == "Let me think."


def test_an_error_in_the_middle_of_a_stream_comes_after_the_text_so_far() -> None:
    received = []
    with (
        serve({"error": "server", "after": 2}, text="one two three four") as server,
        model_of(server) as model,
        pytest.raises(ModelError) as caught,
    ):
        received.extend(chunk["content"] for chunk in model.stream("Hello"))

    assert caught.value.kind == "server"
    assert received == ["one ", "two "]
    assert caught.value.response is not None
    assert caught.value.response["content"] == "one two "


def test_the_scripts_key_and_rate_limit_are_enforced() -> None:
    with serve(key="key-12345", rate_limit={"rpm": 1}) as server:
        with model_of(server) as stranger, pytest.raises(ModelError) as refused:
            stranger.invoke("Hello")
        with model_of(server, api_key="key-12345") as known:
            known.invoke("Hello")
            with pytest.raises(ModelError) as limited:
                known.invoke("Hello")

    assert refused.value.kind == "authentication"
    assert "no key was sent: OLLAMA_API_KEY" in refused.value.message
    assert limited.value.kind == "rate_limit"
    assert (limited.value.retry_after or 0) > 1


def test_a_refused_key_that_was_sent_is_not_called_missing() -> None:
    with (
        serve(key="key-12345") as server,
        model_of(server, api_key="key-00000") as model,
        pytest.raises(ModelError) as caught,
    ):
        model.invoke("Hello")

    assert caught.value.kind == "authentication"
    assert "no key was sent" not in caught.value.message
    assert "key-00000" not in caught.value.message


def test_a_base_url_with_a_path_too_many_is_explained() -> None:
    with (
        serve() as server,
        model_of(server, base_url=f"{server.url('ollama')}/v1") as model,
        pytest.raises(ModelError) as caught,
    ):
        model.invoke("Hello")

    assert caught.value.kind == "not_found"


def side(method: str, path: str) -> Any:
    reply = DIALECT.side(WireRequest(method, path, "", {}, None, b""))
    return None if reply is None else json.loads(reply.body)


def test_clients_can_ask_what_is_there() -> None:
    assert side("GET", "/api/tags")["models"][0]["model"] == "mock:latest"
    assert side("GET", "/api/ps")["models"][0]["size"] > 0
    assert side("GET", "/api/version") == {"version": "0.33.0"}
    assert "completion" in side("POST", "/api/show")["capabilities"]
    assert side("GET", "/api/show") is None
    assert side("POST", "/api/pull") is None


def test_a_chat_is_a_post_and_streams_unless_it_says_no() -> None:
    def asked(method: str = "POST", path: str = "/api/chat", body: Any = None) -> WireRequest:
        return WireRequest(method, path, "", {}, body, b"")

    assert DIALECT.matches(asked())
    assert not DIALECT.matches(asked("GET"))
    assert not DIALECT.matches(asked(path="/api/generate"))
    assert [DIALECT.wants_stream(asked(body=body)) for body in ({}, {"stream": True}, {"stream": False}, None)] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("body", [None, [], {}, {"messages": 3}, {"messages": [3, {"role": "user"}]}, {"messages": []}])
def test_a_prompt_is_found_in_any_body(body: Any) -> None:
    assert DIALECT.prompt_of(WireRequest("POST", "/api/chat", "", {}, body, b"")) == ""


def test_the_prompt_is_the_text_of_the_last_user_message() -> None:
    messages = [
        {"role": "user", "content": "first"},
        {"role": "user", "content": "last"},
        {"role": "assistant", "content": "c"},
    ]

    assert DIALECT.prompt_of(WireRequest("POST", "/", "", {}, {"messages": messages}, b"")) == "last"
