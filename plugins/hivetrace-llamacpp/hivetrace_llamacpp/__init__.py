"""GGUF models inside the process, many prompts at a time, as HiveTrace models.

Importing this module loads nothing native; the class is loaded when it is first named, llama.cpp when a model is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hivetrace_core import ModelSpec, hookimpl

if TYPE_CHECKING:
    from .model import LlamaCppModel
    from .options import LlamaCppOptions

__all__ = ["LlamaCppModel", "LlamaCppOptions"]


@hookimpl
def hivetrace_models() -> Iterator[ModelSpec]:
    """Register `llamacpp`."""
    yield ModelSpec(
        name="llamacpp",
        model="hivetrace_llamacpp.model:LlamaCppModel",
        options="hivetrace_llamacpp.options:LlamaCppOptions",
        claims=("*.gguf",),
        id_option="model_path",
        classify="hivetrace_llamacpp.outcomes:classify",
        check="hivetrace_llamacpp.checkup:check",
        summary="GGUF models in this process, through llama.cpp",
        api=1,
    )


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = ".options" if name.endswith("Options") else ".model"
    return getattr(import_module(home, __name__), name)
