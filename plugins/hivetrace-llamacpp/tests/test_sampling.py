"""How tokens are chosen and become text: grammars, stop texts, seeds, letters that span tokens."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hivetrace_llamacpp import LlamaCppModel, sample
from hivetrace_llamacpp.text import TextStream
from hypothesis import given, settings
from hypothesis import strategies as st

from hivetrace_core import ConfigError

Make = Callable[..., LlamaCppModel]
ANSWER = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}


def native_end(response: Any) -> str:
    return str(response["response_metadata"]["native_finish_reason"])


@settings(deadline=None)
@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=3), max_size=3), st.integers(1, 5))
def test_text_in_pieces_is_the_text_up_to_the_first_stop(text: str, stops: list[str], size: int) -> None:
    raw = text.encode("utf-8", "replace")
    stream = TextStream(stops)
    pieces = [stream.feed(raw[at : at + size]) for at in range(0, len(raw), size)]
    pieces.append(stream.finish())

    whole = raw.decode()
    assert "".join(pieces) == stream.text
    assert whole.startswith(stream.text)
    assert not any(stop in stream.text for stop in stops)
    assert stream.stopped == any(stop in whole for stop in stops)
    assert stream.stopped or stream.text == whole


def test_half_a_letter_at_the_end_is_one_replacement_character() -> None:
    stream = TextStream()
    first = stream.feed("я".encode()[:1])

    assert (first, stream.finish(), stream.text) == ("", "\ufffd", "\ufffd")


def test_a_stop_text_ends_the_answer_and_is_not_part_of_it(make: Make) -> None:
    whole = make(max_tokens=24).invoke("Hello, what?")["content"]
    stop = whole[10:14]

    model = make(max_tokens=24, stop=[stop, "never said"])
    response = model.invoke("Hello, what?")
    chunks = list(model.stream("Hello, what?"))

    assert response["content"] == whole[: whole.index(stop)] == "".join(chunk["content"] for chunk in chunks)
    assert native_end(response) == "stop"
    assert native_end(chunks[-1]) == "stop"
    assert response["response_metadata"]["outcome"] == "answered"


def test_a_stop_text_that_spans_tokens_and_letters_is_found(make: Make) -> None:
    # The grammar has the model say this, letter by letter; each letter is two tokens.
    model = make(grammar='root ::= "один два три"', stop="н д", max_tokens=60)

    assert model.invoke("Hello")["content"] == "оди"
    assert "".join(chunk["content"] for chunk in model.stream("Hello")) == "оди"


def test_streamed_letters_arrive_whole(make: Make) -> None:
    text = "Ёж 👩‍👩‍👧 日本"
    model = make(grammar=f'root ::= "{text}"', max_tokens=100)

    pieces = [chunk["content"] for chunk in model.stream("Hello")]

    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)
    assert len(pieces) > 8


def test_a_grammar_shapes_each_answer_of_a_crowd(make: Make) -> None:
    responses = make(batch_size=4, grammar='root ::= ("yes" | "no") "!"', max_tokens=20).batch(
        ["a", "b", "c", "d", "e"]
    )

    assert {response["content"] for response in responses} <= {"yes!", "no!"}
    assert {native_end(response) for response in responses} == {"eos"}


def test_a_json_schema_shapes_the_answer(make: Make) -> None:
    for wanted in (
        {"type": "json_object", "schema": ANSWER},
        {"type": "json_schema", "json_schema": {"name": "answer", "schema": ANSWER}},
    ):
        response = make(response_format=wanted, max_tokens=100, temperature=0.8, seed=3).invoke("Hello")

        assert set(json.loads(response["content"])) == {"yes"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"grammar": "root ::= ((("}, "GBNF"),
        ({"grammar": "root ::= nobody"}, "GBNF"),
        ({"grammar": 'start ::= "a"'}, "GBNF"),
        ({"grammar": "root ::= " + "(" * 5000 + '"a"' + ")" * 5000}, "nested groups"),
        ({"grammar": 'root ::= "a\0"'}, "NUL"),
        ({"response_format": {"type": "xml"}}, "json_object"),
        ({"response_format": {"type": "json_object", "schema": 5}}, "must be an object"),
        ({"response_format": {"type": "json_object", "schema": {"$ref": "https://127.0.0.1:9/x"}}}, "JSON schema"),
        ({"response_format": {"type": "json_object", "schema": {"$ref": "#/nowhere"}}}, "JSON schema"),
        ({"response_format": {"type": "json_object", "schema": {"type": "no-such-type"}}}, "JSON schema"),
    ],
)
def test_a_wrong_grammar_is_an_error_of_the_whole_call(make: Make, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make(**options).batch(["one", "two"])


def test_a_grammar_that_the_vocabulary_cannot_follow_fails_its_prompt(make: Make) -> None:
    # A token that there is not.
    responses = make(grammar="root ::= <|no_such_token|>").batch(["one", "two"])

    assert {response["error"]["kind"] for response in responses} == {"bad_request"}


def test_a_seed_gives_the_same_text_alone_and_in_a_crowd(make: Make) -> None:
    model = make(batch_size=8, temperature=0.9, seed=11, repeat_penalty=1.1, flash_attn=False)
    alone = model.invoke("the question")["content"]

    crowd = model.batch(["the question", *(f"other {number}" for number in range(7))])

    assert crowd[0]["content"] == alone
    assert make(temperature=0.9, seed=12, repeat_penalty=1.1).invoke("the question")["content"] != alone


def test_a_seed_gives_the_text_that_llama_cpp_python_gives(make: Make, tiny: Path, llama_cpp: Any) -> None:
    settings: dict[str, Any] = {"temperature": 0.9, "seed": 11, "top_k": 30, "top_p": 0.9, "min_p": 0.02}
    messages: Any = [{"role": "user", "content": "the question"}]
    llama = llama_cpp.Llama(str(tiny), n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False)
    theirs = llama.create_chat_completion(messages, max_tokens=17, **settings)["choices"][0]["message"]["content"]

    ours = make(flash_attn=False, **settings).invoke(messages)["content"]

    assert len(ours) > 10
    assert theirs.startswith(ours.replace("\ufffd", ""))  # it leaves out what is no UTF-8


def test_without_a_seed_answers_differ(make: Make) -> None:
    responses = make(temperature=1.5, top_k=0, top_p=1, min_p=0).batch(["the question"] * 4)

    assert len({response["content"] for response in responses}) == 4


@pytest.mark.parametrize("penalty", [{"presence_penalty": 100}, {"frequency_penalty": 100}])
def test_penalties_look_back_as_far_as_they_are_told(make: Make, penalty: dict[str, float]) -> None:
    digits = " ".join(["[01]"] * 20)
    model = make(grammar=f"root ::= {digits}", max_tokens=30, penalty_last_n=1, **penalty)

    answer = model.invoke("Hello")["content"]

    assert len(answer) == 20
    assert all(one != other for one, other in pairwise(answer))


def test_a_repeat_penalty_makes_another_answer(make: Make) -> None:
    prompt = "again " * 20

    assert make(repeat_penalty=50.0).invoke(prompt)["content"] != make().invoke(prompt)["content"]


def test_a_model_that_ends_by_itself_has_answered(make: Make, ending: Path) -> None:
    responses = make(model_path=ending, temperature=1.5, top_k=0, top_p=1, min_p=0, max_tokens=200, seed=5).batch(
        [f"{number}" for number in range(12)]
    )

    assert "eos" in {native_end(response) for response in responses}
    for response in responses:
        ended = native_end(response) == "eos"
        assert (response["response_metadata"]["finish_reason"] == "stop") is ended
        assert response["response_metadata"]["outcome"] in (("answered", "empty") if ended else ("truncated",))


def test_quantized_weights_give_the_tokens_of_one_prompt_alone_where_that_is_asked_for(
    make: Make, tiny: Path, llama_cpp: Any, tmp_path: Path
) -> None:
    path = tmp_path / "q4.gguf"
    sample.quantize(tiny, path, "q4_0", threads=1)
    llama = llama_cpp.Llama(str(path), n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False)
    prompts = [[{"role": "user", "content": f"{'word ' * (number % 5)}number {number}"}] for number in range(12)]

    responses = make(model_path=path, batch_size=8, deterministic=True).batch(prompts)

    for prompt, response in zip(prompts, responses, strict=True):
        llama.reset()
        alone = llama.create_chat_completion(prompt, max_tokens=17, temperature=0)["choices"][0]["message"]["content"]
        assert alone.startswith(response["content"].replace("\ufffd", ""))
