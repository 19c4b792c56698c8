"""How a name in a config resolves. Each step is tried only where the ones before it found nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import ConfigError
from . import conflicts, unknown
from .names import differs_in_case, fold, split_qualified
from .resolution import Resolved

if TYPE_CHECKING:
    from .registry import Registry


def resolve(registry: Registry, model: str | None, name: str | None) -> Resolved:
    """What `model` and `name` mean together."""
    for key, value in (("model", model), ("name", name)):
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise ConfigError(f"{key!r} must be the name of a model, not {value!r}.")
    if model is not None:
        return by_model(registry, model, name)
    if name is None:
        raise ConfigError("A model needs 'model' (a plugin or class), 'name' (an id such as 'plugin/id'), or both.")
    return by_lone_name(registry, name)


def by_plugin(registry: Registry, text: str) -> Resolved:
    """`name` or `distribution:name`, nothing else."""
    distribution, name = split_qualified(text)
    found = registry.named(name, distribution)
    if found is None:
        raise unknown.plugin(registry, text)
    return found


def by_model(registry: Registry, model: str, model_id: str | None) -> Resolved:
    """A plugin, a registered name or a class, with the provider's own id if there is one."""
    distribution, name = split_qualified(model)
    found = registry.named(name, distribution)
    if found is not None:
        how = f"{model!r} is {found.owner}"
    elif distribution is None:
        found = by_class_name(registry, model)
        how = f"class {model!r} is {found.owner}"
    else:
        raise unknown.plugin(registry, model)
    return _with_id(found, model_id, how) if model_id is not None else _on_its_own(found, name, how)


def by_class_name(registry: Registry, class_name: str) -> Resolved:
    """The model whose class has exactly this name; loads every plugin's light module."""
    everyone, failed = registry.everyone()
    found = [one for one in everyone if one.spec.class_name == class_name]
    # A plugin's class that somebody also registered under a name of their own is still that plugin's.
    declared = {one.spec.model for one in found if one.registered is None}
    found = [one for one in found if one.registered is None or one.spec.model not in declared]
    if not found:
        raise unknown.class_name(registry, class_name, [one.spec.class_name for one in everyone], failed)
    if len(found) > 1:
        raise conflicts.several_classes(class_name, found)
    return found[0]


def by_lone_name(registry: Registry, name: str) -> Resolved:
    """A registered or plugin's name, `plugin/id`, or an id that one plugin claims; in this order."""
    if "/" in name:
        return _plugin_and_id(registry, name)
    found = registry.named(name)
    if found is None:
        distribution, plugin = split_qualified(name)
        # Ids with a colon stay whole, unless the whole is exactly what an installed plugin is called.
        found = registry.named(plugin, distribution) if distribution is not None else None
    elif differs_in_case(name) and found.registered is None and found.spec.default_id != name:
        claimants = _claimants(registry.everyone()[0], name)
        if claimants:
            raise conflicts.default_or_id(name, found, claimants)
    if found is not None:
        return _on_its_own(found, name, f"{name!r} is {found.owner}")
    return _claimed(registry, name)


def _plugin_and_id(registry: Registry, name: str) -> Resolved:
    first, _, rest = name.partition("/")
    distribution, plugin = split_qualified(first)
    if distribution is None and differs_in_case(plugin) and _is_known(registry, plugin):
        raise conflicts.two_readings(name, fold(plugin), rest)
    found = registry.named(plugin, distribution)
    if found is None:
        raise unknown.first_segment(registry, name, first)
    if not rest:
        raise ConfigError(f"The name {name!r} ends at the slash: write the model's id after it, as in '{first}/ID'.")
    return _with_id(found, rest, f"{name!r} is the model {rest!r} of {found.owner}")


def _claimed(registry: Registry, name: str) -> Resolved:
    everyone, failed = registry.everyone()
    claimants = _claimants(everyone, name)
    if not claimants:
        raise unknown.lone_name(registry, name, _claimants(everyone, name.lower()), failed)
    if len(claimants) > 1:
        raise conflicts.several_claims(name, claimants)
    found = claimants[0]
    return _with_id(found, name, f"{name!r} is claimed by {found.owner} ({found.spec.claim(name)})")


def _claimants(everyone: Sequence[Resolved], name: str) -> list[Resolved]:
    return [one for one in everyone if one.spec.claim(name) is not None]


def _is_known(registry: Registry, name: str) -> bool:
    key = fold(name)
    return key in registry.registered() or any(plugin.key == key for plugin in registry.installed())


def _with_id(found: Resolved, model_id: str, how: str) -> Resolved:
    return replace(found, id=model_id, id_given=True, how=how)


def _on_its_own(found: Resolved, name: str, how: str) -> Resolved:
    """A name without an id: the plugin's default, or for a registered class the name itself, as it was written."""
    if found.registered is not None:
        return replace(found, id=name, how=how)
    default = found.spec.default_id
    return replace(found, id=default, how=f"{how}, with its default model {default!r}" if default else how)
