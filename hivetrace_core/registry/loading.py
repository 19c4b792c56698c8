"""Loading one plugin, guarded: whatever its module does, the outcome is its specs or a `PluginError` that names it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.metadata import EntryPoint
from typing import Any, Final

import pluggy

from ..errors import IncompatiblePluginError, PluginError, PluginLoadError
from . import hookspecs
from .causes import cause_text
from .dependencies import install_line, is_own_module
from .discovery import PluginInfo
from .spec import PLUGIN_API, ModelSpec

HOOKS: Final = tuple(name for name in vars(hookspecs) if name.startswith("hivetrace_"))

_log = logging.getLogger("hivetrace_core.registry")


class UnfitPlugin(Exception):  # noqa: N818  # always becomes a PluginLoadError
    """A plugin that can be imported does not keep its side of the contract; the message says in what."""


def load_object(info: PluginInfo) -> Any:
    """Import what an entry point names.

    Raises:
        PluginLoadError: names the plugin, its distribution and the cause. `KeyboardInterrupt` passes.
    """
    try:
        return EntryPoint(info.name, info.value, info.group).load()
    except (Exception, SystemExit) as exc:
        raise broken(info, exc) from exc


def load_spec(info: PluginInfo) -> ModelSpec:
    """Import a plugin's light module and ask it, and only it, for the spec of its name.

    Raises:
        PluginLoadError: it cannot be imported, breaks the hooks' contract, or has no spec of that name.
        IncompatiblePluginError: the spec was written for another plugin API.
    """
    plugin = load_object(info)
    try:
        specs = [spec for spec in specs_of(plugin) if spec.name == info.key]
        if len(specs) != 1:
            what = "no spec" if not specs else f"{len(specs)} specs"
            raise UnfitPlugin(f"its hivetrace_models() yields {what} of the name {info.name!r} that it declares")
    except (Exception, SystemExit) as exc:
        raise broken(info, exc) from exc
    check_api(specs[0], info.release)
    return specs[0]


def check_api(spec: ModelSpec, owner: str) -> None:
    """Raise `IncompatiblePluginError` for a spec of another plugin API."""
    if spec.api == PLUGIN_API:
        return
    older = "hivetrace-core" if spec.api > PLUGIN_API else "the plugin"
    raise IncompatiblePluginError(
        f"Plugin {spec.name!r} of {owner} needs plugin API {spec.api}, and this hivetrace-core has API {PLUGIN_API}. "
        f"Upgrade {older}."
    )


def manager_of(plugin: object) -> pluggy.PluginManager:
    """A plugin manager in which this plugin is the only one, its hooks validated.

    One manager each, so that nobody else can answer in the plugin's place, and a plugin that does not validate leaves
    nothing behind.

    Raises:
        UnfitPlugin: a hook's name is unknown.
        pluggy.PluginValidationError: a hook has arguments that do not exist.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    if manager.register(plugin) is None:
        raise UnfitPlugin("its entry point names None")
    for caller in manager.get_hookcallers(plugin) or ():
        # pluggy accepts hooks that it does not know, which makes a misspelt one silent.
        if not caller.has_spec() and not all(impl.optionalhook for impl in caller.get_hookimpls()):
            close = get_close_matches(caller.name, HOOKS, 1, 0.5)
            hint = f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(HOOKS)}"
            raise UnfitPlugin(f"it implements an unknown hook {caller.name!r}{hint}")
    return manager


def specs_of(plugin: object) -> Iterator[ModelSpec]:
    """What the plugin's own `hivetrace_models` yields; raises whatever is wrong with it."""
    manager = manager_of(plugin)
    if not manager.hook.hivetrace_models.get_hookimpls():
        if inspect.getattr_static(plugin, "hivetrace_models", None) is not None:
            raise UnfitPlugin("its hivetrace_models() is not marked with @hookimpl")
        raise UnfitPlugin("it implements no hook hivetrace_models()")
    for answer in manager.hook.hivetrace_models():
        if isinstance(answer, ModelSpec):
            raise UnfitPlugin("its hivetrace_models() returns a ModelSpec; it must yield it, or return a list")
        for spec in answer:
            if not isinstance(spec, ModelSpec):
                raise UnfitPlugin(f"its hivetrace_models() yields a {type(spec).__name__}; only ModelSpec is allowed")
            yield spec


def broken(info: PluginInfo, exc: BaseException) -> PluginError:
    """The error for a plugin that failed, ready to be raised from its cause."""
    _log.debug("Plugin %s could not be loaded", info.qualified, exc_info=exc)
    cause = str(exc) if isinstance(exc, UnfitPlugin) else cause_text(exc)
    if isinstance(exc, ModuleNotFoundError) and not is_own_module(exc.name, info.value):
        advice = install_line(info.distribution, str(exc.name))
    else:
        advice = f"Update or uninstall {info.distribution}; other plugins are not affected."
    return PluginLoadError(f"Plugin {info.name!r} of {info.release} could not be loaded: {cause}. {advice}")
