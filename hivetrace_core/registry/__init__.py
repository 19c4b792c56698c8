"""Plugins: from a name in a config to a model class, importing as little as possible at each step.

The light halves (`spec`, `hookspecs`) are what a plugin imports; everything else is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .default import create_model, default_registry, load_observers, register_model
    from .discovery import PluginInfo
    from .hookspecs import hookimpl
    from .registry import PluginStatus, Registry
    from .resolution import Resolved
    from .spec import PLUGIN_API, ModelSpec

__all__ = [
    "PLUGIN_API",
    "ModelSpec",
    "PluginInfo",
    "PluginStatus",
    "Registry",
    "Resolved",
    "create_model",
    "default_registry",
    "hookimpl",
    "load_observers",
    "register_model",
]

_HOMES: Final = {
    "PLUGIN_API": "spec",
    "ModelSpec": "spec",
    "PluginInfo": "discovery",
    "PluginStatus": "registry",
    "Registry": "registry",
    "Resolved": "resolution",
    "create_model": "default",
    "default_registry": "default",
    "hookimpl": "hookspecs",
    "load_observers": "default",
    "register_model": "default",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
