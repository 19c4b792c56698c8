"""Prompts: what may be asked, and that it arrives as it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ..errors import ConfigError, ModelError
from .bench import Bench, outcome_of
from .standard import needs
from .strategies import quick

PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

MALFORMED: Final[tuple[Any, ...]] = (
    None,
    3,
    b"bytes",
    [],
    {"role": "user", "content": "a message on its own"},
    ["no message"],
    [{"role": "robot", "content": "Hello"}],
    [{"role": "user"}],
    [{"role": "user", "content": [{"type": "sound"}]}],
)

_FORCED: Final = """
temperature topp topk minp topa seed stop stopsequences responseformat responseschema responsejsonschema format
maxtokens maxoutputtokens maxcompletiontokens numpredict presencepenalty frequencypenalty repetitionpenalty
repeatpenalty reasoningeffort thinkingbudget
"""

FORCED: Final = frozenset(_FORCED.split())
"""Names under which requests carry what changes the answer, without case and underscores."""


class PromptTests(Bench):
    """Any model."""

    def test_a_text_and_a_list_of_messages_are_both_answered(self) -> None:
        """A prompt is a string or a list of messages; the response is a dict with content and metadata."""
        with self.stage() as stage:
            model = stage.model()
            one = model.invoke("Hello")
            other = model.invoke([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}])

        for response in (one, other):
            assert outcome_of(response) == "answered"
            assert isinstance(response["content"], str)
            assert response["content"]
            assert response["response_metadata"]["attempts"] == 1
            assert json.loads(json.dumps(response)) == response, "a response is plain JSON"

    def test_human_and_ai_are_other_names_for_user_and_assistant(self) -> None:
        """Messages from other tools come with these roles."""
        with self.stage() as stage:
            model = stage.model()
            for words in (("human", "ai"), ("user", "assistant")):
                talk = [(words[0], "Hello"), (words[1], "Good day"), (words[0], "How are you?")]
                response = model.invoke([{"role": role, "content": text} for role, text in talk])

                assert outcome_of(response) == "answered"
            if "wire" not in self.missing():
                as_aliases, as_roles = (request.body for request in stage.dialect.requests)

                assert as_aliases == as_roles

    def test_a_malformed_prompt_fails_alone_and_says_why(self) -> None:
        """Nothing is sent for it, its place has an error of kind bad_request, and the others are answered."""
        prompts = [item for malformed in MALFORMED for item in (malformed, "Hello")]
        with self.stage() as stage:
            model = stage.model()
            responses = model.batch(prompts, batch_size=4)
            with pytest.raises(ModelError) as caught:
                model.invoke([])

        assert (caught.value.kind, caught.value.attempts) == ("bad_request", 0)
        for response in responses[0::2]:
            assert outcome_of(response) == "failed"
            assert response["error"]["kind"] == "bad_request"
            assert response["error"]["message"]
            assert response["response_metadata"]["attempts"] == 0
        assert {outcome_of(response) for response in responses[1::2]} == {"answered"}

    def test_an_image_is_accepted_or_refused_for_its_prompt_only(self) -> None:
        """Either the image goes along, or that prompt is a clear bad_request; the others are answered."""
        image = {"type": "image", "data": PIXEL, "mime_type": "image/png"}
        prompt = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}]
        with self.stage() as stage:
            responses = stage.model().batch(["Hello", prompt, "Hello"])
            sent = "" if "wire" in self.missing() else json.dumps([one.body for one in stage.dialect.requests])

        assert [outcome_of(responses[0]), outcome_of(responses[2])] == ["answered", "answered"]
        if outcome_of(responses[1]) == "failed":
            assert responses[1]["error"]["kind"] == "bad_request"
            assert responses[1]["error"]["message"]
        elif sent:
            assert PIXEL in sent, "the prompt was answered without its image"

    def test_an_unknown_option_is_an_error_with_a_suggestion(self) -> None:
        """A typo must not be ignored, or sent to the provider."""
        with self.stage() as stage:
            for option in self.model_class.options_class.model_fields:
                if len(option) > 3:
                    with pytest.raises(ConfigError) as caught:
                        self.model_class(**stage.arguments(**{f"{option}x": 1}))

                    assert f"{option}x" in str(caught.value)
                    assert f"did you mean {option!r}" in str(caught.value)


@needs("wire")
class SentPromptTests(Bench):
    """Models that send their prompts somewhere."""

    def test_what_is_asked_is_what_is_sent(self) -> None:
        """No prompt is trimmed, escaped or dropped on its way, whatever characters it has."""
        with self.stage() as stage:
            model = stage.model()

            @quick(25)
            @given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=4))
            def check(prompts: list[str]) -> None:
                stage.server.reset()
                model.batch(prompts)

                assert sorted(record.prompt for record in stage.asked()) == sorted(prompts)

            check()

    def test_a_system_message_and_earlier_turns_are_sent(self) -> None:
        """Nothing of a conversation is left out."""
        texts = ["Be as brief as a stone.", "An earlier question?", "An earlier answer.", "The question?"]
        roles = ["system", "user", "assistant", "user"]
        with self.stage() as stage:
            stage.model().invoke([{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)])
            sent = json.dumps(stage.dialect.requests[-1].body)

        assert [text for text in texts if text not in sent] == []

    def test_nothing_is_forced_on_the_tested_model(self) -> None:
        """What was not set is not sent: no temperature, no limit, no format of the answer, no instruction."""
        with self.stage() as stage:
            given_options = {_plain(name) for name in self.params(stage.server.url(stage.dialect.name))}
            stage.model().invoke("Hello")
            body = stage.dialect.requests[-1].body

        sent = {_plain(name) for name, value in _fields(body) if value is not None}
        assert sorted(sent & FORCED - given_options) == []
        assert "system" not in [value for _, value in _fields(body)], "a system message that nobody wrote"


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key), item
            yield from _fields(item)
    elif isinstance(value, list):
        for item in value:
            yield from _fields(item)
