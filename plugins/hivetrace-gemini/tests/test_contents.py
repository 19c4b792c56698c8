"""From neutral messages to what the API takes, and which prompts it cannot take."""

from __future__ import annotations

from typing import Any

import pytest
from hivetrace_gemini import GeminiNativeModel
from hivetrace_gemini.contents import contents_of
from hivetrace_gemini.dialect import GeminiDialect

from hivetrace_core import ModelError, normalize
from hivetrace_core.mockserver import MockServer


def body_of(*messages: dict[str, Any]) -> dict[str, Any]:
    return contents_of(normalize(list(messages)))


def refusal_of(*messages: dict[str, Any]) -> ModelError:
    with pytest.raises(ModelError) as caught:
        body_of(*messages)
    assert (caught.value.kind, caught.value.attempts, caught.value.retryable) == ("bad_request", 0, False)
    return caught.value


def test_a_text_is_one_turn_of_the_users_and_nothing_else() -> None:
    assert contents_of(normalize("Привет")) == {"contents": [{"role": "user", "parts": [{"text": "Привет"}]}]}


def test_roles_are_those_of_the_api() -> None:
    body = body_of(
        {"role": "system", "content": "Be terse."},
        {"role": "human", "content": "Hi"},
        {"role": "ai", "content": "Hello"},
        {"role": "user", "content": "Bye"},
        {"role": "user", "content": "now"},
    )

    assert body == {
        "systemInstruction": {"parts": [{"text": "Be terse."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hello"}]},
            {"role": "user", "parts": [{"text": "Bye"}]},
            {"role": "user", "parts": [{"text": "now"}]},
        ],
    }


def test_all_system_text_goes_into_the_system_instruction_in_its_order() -> None:
    body = body_of(
        {"role": "system", "content": "One."},
        {"role": "user", "content": "Hi"},
        {"role": "developer", "content": [{"type": "text", "text": "Two."}, {"type": "text", "text": "Three."}]},
    )

    assert body["systemInstruction"] == {"parts": [{"text": "One."}, {"text": "Two."}, {"text": "Three."}]}
    assert len(body["contents"]) == 1


def test_images_are_inline_data_or_files() -> None:
    body = body_of(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image", "data": "aGk=", "mime_type": "image/png"},
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,aGk="}},
                {"type": "image", "url": "https://generativelanguage.googleapis.com/v1beta/files/abc"},
                {"type": "image", "url": "gs://bucket/a.png", "mime_type": "image/png"},
            ],
        }
    )

    assert body["contents"][0]["parts"] == [
        {"text": "What is this?"},
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        {"inlineData": {"mimeType": "image/jpeg", "data": "aGk="}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
        {"fileData": {"mimeType": "image/png", "fileUri": "gs://bucket/a.png"}},
    ]


@pytest.mark.parametrize("url", ["http://x.example/a.png", "file:///etc/passwd", "ftp://x.example/a", "a.png"])
def test_an_address_that_the_api_does_not_fetch_is_refused_with_the_way_out(url: str) -> None:
    error = refusal_of({"role": "user", "content": [{"type": "image", "url": url}]})

    assert "message 1" in error.message
    assert "base64" in error.message


def test_an_image_in_a_system_message_is_refused() -> None:
    image = {"type": "image", "data": "aGk=", "mime_type": "image/png"}

    assert "system message" in refusal_of({"role": "system", "content": [image]}).message


def test_system_text_alone_is_refused() -> None:
    assert "system messages only" in refusal_of({"role": "system", "content": "Be terse."}).message


CALLS = [
    {
        "id": "c-1",
        "type": "function",
        "function": {"name": "look_up", "arguments": '{"word": "x"}'},
        "thought_signature": "c2ln",
    },
    {"id": None, "type": "function", "function": {"name": "stop", "arguments": ""}},
]


def test_tool_calls_and_their_answers_go_back_as_the_api_wants_them() -> None:
    body = body_of(
        {"role": "user", "content": "Look up x"},
        {"role": "assistant", "content": None, "tool_calls": CALLS},
        {"role": "tool", "tool_call_id": "c-1", "content": '{"meaning": 1}'},
        {"role": "tool", "name": "stop", "content": "[1, 2]"},
        {"role": "user", "content": "And?"},
        {"role": "tool", "tool_call_id": "c-1", "content": [{"type": "text", "text": "no JSON"}]},
    )

    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {
                    "functionCall": {"name": "look_up", "args": {"word": "x"}, "id": "c-1"},
                    "thoughtSignature": "c2ln",
                },
                {"functionCall": {"name": "stop", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "look_up", "response": {"meaning": 1}, "id": "c-1"}},
                {"functionResponse": {"name": "stop", "response": {"result": "[1, 2]"}}},
            ],
        },
        {"role": "user", "parts": [{"text": "And?"}]},
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "look_up", "response": {"result": "no JSON"}, "id": "c-1"}}],
        },
    ]


@pytest.mark.parametrize("arguments", [None, {"word": "x"}])
def test_arguments_may_be_an_object_already(arguments: Any) -> None:
    call = {"function": {"name": "f", "arguments": arguments}}

    parts = body_of({"role": "assistant", "content": "Well", "tool_calls": [call]})["contents"][0]["parts"]

    assert parts == [{"text": "Well"}, {"functionCall": {"name": "f", "args": arguments or {}}}]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ({"function": {}}, "without `function.name`"),
        ("look_up", "without `function.name`"),
        ({"function": {"name": "f", "arguments": "{"}}, "is not JSON"),
        ({"function": {"name": "f", "arguments": "[1]"}}, "no JSON object"),
    ],
)
def test_a_malformed_tool_call_is_refused(call: Any, told: str) -> None:
    assert told in refusal_of({"role": "assistant", "content": None, "tool_calls": [call]}).message


@pytest.mark.parametrize("message", [{}, {"tool_call_id": "c-9"}])
def test_an_answer_of_a_tool_that_nobody_called_is_refused(message: dict[str, Any]) -> None:
    assert "tool_call_id" in refusal_of({"role": "tool", "content": "42", **message}).message


def test_an_image_in_a_tools_answer_is_refused() -> None:
    image = {"type": "image", "data": "aGk=", "mime_type": "image/png"}

    assert "tool's answer" in refusal_of({"role": "tool", "name": "f", "content": [image]}).message


def test_a_refused_prompt_is_not_sent_and_fails_alone() -> None:
    with MockServer(dialects=[GeminiDialect()]) as server:
        model = GeminiNativeModel(model="m", base_url=server.url("gemini"), api_key="k-12345678")
        with model:
            refused, answered = model.batch([[{"role": "system", "content": "x"}], "Hello"])
        requests = len(server.log)

    assert refused["error"]["kind"] == "bad_request"
    assert answered["response_metadata"]["outcome"] == "answered"
    assert requests == 1


def test_calls_of_an_answer_can_be_sent_back_as_they_came() -> None:
    script = {"rules": [{"match": "look", "variant": "content.function_call"}]}
    with MockServer(script, dialects=[GeminiDialect()]) as server:
        model = GeminiNativeModel(model="m", base_url=server.url("gemini"), api_key="k-12345678")
        with model:
            first = model.invoke("look it up")
            calls = first["response_metadata"]["tool_calls"]
            history = [
                {"role": "user", "content": "look it up"},
                {"role": "assistant", "content": first["content"] or None, "tool_calls": calls},
                {"role": "tool", "tool_call_id": calls[0]["id"], "content": "found"},
            ]
            second = model.invoke(history)

    assert second["response_metadata"]["outcome"] == "answered"
    assert contents_of(normalize(history))["contents"][1]["parts"] == [
        {"functionCall": {"id": "call-1", "name": "look_up", "args": {"word": "x"}}, "thoughtSignature": "c2ln"}
    ]
