"""What an answer means, and what the plugin says about itself."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest
from hivetrace_llamacpp.options import LlamaCppOptions
from hivetrace_llamacpp.outcomes import classify
from hivetrace_llamacpp.params import LlamaCppParams
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core import ConfigError, ModelError, Reply
from hivetrace_core.responses import OUTCOMES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)

CASES: list[tuple[str, str, str, str]] = [
    ("eos", "text", "stop", "answered"),
    ("stop", "text", "stop", "answered"),
    ("eos", "", "stop", "empty"),
    ("max_tokens", "text", "length", "truncated"),
    ("context", "text", "length", "truncated"),
    ("memory", "", "length", "truncated"),
    ("something new", "text", "unknown", "unknown"),
]


@pytest.mark.parametrize(("native", "content", "finish", "outcome"), CASES)
def test_each_ending_has_its_outcome(native: str, content: str, finish: str, outcome: str) -> None:
    usage = {"input_tokens": 3, "output_tokens": 4, "cached_tokens": 1}
    response = classify(Reply({"model": "m", "content": content, "finish": native, "usage": usage}))

    metadata = response["response_metadata"]
    assert (response["content"], metadata["finish_reason"], metadata["outcome"]) == (content, finish, outcome)
    assert metadata["native_finish_reason"] == native
    assert metadata["usage"] == {**usage, "total_tokens": 7}


@given(JSON | st.fixed_dictionaries({"content": st.text(max_size=3)}, optional={"finish": JSON, "usage": JSON}))
def test_any_payload_is_a_response_or_a_model_error(payload: Any) -> None:
    try:
        outcome = classify(Reply(payload))["response_metadata"]["outcome"]
    except ModelError as error:
        outcome = "failed" if error.kind == "response_format" else None
    assert outcome in OUTCOMES


def test_the_constructor_takes_exactly_the_options() -> None:
    hints = get_type_hints(LlamaCppParams)

    assert set(hints) == set(LlamaCppOptions.model_fields) - {"model"}
    for name, hint in hints.items():
        assert (type(None) in get_args(hint)) == (type(None) in get_args(LlamaCppOptions.model_fields[name].annotation))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "model_path"),
        ({"model_path": "m", "n_cts": 5}, "did you mean 'n_ctx'"),
        ({"model_path": "m", "stop": ["a", ""]}, "empty text"),
        ({"model_path": "m", "chat_format": "chatml", "chat_template": "x"}, "exclude each other"),
        ({"model_path": "m", "grammar": "x", "response_format": {}}, "exclude each other"),
        ({"model_path": "m", "n_ctx": 512, "kv_cells": 256}, "kv_cells"),
        ({"model_path": "m", "n_gpu_layers": -2}, "n_gpu_layers"),
        ({"model_path": "a\0b"}, "NUL"),
        ({"model_path": "~no-such-user-here/m"}, "no user ~no-such-user-here"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LlamaCppOptions.parse(options, where="LlamaCppModel")


def test_the_name_is_by_default_the_file_s() -> None:
    assert LlamaCppOptions.parse({"model_path": "a/b-Q4.gguf"}, where="x").model == "b-Q4"
    assert LlamaCppOptions.parse({"model_path": "a/b-Q4.gguf", "model": "mine"}, where="x").model == "mine"
