"""Observers: objects with the three event hooks, turned into the bare callables that the engine calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Final

import pluggy

from ..engine.events import Observers
from ..errors import ConfigError
from .discovery import PluginInfo
from .loading import UnfitPlugin, manager_of
from .names import fold, split_qualified

_HOOKS: Final = {
    "hivetrace_request_started": "started",
    "hivetrace_request_finished": "finished",
    "hivetrace_retry_scheduled": "retry",
}


def observers_of(plugin: object) -> Observers:
    """The event hooks of one object, checked.

    Raises:
        UnfitPlugin: it has no event hook, or one that cannot be called on its own.
        pluggy.PluginValidationError: a hook has arguments that do not exist.
    """
    if isinstance(plugin, type):
        raise UnfitPlugin(f"{plugin.__name__} is a class, and its hooks need an instance")
    manager = manager_of(plugin)
    found = {
        field: tuple(_bare(impl) for impl in getattr(manager.hook, hook).get_hookimpls())
        for hook, field in _HOOKS.items()
    }
    if not any(found.values()):
        raise UnfitPlugin(f"it implements none of the hooks {', '.join(_HOOKS)}")
    return Observers(**found)


def merged(observers: Iterable[Observers]) -> Observers:
    """All of them as one, in order; each stays on its own, so that one that fails keeps nothing from the others."""
    every = list(observers)
    return Observers(
        started=tuple(callback for one in every for callback in one.started),
        finished=tuple(callback for one in every for callback in one.finished),
        retry=tuple(callback for one in every for callback in one.retry),
    )


def _bare(impl: pluggy.HookImpl) -> Callable[[Any], object]:
    if impl.wrapper or impl.hookwrapper:
        raise UnfitPlugin(
            "its event hooks are wrappers, and there is nothing to wrap: each observer is called on its own"
        )
    function = impl.function
    if "event" in (*impl.argnames, *impl.kwargnames):
        return function
    # Hooks may leave out arguments that they do not need.
    return lambda _event: function()


def unknown_observer(text: str, installed: Sequence[PluginInfo], denied: Sequence[PluginInfo]) -> ConfigError:
    """The error for a name that no observer has."""
    name = split_qualified(text)[1]
    names = sorted({plugin.key for plugin in installed})
    kept_out = [plugin for plugin in denied if plugin.key == fold(name)]
    close = get_close_matches(fold(name), names, 1)
    if kept_out:
        hint = f"{kept_out[0].release} has it, but the allow-list does not permit it."
    elif close:
        hint = f"Did you mean {close[0]!r}?"
    else:
        hint = f"Installed: {', '.join(names)}." if names else "No observer is installed."
    return ConfigError(f"No installed observer is called {text!r}. {hint}")
