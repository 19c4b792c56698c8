"""What dialects of any vendor are made of: signals, odd payloads, the prompt in a request, the pieces of a text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core.mockserver import (
    Signal,
    asks_to_stream,
    constant,
    final_variants_of,
    last_user_message,
    payload_reply,
    prompt_in,
    rough_tokens,
    variants_of,
    words_of,
)

SIGNALS = {
    "stop": Signal("answered", lambda text: {"text": text}),
    "busy": Signal("server", constant({"error": "busy"}), 503, {"retry-after": "1"}),
    "broken": Signal("server", constant(None), 500, final=True),
}


def test_signals_say_what_they_mean_and_which_are_final() -> None:
    assert variants_of(SIGNALS) == {"stop": "answered", "busy": "server", "broken": "server"}
    assert final_variants_of(SIGNALS) == {"broken"}


def test_a_signal_has_the_scripts_text_or_a_payload_of_its_own() -> None:
    assert SIGNALS["stop"].build("Hello") == {"text": "Hello"}
    assert SIGNALS["busy"].build("Hello") == {"error": "busy"}
    assert (SIGNALS["stop"].status, SIGNALS["stop"].headers, SIGNALS["busy"].status) == (200, {}, 503)


def test_a_dialect_may_know_more_of_its_signals() -> None:
    @dataclass(frozen=True, slots=True)
    class Late(Signal):
        late: bool = False

    assert Late("server", constant(None), 500, late=True).late
    assert variants_of({"late": Late("server", constant(None))}) == {"late": "server"}


@pytest.mark.parametrize(
    ("payload", "kind", "body"),
    [
        ({"a": [1]}, "application/json", b'{"a":[1]}'),
        ([], "application/json", b"[]"),
        (0, "application/json", b"0"),
        ("<p>Заходите</p>", "text/html; charset=utf-8", "<p>Заходите</p>".encode()),
        ("", "application/json", b""),
        (None, "application/json", b""),
    ],
)
def test_a_payload_is_json_a_page_or_nothing(payload: Any, kind: str, body: bytes) -> None:
    reply = payload_reply(payload, 418, {"x-more": "1"})

    assert (reply.status, reply.body) == (418, body)
    assert reply.headers == {"Content-Type": kind, "x-more": "1"}


def test_headers_that_are_asked_for_win() -> None:
    for payload in ({}, "<p>", None):
        assert payload_reply(payload, headers={"Content-Type": "text/plain"}).headers == {"Content-Type": "text/plain"}


def test_the_last_message_of_the_users_is_found() -> None:
    first, last = {"role": "user", "content": "first"}, {"role": "user", "content": "last"}

    assert last_user_message({"messages": [first, last, {"role": "assistant", "content": "c"}, 3]}) is last


@pytest.mark.parametrize("body", [None, 3, [], {}, {"messages": 3}, {"messages": [3, []]}, {"messages": [{"role": 1}]}])
def test_where_there_is_none_it_is_empty(body: Any) -> None:
    assert last_user_message(body) == {}


@pytest.mark.parametrize(
    ("content", "prompt"),
    [
        ("Hello", "Hello"),
        ([{"type": "text", "text": "a"}, {"type": "image_url"}, 3, {"text": 4}, {"text": "b"}], "ab"),
        (None, ""),
        (3, ""),
        ({"text": "a"}, ""),
    ],
)
def test_the_prompt_is_the_text_of_that_message(content: Any, prompt: str) -> None:
    assert prompt_in({"messages": [{"role": "user", "content": content}]}) == prompt


def test_only_true_asks_for_a_stream() -> None:
    bodies: list[Any] = [{"stream": True}, {"stream": 1}, {"stream": "true"}, {"stream": False}, {}, None, [True]]

    assert [asks_to_stream(body) for body in bodies] == [True] + [False] * 6


@given(st.text())
def test_the_pieces_of_a_text_are_the_text(text: str) -> None:
    pieces = words_of(text)

    assert "".join(pieces) == text
    assert all(pieces)


def test_a_piece_is_a_word_with_the_space_behind_it() -> None:
    assert words_of(" one  two\nthree") == [" ", "one  ", "two\n", "three"]


def test_tokens_are_rounded_up() -> None:
    assert [rough_tokens(length) for length in (0, 1, 4, 5)] == [0, 1, 1, 2]
    assert json.loads(payload_reply({"tokens": rough_tokens(9)}).body) == {"tokens": 3}
