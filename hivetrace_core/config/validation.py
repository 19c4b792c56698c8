"""Pydantic's errors as problems of a config: the key that a user wrote, plain words, and a close match for a typo."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from .problems import KeyPath, Problems
from .schema import ModelEntry, RunConfig, kind_of, quoting_hint

SHORT_FORM: Final = "response_model"

_EXPECTED: Final = {
    "model_type": "a mapping (`key: value`)",
    "dict_type": "a mapping (`key: value`)",
    "list_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
}


def add_problems(
    problems: Problems,
    error: ValidationError,
    *,
    at: KeyPath,
    schema: type[BaseModel],
    data: Any,
    elsewhere: Mapping[str, KeyPath] | None = None,
) -> None:
    """Note each problem of a validation, except where something is wrong already.

    Args:
        problems: Where they are noted.
        error: What pydantic raised; its inputs are looked at for their types, never shown.
        at: Where in the config the validated data is.
        schema: What it was validated against.
        data: What was validated, as written.
        elsewhere: Where names are written that do not stand in the data's own place.
    """
    already = problems.paths()
    errors = [(_existing(found["loc"], data), dict(found)) for found in error.errors(include_url=False)]
    for path, found in errors:
        if found["type"] in _EXPECTED and any(
            len(path) < len(other) and other[: len(path)] == path for other, _ in errors
        ):
            continue  # one member of a union does not take this kind of value; another does, and says more
        where = (*at, *path)
        if elsewhere and path and path[0] in elsewhere:
            where = (*elsewhere[str(path[0])], *path[1:])
        if found["type"] == "missing" or where not in already:
            problems.add(where, _words(found, path, schema))


def add_unknown(problems: Problems, names: Iterable[str], *, at: KeyPath, schema: type[BaseModel]) -> None:
    """Note the names that an options class does not have; pydantic stops at a missing key before it sees them."""
    if schema.model_config.get("extra") != "forbid":
        return
    known = _known_names(schema)
    for name in names:
        if name not in known:
            problems.add((*at, name), f"unknown option; {_suggestion(name, known)}")


def add_booleans(problems: Problems, data: Any, validated: Any, *, at: KeyPath) -> None:
    """Note each `true` or `false` that pydantic has taken for a number."""
    if isinstance(data, bool):
        if type(validated) in (int, float):
            problems.add(at, "must be a number, not true or false")
    elif isinstance(data, Mapping) and isinstance(validated, BaseModel):
        for name, value in data.items():
            add_booleans(problems, value, getattr(validated, str(name), None), at=(*at, str(name)))
    elif isinstance(data, (list, tuple)) and isinstance(validated, (list, tuple)) and len(data) == len(validated):
        for index, (value, result) in enumerate(zip(data, validated, strict=True)):
            add_booleans(problems, value, result, at=(*at, index))


def _words(found: dict[str, Any], path: KeyPath, schema: type[BaseModel]) -> str:
    kind, value, message = found["type"], found.get("input"), str(found["msg"])
    if kind == "extra_forbidden":
        return f"unknown key; {_place_for(str(path[-1]), _schema_at(schema, path[:-1]))}"
    if kind == "missing":
        return f"`{found['loc'][-1]}` is missing"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if kind == "literal_error":
        return f"must be {found['ctx']['expected']}{_meant(value, found['ctx']['expected'])}"
    if found["loc"][-1:] == ("[key]",):
        return f"a key must be text, not {kind_of(value)}"
    if kind == "int_from_float" or (kind == "int_type" and isinstance(value, float)):
        return "must be a whole number"
    if kind in _EXPECTED:
        hint = quoting_hint(value) if kind == "string_type" else ""
        if kind == "model_type" and _schema_at(schema, path) is ModelEntry:
            hint = "; write `name: ...` in it"
        return f"must be {_EXPECTED[kind]}, not {kind_of(value)}{hint}"
    if kind == "too_short" and found["ctx"]["min_length"] == 1:
        return "must have at least one"
    return message.replace("Input should be", "must be").replace("Input should", "must")


def _place_for(name: str, schema: type[BaseModel] | None) -> str:
    """Advice for an unknown key of the config's own sections."""
    if schema is None:
        return "remove it"
    known = _known_names(schema)
    if schema is RunConfig:
        known.append(SHORT_FORM)
        for section, field in RunConfig.model_fields.items():
            inner = _model_in(field.annotation)
            if inner is not None and inner is not ModelEntry and name in inner.model_fields:
                return f"it belongs under `{section}`"
    if schema is ModelEntry and not get_close_matches(name, known, 1, 0.7):
        return "options of a model go under its `params`"
    return _suggestion(name, known)


def _suggestion(name: str, known: Iterable[str]) -> str:
    choices = sorted(known)
    close = get_close_matches(name.lower().replace("-", "_"), choices, 1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(choices)}"


def _meant(value: Any, expected: str) -> str:
    close = get_close_matches(value.lower(), re.findall(r"'([^']*)'", expected), 1) if isinstance(value, str) else []
    return f"; did you mean {close[0]!r}?" if close else ""


def _known_names(schema: type[BaseModel]) -> list[str]:
    names = dict.fromkeys(schema.model_fields)
    names.update((field.alias, None) for field in schema.model_fields.values() if field.alias is not None)
    return list(names)


def _existing(loc: tuple[int | str, ...], data: Any) -> KeyPath:
    """The part of a location that exists in the data: pydantic also puts the members of unions into it."""
    path: list[int | str] = []
    for part in loc:
        in_list = isinstance(part, int) and isinstance(data, (list, tuple)) and part < len(data)
        if in_list or (isinstance(data, Mapping) and part in data):
            data = data[part]
            path.append(part)
    return tuple(path)


def _schema_at(schema: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    found: type[BaseModel] | None = schema
    for part in path:
        if isinstance(part, str) and found is not None:
            field = found.model_fields.get(part)
            found = _model_in(field.annotation) if field is not None else None
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner)) is not None), None)
