"""Estimates of bytes and tokens: rough, but total."""

from __future__ import annotations

from sys import getsizeof
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivetrace_core.engine.tokens import estimate_tokens, used_tokens
from hivetrace_core.engine.weight import weigh, weigh_result
from hivetrace_core.responses import Reply

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


def circle(width: int) -> Any:
    value: list[Any] = []
    value.extend([value] * width)
    return value


@settings(deadline=None, max_examples=50)
@given(json_values)
def test_any_value_has_a_weight_and_an_estimate(value: Any) -> None:
    assert weigh(value) > 0
    assert estimate_tokens(value) > 0


@pytest.mark.parametrize("value", [nested(100_000), circle(2), circle(1000)], ids=["deep", "circle", "wide circle"])
def test_weights_and_estimates_end_on_what_is_very_deep_or_contains_itself(value: Any) -> None:
    assert weigh(value) > 0
    assert estimate_tokens(value) > 0
    assert weigh_result({"content": value}, Reply(value)) > 0


def test_the_weight_is_that_of_the_strings_inside() -> None:
    text = "я" * 10_000

    assert weigh(text) == getsizeof(text)
    for holder in ([text], (text,), {"a": {"b": text}}, [{"content": [text.encode()]}], MappingProxyType({"a": text})):
        assert 0.9 * getsizeof(text) < weigh(holder) < 1.2 * getsizeof(text)


def test_a_response_weighs_as_much_as_its_content_and_its_raw_reply() -> None:
    text = "x" * 10_000

    light = weigh_result({"content": ""}, None)
    assert 500 <= light < 1000
    assert weigh_result({"content": text}, None) - light == 10_000
    assert weigh_result({"content": [text]}, None) - light >= 10_000
    assert weigh_result(text, None) - light == 10_000
    assert weigh_result({"content": ""}, Reply({"choices": [{"text": text}]})) - light >= 10_000
    assert weigh_result(None, None) > 0


def test_tokens_are_estimated_from_the_text_of_a_prompt_and_the_expected_answer() -> None:
    english = estimate_tokens("a" * 400, answer=50)
    russian = estimate_tokens("я" * 400, answer=50)

    assert (english, russian) == (100 + 4 + 50, 200 + 4 + 50)
    assert estimate_tokens("", answer=0) == 4
    assert estimate_tokens("\ud800", answer=0) == 4
    assert estimate_tokens("a") == 4 + 256


@given(st.lists(st.tuples(st.sampled_from(["user", "system"]), st.text()), max_size=4))
@settings(deadline=None, max_examples=50)
def test_a_plain_conversation_is_estimated_like_any_other(turns: list[tuple[str, str]]) -> None:
    plain = [{"role": role, "content": text} for role, text in turns]
    parts = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns]
    extended = [*plain, {"role": "user", "content": "x" * 40, "name": "y" * 40}]

    assert estimate_tokens(plain) == estimate_tokens(parts) == estimate_tokens(tuple(plain))
    assert estimate_tokens(extended) == estimate_tokens(tuple(extended))
    assert estimate_tokens([{"content": "x" * 40, "text": "y" * 40}], answer=0) == 20 + 4


def test_images_and_the_names_of_things_are_no_text() -> None:
    messages = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a" * 400},
                {"type": "image", "data": "A" * 100_000, "mime_type": "image/png"},
                {"type": "image", "url": "https://example.com/" + "a" * 1000},
            ],
        }
    ]

    assert estimate_tokens(messages, answer=0) == (400 + len("image/png")) // 4 + 4


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"total_tokens": 7, "input_tokens": 1}, 7),
        ({"input_tokens": 3, "output_tokens": 4}, 7),
        ({"output_tokens": 4}, 4),
        ({"input_tokens": None, "output_tokens": 0}, 0),
        ({"total_tokens": "7"}, None),
        ({}, None),
        ("7", None),
        (None, None),
    ],
)
def test_the_providers_own_count_is_read_where_there_is_one(usage: Any, tokens: int | None) -> None:
    assert used_tokens({"response_metadata": {"usage": usage}}) == tokens


@pytest.mark.parametrize("response", [{}, {"response_metadata": None}, {"response_metadata": []}])
def test_a_response_that_says_nothing_of_tokens_gives_none(response: Any) -> None:
    assert used_tokens(response) is None


def test_a_small_body_counts_by_its_bytes_and_a_large_one_by_what_was_made_of_it() -> None:
    text = "x" * 1_000_000
    light = weigh_result({"content": ""}, None)

    assert weigh_result({"content": ""}, Reply({"id": 1}, size=1000)) - light == 4000
    assert weigh_result({"content": ""}, Reply({"text": text}, size=len(text))) - light > len(text)
