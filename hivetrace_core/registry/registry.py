"""`Registry`: every name that can be used for a model here and now, and what stands behind it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from ..contract import is_written
from ..engine.events import Observers
from ..errors import ConfigError, PluginError
from . import lookup
from .allowed import AllowList, from_environment
from .conflicts import already_taken, several_distributions
from .discovery import MODELS, OBSERVERS, PluginInfo, Unreadable
from .installed import Installed
from .loading import broken, load_object
from .modules import execute, executing, locate
from .names import REGISTERED, fold, fold_distribution, split_qualified
from .observers import merged, observers_of, unknown_observer
from .resolution import Resolved
from .spec import ModelSpec, is_plugin_name
from .status import PluginStatus, checked, listed

__all__ = ["PluginStatus", "Registry"]


class Registry:
    """Finds models by name. Reads metadata and the environment when it is used, and imports a plugin when it is needed.

    Args:
        allow: Names of plugins or distributions that may be used; None for all. The environment's `HIVETRACE_PLUGINS`
            narrows this further. What is registered in this process is not concerned.
    """

    def __init__(self, allow: Collection[str] | None = None) -> None:
        self._allow = None if allow is None else AllowList.of(allow, "plugins.allow")
        self._parent: Registry | None = None
        self._installed = Installed()
        self._registered: dict[str, Resolved] = {}
        self._files: dict[Path, ModuleType | None] = {}
        self._lock = threading.Lock()
        # Held while a config's module runs; re-entrant, because the module may name another one.
        self._file_lock = threading.RLock()

    def with_allowed(self, allow: Collection[str] | None) -> Registry:
        """A registry for one run: this one, narrowed by a further allow-list (None narrows nothing).

        It sees what is registered here. What is registered in it, and the modules that it loads, stay in it.
        """
        child = Registry(allow)
        child._parent = self
        child._installed = self._installed
        return child

    # What is there: metadata only

    def plugins(self) -> list[PluginStatus]:
        """Every plugin that is installed or registered, also those that cannot be used; imports none of them."""
        return listed(self)

    def installed(self, group: str = MODELS) -> list[PluginInfo]:
        """The installed plugins that the allow-lists permit."""
        return self._split_by_permission(group)[0]

    def denied(self, group: str = MODELS) -> list[PluginInfo]:
        """The installed plugins that an allow-list keeps out."""
        return self._split_by_permission(group)[1]

    def unreadable(self) -> tuple[Unreadable, ...]:
        """Distributions whose metadata cannot be read."""
        return self._installed.discovery().unreadable

    def registered(self) -> dict[str, Resolved]:
        """What is registered in this process, by name."""
        inherited = self._parent.registered() if self._parent is not None else {}
        return inherited | self._registered

    # What a plugin says: its light module

    def check(self) -> list[PluginStatus]:
        """`plugins`, with every permitted plugin loaded and asked for its self-check."""
        return checked(self)

    def spec(self, name: str) -> ModelSpec:
        """The spec of a plugin's name, or of `distribution:name`.

        Raises:
            UnknownModelError: there is none.
            PluginError: it cannot be loaded, or two distributions have the name.
        """
        return lookup.by_plugin(self, name).spec

    def named(self, name: str, distribution: str | None = None) -> Resolved | None:
        """What has this name, in the given distribution or anywhere; None for nothing.

        Raises:
            NameConflictError: several distributions have it.
            PluginError: the one that has it cannot be loaded.
        """
        key = fold(name)
        if distribution is None or fold(distribution) == REGISTERED:
            in_process = self.registered().get(key)
            if in_process is not None:
                return in_process
        found = [plugin for plugin in self.installed() if plugin.key == key]
        if distribution is not None:
            found = [plugin for plugin in found if plugin.distribution == fold_distribution(distribution)]
        if len(found) > 1:
            raise several_distributions("plugin", found)
        return self.load(found[0]) if found else None

    def load(self, plugin: PluginInfo) -> Resolved:
        """One installed plugin with its spec.

        Raises:
            PluginError: it cannot be loaded; the same reason every time.
        """
        return Resolved(spec=self._installed.spec(plugin), distribution=plugin.distribution, version=plugin.version)

    def everyone(self) -> tuple[list[Resolved], list[PluginInfo]]:
        """Every model that can be had, and the plugins that failed to load and so could not be asked."""
        found, failed = list(self.registered().values()), []
        for plugin in self.installed():
            try:
                found.append(self.load(plugin))
            except PluginError:
                failed.append(plugin)
        return found, failed

    # What a name means

    def resolve(self, *, model: str | None = None, name: str | None = None) -> Resolved:
        """What a config's `model` and `name` mean.

        Args:
            model: A plugin's or registered name, a class name, or `distribution:name`.
            name: With `model`, the provider's own id. Alone: a registered name, a plugin's name, `plugin/id`, or an id
                that exactly one plugin claims.

        Raises:
            ConfigError: neither is given, or one is empty.
            UnknownModelError: nothing answers to it; says what comes close.
            NameConflictError: several do; says how to name each.
            PluginError: the plugin that is meant cannot be loaded.
        """
        return lookup.resolve(self, model, name)

    def resolve_class(self, class_name: str) -> Resolved:
        """The model whose class has this name; raises as `resolve` does."""
        return lookup.by_class_name(self, class_name)

    # What is added in this process

    def register(self, name: str, model_class: type[Any]) -> None:
        """Give a class a name. The same class again is fine; one that was defined anew takes the place of the old one.

        Args:
            name: Letters, digits and hyphens; compares like plugins' names.
            model_class: Any class with `invoke` or `ainvoke`.

        Raises:
            ConfigError: it is no such class, or the name is malformed.
            NameConflictError: another class or an installed plugin has the name.
        """
        running = executing.get()
        origin = running.file if running is not None and running.registry is self else None
        self._add(Resolved(spec=_spec_of_class(name, model_class), registered=model_class, origin=origin))

    def load_module(self, path: str | Path) -> None:
        """Execute a Python file that registers models or implements hooks; once for each registry.

        Raises:
            ConfigError: there is no such file.
            PluginError: it fails; names the file and the line. Nothing that it registered stays.
        """
        file = locate(path)
        with self._file_lock:
            if file in self._files:
                return
            self._files[file] = None
            try:
                self._files[file] = execute(file, self, lambda spec: self._add(Resolved(spec=spec, origin=file)))
            except BaseException:
                del self._files[file]
                with self._lock:
                    self._registered = {key: kept for key, kept in self._registered.items() if kept.origin != file}
                raise

    def load_observers(self, observers: Observers | str | Iterable[Any]) -> Observers:
        """The event hooks of observers, as callables that the engine can call.

        Args:
            observers: Names of the group `hivetrace.observers` (or `distribution:name`), names of files that
                `load_module` has executed (without `.py`), or objects with event hooks.

        Raises:
            ConfigError: a name is unknown, or an object has no event hooks.
            PluginError: an observer cannot be loaded.
        """
        if isinstance(observers, Observers):
            return observers
        return merged([self._observers_of(item) for item in ([observers] if isinstance(observers, str) else observers)])

    def _observers_of(self, item: Any) -> Observers:
        if not isinstance(item, str):
            try:
                return observers_of(item)
            except Exception as exc:
                raise ConfigError(f"An object of type {type(item).__name__} cannot observe: {exc}.") from exc
        distribution, name = split_qualified(item)
        if distribution is None and (module := self._module_named(name)) is not None:
            return self._observers_of(module)
        found = [plugin for plugin in self.installed(OBSERVERS) if plugin.key == fold(name)]
        if distribution is not None:
            found = [plugin for plugin in found if plugin.distribution == fold_distribution(distribution)]
        if not found:
            raise unknown_observer(item, self.installed(OBSERVERS), self.denied(OBSERVERS))
        if len(found) > 1:
            raise several_distributions("observer", found)
        plugin = load_object(found[0])
        try:
            return observers_of(plugin)
        except Exception as exc:
            raise broken(found[0], exc) from exc

    def _module_named(self, name: str) -> ModuleType | None:
        own = next((module for file, module in self._files.items() if fold(file.stem) == fold(name)), None)
        if own is not None or self._parent is None:
            return own
        return self._parent._module_named(name)

    def _split_by_permission(self, group: str) -> tuple[list[PluginInfo], list[PluginInfo]]:
        lists = self._allow_lists()
        permitted: list[PluginInfo] = []
        denied: list[PluginInfo] = []
        for plugin in self._installed.discovery().plugins:
            if plugin.group == group:
                (permitted if all(one.permits(plugin) for one in lists) else denied).append(plugin)
        return permitted, denied

    def _allow_lists(self) -> list[AllowList]:
        inherited = [from_environment()] if self._parent is None else self._parent._allow_lists()
        return [one for one in (*inherited, self._allow) if one is not None]

    def _add(self, new: Resolved) -> None:
        rivals = [plugin for plugin in self.installed() if plugin.key == new.name]
        with self._lock:
            old = self.registered().get(new.name)
            if rivals or (old is not None and not _is_same(old, new)):
                raise already_taken(new, old, rivals)
            self._registered = {**self._registered, new.name: new}


def _is_same(old: Resolved, new: Resolved) -> bool:
    """Whether it is the same class, or the same definition executed again (a notebook cell, a reloaded module)."""
    if old.registered is not None and new.registered is not None:
        if old.registered is new.registered:
            return True
        if "<locals>" in new.registered.__qualname__:
            return False
    return old.spec == new.spec


def _spec_of_class(name: str, model_class: type[Any]) -> ModelSpec:
    if not isinstance(model_class, type):
        raise ConfigError(f"register_model takes a class, not {model_class!r}: pass the class itself.")
    if not (is_written(model_class, "invoke") or is_written(model_class, "ainvoke")):
        raise ConfigError(f"{model_class.__qualname__} has neither invoke nor ainvoke: write one of them.")
    if not isinstance(name, str) or not is_plugin_name(fold(name)):
        raise ConfigError(f"A model's name is letters, digits and single hyphens, not {name!r}.")
    target = f"{model_class.__module__}:{model_class.__qualname__}"
    try:
        return ModelSpec(name=fold(name), model=target)
    except ValueError:
        # Defined inside a function, or in a module with an odd name: nobody could import it, and nobody has to.
        return ModelSpec(name=fold(name), model=f"{REGISTERED}:{model_class.__name__}")
