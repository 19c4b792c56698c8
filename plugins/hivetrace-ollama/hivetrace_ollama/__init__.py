"""Models of an Ollama server, local or hosted, as HiveTrace models.

Importing this module imports neither the model nor an HTTP library; the classes are loaded when they are first named.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hivetrace_core import ModelSpec, hookimpl

if TYPE_CHECKING:
    from .model import OllamaModel
    from .options import OllamaOptions

__all__ = ["OllamaModel", "OllamaOptions"]


@hookimpl
def hivetrace_models() -> Iterator[ModelSpec]:
    """Register `ollama`. It claims no ids: the same names are served by many."""
    yield ModelSpec(
        name="ollama",
        model="hivetrace_ollama.model:OllamaModel",
        options="hivetrace_ollama.options:OllamaOptions",
        classify="hivetrace_ollama.outcomes:classify_ollama",
        dialect="hivetrace_ollama.dialect:OllamaDialect",
        summary="Models of an Ollama server, local or hosted",
        api=1,
    )


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = ".options" if name.endswith("Options") else ".model"
    return getattr(import_module(home, __name__), name)
