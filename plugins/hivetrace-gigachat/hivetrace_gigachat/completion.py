"""The two shapes of an answer, v1 (`choices`) and v2 (`messages`), read into one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .payloads import first_choice, mapping, sequence, text


class Completion(NamedTuple):
    """What an answer says.

    Attributes:
        content: The model's text.
        finish: The finish reason as it came; None where there is none.
        finish_path: Where in the payload it stands.
        reasoning: What the model thought aloud.
        function_call: The call that it asks for, name and arguments.
        function_state: Id by which the service knows the state of its functions.
        refusal: Text of a refusal, which the service itself has no field for; gateways to other formats do.
        censored: Whether the service reports that a built-in tool was held back.
    """

    content: str
    finish: Any
    finish_path: str
    reasoning: str = ""
    function_call: Mapping[str, Any] | None = None
    function_state: Any = None
    refusal: str = ""
    censored: bool = False


def read_completion(payload: Mapping[str, Any]) -> Completion | None:
    """The answer in a payload; None where it holds none."""
    choice = first_choice(payload)
    if choice is not None:
        return _choice(choice)
    messages = [message for message in sequence(payload.get("messages")) if isinstance(message, Mapping)]
    return _messages(payload, messages) if messages else None


def _choice(choice: Mapping[str, Any]) -> Completion:
    message = mapping(choice.get("message"))
    return Completion(
        content=text(message.get("content")),
        finish=choice.get("finish_reason"),
        finish_path="choices[0].finish_reason",
        reasoning=text(message.get("reasoning_content")),
        function_call=mapping(message.get("function_call")) or None,
        function_state=message.get("functions_state_id"),
        refusal=text(message.get("refusal")),
    )


def _messages(payload: Mapping[str, Any], messages: list[Mapping[str, Any]]) -> Completion:
    said = [message for message in messages if message.get("role") in ("assistant", None)]
    parts = [mapping(part) for message in said for part in sequence(message.get("content"))]
    finish, path = payload.get("finish_reason"), "finish_reason"
    for number, message in enumerate(messages):
        # The filter's word counts wherever it stands; the whole answer's own word comes before a message's.
        own = message.get("finish_reason")
        if own is not None and finish in (None, "stop"):
            finish, path = own, f"messages[{number}].finish_reason"
    calls = [mapping(part.get("function_call")) for part in parts if part.get("function_call")]
    return Completion(
        content="".join(text(message.get("content")) for message in said),
        finish=finish,
        finish_path=path,
        reasoning="".join(text(message.get("content")) for message in messages if message.get("role") == "reasoning"),
        function_call=next(filter(None, calls), None),
        function_state=next((found for message in said if (found := message.get("functions_state_id"))), None),
        censored=any(mapping(part.get("tool_execution")).get("censored") is True for part in parts),
    )
