"""Messages as the service wants them, and those that it cannot be asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hivetrace_yandex import YandexGPTModel
from hivetrace_yandex.dialect import YandexDialect
from hivetrace_yandex.wire import wire_messages

from hivetrace_core import ModelError
from hivetrace_core.mockserver import MockServer

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Москва"}'}}
NATIVE = {"functionCall": {"name": "weather", "arguments": {"city": "Москва"}}}


def sent(*messages: Any) -> list[dict[str, Any]]:
    return wire_messages(list(messages))


def test_text_keeps_its_role_and_its_characters() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    assert sent(
        {"role": "system", "content": " Отвечай кратко. "},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": ""},
    ) == [
        {"role": "system", "text": " Отвечай кратко. "},
        {"role": "user", "text": "a\nb"},
        {"role": "assistant", "text": ""},
    ]


def test_calls_and_results_of_tools_are_translated() -> None:
    assert sent(
        {"role": "assistant", "content": None, "tool_calls": [CALL, NATIVE]},
        {"role": "tool", "tool_call_id": "c1", "content": "+5"},
        {"role": "tool", "name": "wind", "content": "3 m/s"},
    ) == [
        {"role": "assistant", "toolCallList": {"toolCalls": [NATIVE, NATIVE]}},
        {
            "role": "assistant",
            "toolResultList": {"toolResults": [{"functionResult": {"name": "weather", "content": "+5"}}]},
        },
        {
            "role": "assistant",
            "toolResultList": {"toolResults": [{"functionResult": {"name": "wind", "content": "3 m/s"}}]},
        },
    ]


@pytest.mark.parametrize("key", ["toolCallList", "toolResultList"])
def test_a_message_in_the_services_own_words_stays_as_it_is(key: str) -> None:
    assert sent({"role": "user", "content": "x", key: {"any": 1}}) == [{"role": "user", key: {"any": 1}}]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ({"role": "user", "content": [{"type": "image", "url": "https://x.example/a.png"}]}, "no images"),
        ({"role": "developer", "content": "x"}, "no role 'developer'"),
        ({"role": "tool", "content": "x"}, "needs the `name`"),
        ({"role": "tool", "tool_call_id": "c9", "content": "x"}, "needs the `name`"),
        (
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]},
            "not JSON",
        ),
    ],
)
def test_what_the_service_cannot_be_asked_is_refused_for_its_prompt_only(message: Any, problem: str) -> None:
    with MockServer(dialects=[YandexDialect()]) as server:
        with YandexGPTModel("ds://x", api_key="k", base_url=server.url("yandex")) as model:
            with pytest.raises(ModelError, match=problem) as caught:
                model.invoke([message])
            responses: Any = model.batch(["Hello", [message], "Hello"])
        requests = len(server.log)

    assert caught.value.kind == "bad_request"
    assert [response["response_metadata"]["outcome"] for response in responses] == ["answered", "failed", "answered"]
    assert requests == 2


def test_the_request_is_what_the_service_documents() -> None:
    seen: list[Any] = []

    class Watching(YandexDialect):
        def reply(self, request: Any, turn: Any) -> Any:
            seen.append((request.path, dict(request.headers), json.loads(request.raw)))
            return super().reply(request, turn)

    with (
        MockServer(dialects=[Watching()]) as server,
        YandexGPTModel(
            "yandexgpt", folder_id="b1g", api_key="AQVNkey", base_url=server.url("yandex"), data_logging=False
        ) as model,
    ):
        model.invoke([{"role": "system", "content": "S"}, {"role": "user", "content": "Привет"}])

    path, headers, body = seen[0]
    assert path == "/foundationModels/v1/completion"
    assert headers["authorization"] == "Api-Key AQVNkey"
    assert headers["x-data-logging-enabled"] == "false"
    assert "x-folder-id" not in headers
    assert body == {
        "modelUri": "gpt://b1g/yandexgpt/latest",
        "completionOptions": {"stream": False},
        "messages": [{"role": "system", "text": "S"}, {"role": "user", "text": "Привет"}],
    }
