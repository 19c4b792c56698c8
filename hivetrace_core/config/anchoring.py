"""Relative paths among a model's params: they start at the config file, as all paths of a config do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from ..options import ModelOptions


def anchored(params: Mapping[str, Any], schema: type[ModelOptions], base: Path | None) -> dict[str, Any]:
    """The params with what options take as paths made absolute.

    Args:
        params: As in the config; `~` at the beginning is left to the options.
        schema: Says which options are paths.
        base: The config file's folder, or the current one; None leaves them alone.
    """
    return {name: _at(value, base) if base and _is_path(schema, name) else value for name, value in params.items()}


def _at(value: Any, base: Path) -> Any:
    if not isinstance(value, str | PurePath) or not str(value) or str(value).startswith("~"):
        return value
    return str(base / value)


def _is_path(schema: type[ModelOptions], name: str) -> bool:
    field = schema.model_fields.get(name)
    return field is not None and (field.annotation is Path or Path in get_args(field.annotation))
