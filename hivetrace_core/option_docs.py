"""What can be said about a provider's options without making a model: the tables of READMEs and of the command line."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from .options import ModelOptions, env_names

_LONGEST_DEFAULT: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionDoc:
    """One option.

    Attributes:
        name: As in `params` and as a constructor argument.
        type: What it takes, in Python's words; `secret` for text that is never shown.
        range: Its bounds, of a text or list those of its length; empty where there are none.
        default: As it would be written in YAML; `required`, or empty where nothing is the default.
        meaning: With unit and environment variables; a sentence or a few words.
        owner: Name of the options class that adds or last changes it.
    """

    name: str
    type: str
    range: str
    default: str
    meaning: str
    owner: str


def describe_options(options: type[ModelOptions]) -> list[OptionDoc]:
    """All options of a class: its own first, those that every provider takes last."""
    order = [klass for klass in options.__mro__ if issubclass(klass, ModelOptions)]
    docs = [_described(name, field, order) for name, field in options.model_fields.items()]
    ranks = {klass.__name__: rank for rank, klass in enumerate(order)}
    return sorted(docs, key=lambda doc: (doc.name != "model", ranks[doc.owner]))


def markdown_table(docs: Sequence[OptionDoc]) -> str:
    """A table for a README, with a line break at the end."""
    lines = ["| option | type | range | default | meaning |", "|---|---|---|---|---|"]
    for doc in docs:
        default = f"`{doc.default}`" if doc.default not in ("", "required") else doc.default
        cells = (f"`{doc.name}`", doc.type, doc.range, default, doc.meaning)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _described(name: str, field: FieldInfo, order: Sequence[type[ModelOptions]]) -> OptionDoc:
    env = env_names(field)
    # A class that only changes a default need not say again what the option is.
    fields = (klass.model_fields.get(name) for klass in order)
    meaning = next((found.description for found in fields if found is not None and found.description), "")
    if env:
        meaning = f"{meaning.removesuffix('.')}{'. ' if meaning else ''}Environment: {', '.join(env)}."
    return OptionDoc(
        name=name,
        type=_type_text(field.annotation),
        range=_range(field),
        default=_default_text(field, env),
        meaning=meaning,
        owner=next(klass.__name__ for klass in order if name in klass.__annotations__),
    )


def _range(field: FieldInfo) -> str:
    # The metadata are objects of annotated_types (Ge, Le, MinLen, ...), each with its bound under its own name.
    bounds = {
        name: bound
        for item in field.metadata
        for name in ("ge", "gt", "le", "lt", "min_length", "max_length")
        if (bound := getattr(item, name, None)) is not None
    }
    if "ge" in bounds and "le" in bounds:
        return f"{_number(bounds['ge'])} to {_number(bounds['le'])}"
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥", "max_length": "length ≤"}
    parts = [f"{sign} {_number(bounds[name])}" for name, sign in signs.items() if name in bounds]
    return ", ".join(part for part in parts if part != "length ≥ 1")


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _default_text(field: FieldInfo, env: Sequence[str]) -> str:
    if field.is_required() or (env and field.default is None and type(None) not in get_args(field.annotation)):
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is None or (not default and isinstance(default, list | dict | tuple)):
        return ""
    text = json.dumps(default, default=str) if isinstance(default, bool | int | float | list | dict) else str(default)
    return text if len(text) <= _LONGEST_DEFAULT else f"{text[: _LONGEST_DEFAULT - 1]}…"


def _type_text(annotation: Any) -> str:
    """A type as its users know it: without `None`, modules and wrappers."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        kinds = [_type_text(argument) for argument in arguments if argument is not type(None)]
        return " or ".join(dict.fromkeys(kinds))
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if hasattr(annotation, "__metadata__"):
        return _type_text(arguments[0])
    if origin in (list, tuple, set, frozenset, Sequence):
        inner = [argument for argument in arguments if argument is not Ellipsis]
        return f"list of {_type_text(inner[0])}" if inner and inner[0] is not Any else "list"
    if origin in (dict, Mapping):
        return "dict"
    if origin is Callable:
        return "callable"
    if not isinstance(annotation, type):
        return "any"
    if issubclass(annotation, SecretStr):
        return "secret"
    if issubclass(annotation, BaseModel):
        return "dict"
    return "path" if issubclass(annotation, Path) else annotation.__name__
