"""Typed constructors: whether the keyword arguments that editors see are the options that pydantic checks."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, Unpack, get_args, get_origin, get_type_hints

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

NONE: Final = type(None)

_WIDER: Final[tuple[tuple[type, tuple[type, ...]], ...]] = (
    (SecretStr, (str,)),
    (Path, (str,)),
    (float, (int,)),
    (BaseModel, (Mapping, dict)),
)
"""What pydantic also takes where an option has a certain type."""


def parameters_of(model_class: type[Any], *, but: str) -> dict[str, Any]:
    """The keyword arguments of a constructor with their types: named ones, and those of an unpacked `TypedDict`.

    Args:
        model_class: Whose constructor.
        but: The option that takes the model's id, left out here.
    """
    constructor = model_class.__init__
    hints = get_type_hints(constructor, include_extras=True)
    found: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(constructor).parameters.items())[1:]:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            unpacked = hints.get(name)
            assert get_origin(unpacked) is Unpack, (
                f"the constructor of {model_class.__name__} does not say which options it takes: write "
                f"`**{name}: Unpack[...]` with a TypedDict of them"
            )
            found |= get_type_hints(get_args(unpacked)[0], include_extras=True)
        elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            found[name] = hints.get(name, Any)
    found.pop(but, None)
    return found


def disagreements(parameters: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> list[str]:
    """Where the arguments of a constructor and the options differ, each as a sentence."""
    found = [f"{name} is an option, and the constructor does not name it" for name in fields.keys() - parameters.keys()]
    found += [f"{name} is an argument, and there is no such option" for name in parameters.keys() - fields.keys()]
    for name in parameters.keys() & fields.keys():
        problem = _problem(set(_members(parameters[name])), fields[name])
        if problem is not None:
            found.append(f"{name}: {problem}")
    return sorted(found)


def _problem(given: set[Any], field: FieldInfo) -> str | None:
    taken = set(_members(field.annotation))
    extra = field.json_schema_extra
    from_environment = isinstance(extra, dict) and "env" in extra
    for one in taken:
        if one is SecretStr and str not in given:
            return "the constructor does not take a secret as str"
        if not any(_covers(other, one) for other in given):
            return f"the option may be {_shown(one)}, and the constructor does not say so"
    for one in given - {NONE}:
        if not any(_covers(one, other) or _covers(other, one) or _is_wider(one, other) for other in taken):
            return f"the constructor takes {_shown(one)}, and the option does not"
    if NONE in given and not (NONE in taken or Any in taken or from_environment):
        return "the constructor takes None, and the option does not"
    return None


def _members(annotation: Any) -> Iterator[Any]:
    """The types of a union, aliases and metadata resolved; of a literal, its values as literals."""
    annotation = getattr(annotation, "__value__", annotation)  # an alias made by `type X = ...`
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    elif origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin is Literal:
        yield from (Literal[value] for value in get_args(annotation))
    else:
        yield NONE if annotation is None else annotation


def _covers(wide: Any, narrow: Any) -> bool:
    """Whether every value of one type is one of the other."""
    if wide in (Any, object) or wide == narrow:
        return True
    if get_origin(narrow) is Literal:
        return any(isinstance(value, wide) for value in get_args(narrow)) if isinstance(wide, type) else False
    outer, inner = get_origin(wide) or wide, get_origin(narrow) or narrow
    if not (isinstance(outer, type) and isinstance(inner, type)):
        return False
    if inner is bool and outer in (int, float):
        return False
    if not (issubclass(inner, outer) or (outer is float and inner is int)):
        return False
    pairs = zip(get_args(wide), get_args(narrow), strict=False)
    return all(_all_covered(ours, theirs) for ours, theirs in pairs)


def _all_covered(wide: Any, narrow: Any) -> bool:
    if isinstance(wide, list) or isinstance(narrow, list) or Ellipsis in (wide, narrow):
        return True  # arguments of callables, and tuples of any length
    return all(any(_covers(ours, theirs) for ours in _members(wide)) for theirs in _members(narrow))


def _is_wider(given: Any, taken: Any) -> bool:
    """Whether pydantic makes an option's type of the given one."""
    kind = get_origin(given) or given
    if get_origin(taken) is Literal:
        return kind is type(get_args(taken)[0])
    own = get_origin(taken) or taken
    return isinstance(own, type) and any(issubclass(own, of) and kind in wider for of, wider in _WIDER)


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
