"""Prompts: one canonical form for what is well formed, one clear error for everything else."""

from collections import UserList
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivetrace_core.errors import ModelError
from hivetrace_core.messages import normalize, text_of, with_system

PNG = "iVBORw0KGgo="
FAST = settings(max_examples=150, deadline=None, derandomize=True)


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


def problem(prompt: Any) -> str:
    with pytest.raises(ModelError) as caught:
        normalize(prompt)
    error = caught.value
    assert (error.kind, error.attempts, error.retryable) == ("bad_request", 0, False)
    assert error.message.startswith("The prompt was not sent: ")
    return error.message


# Well formed


@pytest.mark.parametrize("text", ["Hello", "", "\0 \ud800", " " * 5])
def test_a_string_is_one_user_message(text: str) -> None:
    assert normalize(text) == [{"role": "user", "content": text}]


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("system", "system"),
        ("user", "user"),
        ("assistant", "assistant"),
        ("developer", "developer"),
        ("tool", "tool"),
        ("human", "user"),
        ("ai", "assistant"),
    ],
)
def test_roles_lose_their_aliases(given: str, canonical: str) -> None:
    assert normalize([{"role": given, "content": "x"}]) == [{"role": canonical, "content": "x"}]


def test_a_conversation_with_tools_keeps_all_its_keys() -> None:
    calls = [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}]
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "human", "content": "Weather?", "name": "ann"},
        {"role": "ai", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "Rain.", "tool_call_id": "c1"},
        {"role": "assistant", "tool_calls": calls},
        {"role": "assistant", "content": "Rain.", "cache_control": {"type": "ephemeral"}},
    ]

    normal = normalize(turns)

    assert [turn["role"] for turn in normal] == ["system", "user", "assistant", "tool", "assistant", "assistant"]
    assert normal[1] == {"role": "user", "content": "Weather?", "name": "ann"}
    assert normal[2] == {"role": "assistant", "content": None, "tool_calls": calls}
    assert normal[3] == {"role": "tool", "content": "Rain.", "tool_call_id": "c1"}
    assert normal[4] == {"role": "assistant", "content": None, "tool_calls": calls}
    assert normal[5] == turns[5]


@pytest.mark.parametrize(
    ("part", "canonical"),
    [
        ({"type": "text", "text": ""}, {"type": "text", "text": ""}),
        (
            {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
        ),
        ({"type": "image", "url": "https://a/b.png"}, {"type": "image", "url": "https://a/b.png"}),
        (
            {"type": "image", "url": "https://a/b.png", "mime_type": "image/png", "detail": "low", "alt": 1},
            {"type": "image", "url": "https://a/b.png", "mime_type": "image/png", "detail": "low", "alt": 1},
        ),
        (
            {"type": "image", "data": PNG, "mime_type": "image/png", "url": None},
            {"type": "image", "data": PNG, "mime_type": "image/png"},
        ),
        (
            {"type": "image", "url": f"data:image/png;base64,{PNG}"},
            {"type": "image", "data": PNG, "mime_type": "image/png"},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "high"}},
            {"type": "image", "url": "https://a/b.png", "detail": "high"},
        ),
        ({"type": "image_url", "image_url": "https://a/b.png"}, {"type": "image", "url": "https://a/b.png"}),
        (
            {"type": "image_url", "image_url": {"url": f"DATA:image/jpeg;BASE64,{PNG}", "detail": "low"}},
            {"type": "image", "data": PNG, "mime_type": "image/jpeg", "detail": "low"},
        ),
        (
            {"type": "image_url", "image_url": {"url": f"data:;base64,{PNG}"}, "mime_type": "image/webp"},
            {"type": "image", "data": PNG, "mime_type": "image/webp"},
        ),
    ],
)
def test_parts_have_one_form(part: dict[str, Any], canonical: dict[str, Any]) -> None:
    before = dict(part)

    assert normalize(user([part]))[0]["content"] == [canonical]
    assert part == before


def test_the_callers_messages_are_not_changed() -> None:
    turns = [{"role": "human", "content": [{"type": "image_url", "image_url": "https://a/b.png"}]}]

    normalize(turns)

    assert turns == [{"role": "human", "content": [{"type": "image_url", "image_url": "https://a/b.png"}]}]


def test_other_sequences_and_mappings_serve_as_well() -> None:
    class Turn(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return {"role": "user", "content": ("a",)}[key] if key == "role" else [{"type": "text", "text": "a"}]

        def __iter__(self) -> Iterator[str]:
            return iter(("role", "content"))

        def __len__(self) -> int:
            return 2

    for turns in ((Turn(),), UserList([Turn()])):
        assert normalize(turns) == [{"role": "user", "content": [{"type": "text", "text": "a"}]}]


# Malformed


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (None, "of type NoneType; a prompt is a string or a list of messages"),
        (42, "of type int"),
        (b"bytes", "of type bytes"),
        (bytearray(b"x"), "of type bytearray"),
        ({"role": "user", "content": "x"}, "of type dict"),
        ({"a", "b"}, "of type set"),
        ([], "the list of messages is empty"),
        (["Hello"], "message 1 is of type str, not a mapping with `role` and `content`"),
        ([*user("x"), None], "message 2 is of type NoneType"),
        ([{"content": "x"}], "message 1 has the role None; roles are system, user, assistant, developer, tool"),
        ([{"role": "usr", "content": "x"}], "'usr'; roles are"),
        ([{"role": "usr", "content": "x"}], "(did you mean user?)"),
        ([{"role": "User", "content": "x"}], "(did you mean user?)"),
        ([{"role": ["user"], "content": "x"}], "has the role ['user']"),
        ([{"role": "user"}], "message 1 has no `content`"),
        ([{"role": "user", "content": None, "tool_calls": [1]}], "message 1 has no `content`"),
        ([{"role": "assistant", "content": None}], "message 1 has no `content`"),
        ([{"role": "assistant", "content": None, "tool_calls": "call"}], "message 1 has no `content`"),
        ([{"role": "assistant", "content": None, "tool_calls": []}], "message 1 has no `content`"),
        (user(5), "the content of message 1 is neither text nor a list of parts"),
        (user([]), "neither text nor a list of parts"),
        (user(b"x"), "neither text nor a list of parts"),
        (user({"type": "text"}), "neither text nor a list of parts"),
        (user(["x"]), "part 1 of message 1 is of type str, not a mapping with `type`"),
        (
            user([{"type": "text", "text": "x"}, {"type": "audio"}]),
            "part 2 of message 1 has the type 'audio'; types",
        ),
        (user([{"text": "x"}]), "has the type None"),
        (user([{"type": "text"}]), "part 1 of message 1 has no `text`"),
        (user([{"type": "text", "text": 1}]), "has no `text`"),
        (user([{"type": "image"}]), "needs exactly one of `url` and `data` (base64)"),
        (user([{"type": "image", "url": "", "data": ""}]), "needs exactly one of"),
        (user([{"type": "image", "url": "u", "data": "d", "mime_type": "m"}]), "needs exactly one of"),
        (user([{"type": "image", "data": PNG}]), "has `data` without a `mime_type` such as image/png"),
        (user([{"type": "image", "data": b"raw", "mime_type": "m"}]), "has a `data` that is not text"),
        (user([{"type": "image", "url": "u", "mime_type": 5}]), "has a `mime_type` that is not text"),
        (user([{"type": "image", "url": f"data:;base64,{PNG}"}]), "without a `mime_type`"),
        (user([{"type": "image", "url": "data:image/png,raw"}]), "has a data URL that is not base64"),
        (user([{"type": "image", "url": "data:image/png;base64,"}]), "has a data URL that is not base64"),
        (user([{"type": "image", "url": "data:image/png;base64"}]), "has a data URL that is not base64"),
        (user([{"type": "image_url"}]), "has no `image_url.url`"),
        (user([{"type": "image_url", "image_url": {"url": ""}}]), "has no `image_url.url`"),
        (user([{"type": "image_url", "image_url": ["u"]}]), "has no `image_url.url`"),
    ],
)
def test_a_malformed_prompt_says_what_is_wrong_and_where(prompt: Any, says: str) -> None:
    assert says in problem(prompt)


def test_a_huge_value_does_not_become_a_huge_message() -> None:
    assert len(problem([{"role": "x" * 10_000_000, "content": "x"}])) < 300
    assert len(problem(user([{"type": "y" * 10_000_000}]))) < 300


class Hostile(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("no")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")

    def __len__(self) -> int:
        return 1


class Unreadable(Sequence[Any]):
    def __getitem__(self, key: Any) -> Any:
        raise RuntimeError("no")

    def __len__(self) -> int:
        raise RuntimeError("no")


@pytest.mark.parametrize("prompt", [[Hostile()], Unreadable(), user([Hostile()]), user(Unreadable())])
def test_objects_whose_methods_raise_are_malformed_prompts(prompt: Any) -> None:
    assert "it cannot be read (RuntimeError)" in problem(prompt)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=4) | st.text(max_size=6)
SHAPED = st.dictionaries(
    st.sampled_from(
        ["role", "content", "type", "text", "url", "data", "mime_type", "image_url", "tool_calls", "detail", "x"]
    ),
    st.deferred(lambda: ANYTHING)
    | st.sampled_from(["user", "ai", "text", "image", "image_url", "https://a", "data:a/b;base64,eA==", "data:x"]),
    max_size=5,
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    LEAVES | SHAPED, lambda inner: st.lists(inner, max_size=4) | st.tuples(inner), max_leaves=12
)


@FAST
@given(ANYTHING)
def test_anything_is_either_canonical_messages_or_one_bad_request(prompt: Any) -> None:
    messages: Any = []
    try:
        messages = normalize(prompt)
    except ModelError:
        problem(prompt)
        return
    assert messages
    assert normalize(messages) == messages
    assert isinstance(text_of(messages), str)
    for message in messages:
        assert message["role"] in {"system", "user", "assistant", "developer", "tool"}
        content = message["content"]
        if content is None:
            assert message["role"] == "assistant"
            assert message["tool_calls"]
        elif not isinstance(content, str):
            assert content
            for part in content:
                assert part["type"] in {"text", "image"}
                assert isinstance(part.get("text", ""), str)
                assert part["type"] == "text" or ("url" in part) != ("data" in part)


# A system prompt in front


@pytest.mark.parametrize(
    ("prompt", "with_it"),
    [
        ("Hi", [{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}]),
        ("", [{"role": "system", "content": "S"}, {"role": "user", "content": ""}]),
        (user("Hi"), [{"role": "system", "content": "S"}, *user("Hi")]),
        (tuple(user("Hi")), [{"role": "system", "content": "S"}, *user("Hi")]),
        (UserList(user("Hi")), [{"role": "system", "content": "S"}, *user("Hi")]),
    ],
)
def test_a_system_prompt_goes_in_front(prompt: Any, with_it: Any) -> None:
    assert with_system(prompt, "S") == with_it


def test_a_prompt_that_brings_its_own_system_message_is_left_alone() -> None:
    own = [*user("Hi"), {"role": "system", "content": "mine"}]

    assert with_system(own, "S") is own


@pytest.mark.parametrize("prompt", ["Hi", user("Hi"), [], None, b"bytes", {"role": "user"}, 3])
@pytest.mark.parametrize("system", [None, ""])
def test_without_a_system_prompt_nothing_changes(prompt: Any, system: str | None) -> None:
    assert with_system(prompt, system) is prompt


@pytest.mark.parametrize("prompt", [[], (), None, b"bytes", {"role": "user", "content": "x"}, 3])
def test_a_system_prompt_does_not_hide_that_a_prompt_is_malformed(prompt: Any) -> None:
    problem(with_system(prompt, "S"))


# Text alone


def test_the_text_of_messages_is_all_their_text() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "image", "url": "u"}]},
        {"role": "assistant", "content": None, "tool_calls": [1]},
        {"role": "tool", "content": "c"},
    ]

    assert text_of(messages) == "a\nb\nc"
    assert text_of([]) == ""
