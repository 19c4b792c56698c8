"""GigaChat as a HiveTrace model.

Importing this module imports neither the model nor an HTTP library; the classes are loaded when they are first named.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hivetrace_core import ModelSpec, hookimpl

if TYPE_CHECKING:
    from .model import GigaChatModel
    from .options import GigaChatOptions

__all__ = ["GigaChatModel", "GigaChatOptions"]


@hookimpl
def hivetrace_models() -> Iterator[ModelSpec]:
    """Register `gigachat`."""
    yield ModelSpec(
        name="gigachat",
        model="hivetrace_gigachat.model:GigaChatModel",
        options="hivetrace_gigachat.options:GigaChatOptions",
        claims=("GigaChat*", "gigachat*"),
        default_id="GigaChat",
        classify="hivetrace_gigachat.outcomes:classify",
        dialect="hivetrace_gigachat.dialect:GigaChatDialect",
        summary="GigaChat of Sber",
        api=1,
    )


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = ".options" if name.endswith("Options") else ".model"
    return getattr(import_module(home, __name__), name)
