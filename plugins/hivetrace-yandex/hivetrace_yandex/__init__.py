"""YandexGPT (Yandex AI Studio) as a HiveTrace model.

Importing this module imports neither the model nor an HTTP library; the classes are loaded when they are first named.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hivetrace_core import ModelSpec, hookimpl

if TYPE_CHECKING:
    from .model import YandexGPTModel
    from .options import YandexGPTOptions

__all__ = ["YandexGPTModel", "YandexGPTOptions"]


@hookimpl
def hivetrace_models() -> Iterator[ModelSpec]:
    """Register `yandex`."""
    yield ModelSpec(
        name="yandex",
        model="hivetrace_yandex.model:YandexGPTModel",
        options="hivetrace_yandex.options:YandexGPTOptions",
        default_id="yandexgpt-lite",
        # The open weights of the family are named with their size; other plugins run those.
        claims=("yandexgpt", "yandexgpt-*", "!yandexgpt-*-8b*"),
        classify="hivetrace_yandex.outcomes:classify",
        dialect="hivetrace_yandex.dialect:YandexDialect",
        summary="YandexGPT in Yandex AI Studio",
        api=1,
    )


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = ".options" if name.endswith("Options") else ".model"
    return getattr(import_module(home, __name__), name)
