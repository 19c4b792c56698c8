"""OpenAI, Azure OpenAI, OpenRouter, Cloud.ru and any OpenAI-compatible server as HiveTrace models.

Importing this module imports neither the models nor an HTTP library; the classes are loaded when they are first named.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hivetrace_core import ModelSpec, hookimpl

if TYPE_CHECKING:
    from .model import OpenAIModel, OpenRouterModel, SberCloudModel
    from .options import OpenAIOptions, OpenRouterOptions, SberCloudOptions

__all__ = [
    "OpenAIModel",
    "OpenAIOptions",
    "OpenRouterModel",
    "OpenRouterOptions",
    "SberCloudModel",
    "SberCloudOptions",
]


@hookimpl
def hivetrace_models() -> Iterator[ModelSpec]:
    """Register `openai`, `openrouter` and `sbercloud`."""
    yield ModelSpec(
        name="openai",
        model="hivetrace_openai.model:OpenAIModel",
        options="hivetrace_openai.options:OpenAIOptions",
        claims=("gpt-*", "chatgpt-*", "o[1-9]", "o[1-9]-*", "!gpt-oss*", "!gpt-neo*", "!gpt-j*"),
        classify="hivetrace_openai.outcomes:classify_openai",
        dialect="hivetrace_openai.dialect:OpenAIDialect",
        summary="OpenAI, Azure OpenAI and OpenAI-compatible servers",
        api=1,
    )
    yield ModelSpec(
        name="openrouter",
        model="hivetrace_openai.model:OpenRouterModel",
        options="hivetrace_openai.options:OpenRouterOptions",
        classify="hivetrace_openai.outcomes:classify_openrouter",
        dialect="hivetrace_openai.dialect:OpenRouterDialect",
        summary="Many vendors' models through openrouter.ai",
        api=1,
    )
    yield ModelSpec(
        name="sbercloud",
        model="hivetrace_openai.model:SberCloudModel",
        options="hivetrace_openai.options:SberCloudOptions",
        classify="hivetrace_openai.outcomes:classify_sbercloud",
        dialect="hivetrace_openai.dialect:SberCloudDialect",
        summary="Cloud.ru Foundation Models",
        api=1,
    )


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = ".options" if name.endswith("Options") else ".model"
    return getattr(import_module(home, __name__), name)
