"""How prompts are spelt on the wire, and which are refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from hivetrace_gigachat.messages import wire_messages

from hivetrace_core import ModelError, normalize

CALL = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Москва"}'}}


def spelt(*messages: Any) -> list[dict[str, Any]]:
    return wire_messages(normalize(list(messages)))


def says(role: str, content: Any = "x", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def test_the_system_message_is_moved_to_the_front_and_the_others_keep_their_order() -> None:
    messages = [says("user", "1"), says("assistant", "2"), says("system", "S"), says("user", "3")]

    assert spelt(*messages) == [messages[2], messages[0], messages[1], messages[3]]
    assert spelt(says("system", "S"), says("user", "1")) == [says("system", "S"), says("user", "1")]


def test_text_parts_become_one_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    assert spelt(says("human", parts)) == [says("user", "a\nb")]


def test_what_the_service_adds_to_messages_goes_along() -> None:
    message = says("user", "Что тут?", attachments=["file-1"])
    call = says("assistant", "", function_call={"name": "f", "arguments": {}}, functions_state_id="s")

    assert spelt(message, call) == [message, call]


def test_a_tool_call_and_its_result_become_a_function_call_and_its_result() -> None:
    wire = spelt(
        says("assistant", None, tool_calls=[CALL]), says("tool", '{"t": 5}', name="weather", tool_call_id="call-1")
    )

    assert wire == [
        says("assistant", "", function_call={"name": "weather", "arguments": {"city": "Москва"}}),
        says("function", '{"t": 5}', name="weather"),
    ]


@pytest.mark.parametrize("arguments", [{"city": "Москва"}, '{"city": "Москва"}'])
def test_arguments_may_be_an_object_or_json(arguments: Any) -> None:
    (wire,) = spelt(says("assistant", None, tool_calls=[{"function": {"name": "f", "arguments": arguments}}]))

    assert wire["function_call"]["arguments"] == {"city": "Москва"}


@pytest.mark.parametrize("arguments", ["", "{}"])
def test_a_call_without_arguments_has_an_empty_object(arguments: str) -> None:
    (wire,) = spelt(says("assistant", None, tool_calls=[{"name": "f", "arguments": arguments}]))

    assert wire["function_call"] == {"name": "f", "arguments": {}}


@pytest.mark.parametrize(
    ("messages", "word"),
    [
        ([says("system"), says("user"), says("system")], "2 system messages"),
        ([says("developer")], "developer"),
        ([says("user", [{"type": "image", "url": "https://x.example/a.png"}])], "attachments"),
        ([says("user", [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}])], "upload"),
        ([says("tool", "5")], "name"),
        ([says("assistant", None, tool_calls=[CALL, CALL])], "several tool calls"),
        ([says("assistant", None, tool_calls=[{"function": {"name": "f", "arguments": "[1]"}}])], "tool call"),
        ([says("assistant", None, tool_calls=[{"function": {"name": "f", "arguments": "{"}}])], "tool call"),
        ([says("assistant", None, tool_calls=["f"])], "tool call"),
    ],
)
def test_what_the_service_cannot_take_is_refused_unsent(messages: list[Any], word: str) -> None:
    with pytest.raises(ModelError, match=word) as caught:
        spelt(*messages)

    assert (caught.value.kind, caught.value.attempts) == ("bad_request", 0)
    assert caught.value.message.startswith("The prompt was not sent")
