"""The registry of the process, and the functions that use it when none is given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConfigError, UnknownModelError
from .modules import executing
from .registry import Registry

if TYPE_CHECKING:
    from ..contract import Model
    from ..engine.events import Observers


class UnknownClassError(UnknownModelError, ImportError):
    """No installed plugin has a model class of that name.

    Not an `AttributeError`: an import statement would replace its message, and with it what to install.
    """


_DEFAULT: Final = Registry()  # reads nothing before it is used


def default_registry() -> Registry:
    """The registry that is used where none is given."""
    return _DEFAULT


def create_model(
    name: str,
    /,
    *,
    registry: Registry | None = None,
    observers: Observers | str | Iterable[Any] | None = None,
    **params: Any,
) -> Model:
    """Make a model: `create_model("acme/model-1", temperature=0)`.

    Args:
        name: What a config's lone `name` may be: a registered name, a plugin's name, `plugin/id`, or an id that one
            plugin claims. `distribution:name` says which distribution is meant.
        registry: Where to look; the process's own by default.
        observers: Who is told of requests, as `load_observers` takes them; providers only.
        params: The model's options.

    Raises:
        ConfigError: a param does not fit.
        PluginError: the name means nothing, or several things, or its plugin cannot be loaded.
    """
    where = registry if registry is not None else default_registry()
    watching = None if observers is None else where.load_observers(observers)
    model = where.resolve(name=name).build(params, observers=watching)
    if watching is not None and getattr(model, "observers", None) is not watching:
        raise ConfigError(f"{name!r} is not a provider, so there is nothing that observers could be told of.")
    return model


def register_model(name: str, model_class: type[Any]) -> None:
    """Give a class a name that configs and `create_model` can use; see `Registry.register`.

    Inside a module that a config names, the name belongs to the run that executes it.
    """
    running = executing.get()
    (running.registry if running is not None else default_registry()).register(name, model_class)


def class_named(class_name: str) -> type[Any]:
    """The model class of this name, whatever plugin has it; imports its SDK.

    Raises:
        UnknownClassError: no plugin has one.
        PluginError: several have, or the one that has cannot be imported.
    """
    try:
        found = default_registry().resolve_class(class_name)
    except UnknownModelError as exc:
        raise UnknownClassError(str(exc)) from None
    return found.model_class()


def class_names() -> list[str]:
    """The names of all model classes that can be had; imports no SDK."""
    return sorted({found.spec.class_name for found in default_registry().everyone()[0]})


def load_observers(observers: Observers | str | Iterable[Any], *, registry: Registry | None = None) -> Observers:
    """The event hooks of observers, given as names or objects; see `Registry.load_observers`."""
    return (registry if registry is not None else default_registry()).load_observers(observers)
