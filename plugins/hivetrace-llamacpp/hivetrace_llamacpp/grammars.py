"""Grammars: checked before a prompt is sent, because llama.cpp answers some mistakes by ending the process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from hivetrace_core import ConfigError

from .native import library

LONGEST: Final = 1_000_000
"""Characters of a grammar."""

DEEPEST: Final = 200
"""Nested groups of a grammar; llama.cpp reads them by recursion."""


def grammar_of(grammar: str | None, response_format: Mapping[str, Any] | None) -> str | None:
    """The GBNF grammar that the two options amount to; None for none.

    Raises:
        ConfigError: the grammar is malformed, or the format is not one that can be had.
    """
    if response_format is not None:
        grammar = _of_format(response_format)
    if grammar is not None:
        _check(grammar)
    return grammar


def _of_format(response_format: Mapping[str, Any]) -> str | None:
    kind = response_format.get("type")
    if kind == "text":
        return None
    schema = response_format.get("schema")
    if kind == "json_schema":  # as others spell it
        wrapped = response_format.get("json_schema")
        schema = wrapped.get("schema") if isinstance(wrapped, Mapping) else schema
    elif kind != "json_object":
        raise ConfigError("response_format: `type` must be json_object (with a JSON schema under `schema`) or text.")
    library()
    llama_grammar: Any = import_module("llama_cpp.llama_grammar")
    if schema is not None and not isinstance(schema, Mapping):
        raise ConfigError("response_format: the JSON schema must be an object.")
    if schema is None:
        return str(llama_grammar.JSON_GBNF)
    try:
        return str(llama_grammar.json_schema_to_gbnf(json.dumps(schema)))
    except Exception as exc:  # noqa: BLE001  # a schema may be anything
        raise ConfigError(f"response_format: the JSON schema cannot be made a grammar: {exc}.") from None


def _check(grammar: str) -> None:
    depth = deepest = 0
    for character in grammar:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    if len(grammar) > LONGEST or deepest > DEEPEST or "\0" in grammar:
        raise ConfigError(
            f"grammar: at most {LONGEST} characters and {DEEPEST} nested groups, and no NUL character, can be read."
        )
    try:
        raw = grammar.encode()
    except UnicodeEncodeError as exc:
        raise ConfigError(f"grammar: character {exc.start + 1} is half of one (a lone surrogate).") from None
    lib = library()
    # Without a vocabulary it is only parsed; references to tokens (<...>) are then checked with the first prompt.
    sampler = lib.llama_sampler_init_grammar(None, raw, b"root")
    if sampler:
        lib.llama_sampler_free(sampler)
    elif "<" not in grammar:
        raise ConfigError("grammar: llama.cpp does not take it; it must be GBNF with a rule named root.")
