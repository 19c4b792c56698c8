"""Google's Gemini models as HiveTrace models.

Importing this module imports neither the model nor an HTTP library; the classes are loaded when they are first named.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hivetrace_core import ModelSpec, hookimpl

if TYPE_CHECKING:
    from .model import GeminiNativeModel
    from .options import GeminiOptions
    from .params import GeminiParams

__all__ = ["GeminiNativeModel", "GeminiOptions", "GeminiParams"]

_HOMES = {"GeminiNativeModel": ".model", "GeminiOptions": ".options", "GeminiParams": ".params"}


@hookimpl
def hivetrace_models() -> Iterator[ModelSpec]:
    """Register `gemini`."""
    yield ModelSpec(
        name="gemini",
        model="hivetrace_gemini.model:GeminiNativeModel",
        options="hivetrace_gemini.options:GeminiOptions",
        claims=("gemini-*",),
        classify="hivetrace_gemini.outcomes:classify",
        dialect="hivetrace_gemini.dialect:GeminiDialect",
        summary="Google's Gemini models through the Gemini Developer API",
        api=1,
    )


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home, __name__), name)
