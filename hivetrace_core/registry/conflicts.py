"""The messages for names that several plugins have. Nobody wins: precedence is how a hijack goes unnoticed."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import NameConflictError, PluginError, PluginLoadError
from .discovery import PluginInfo
from .resolution import Resolved


def several_distributions(kind: str, plugins: Sequence[PluginInfo]) -> PluginError:
    """The error for one name in several entry points."""
    name = plugins[0].key
    distributions = sorted({plugin.distribution for plugin in plugins})
    if len(distributions) == 1:
        return PluginLoadError(
            f"{plugins[0].release} declares the {kind} {name!r} more than once, so it is not known which is meant. "
            f"Update or uninstall {distributions[0]}."
        )
    owners = " and ".join(sorted({plugin.release for plugin in plugins}))
    qualified = " or ".join(repr(f"{distribution}:{name}") for distribution in distributions)
    return NameConflictError(
        f"The {kind} {name!r} is provided by {owners}. Uninstall one of them (pip uninstall {distributions[0]}), or "
        f"say which one is meant: write {qualified} instead of {name!r}."
    )


def several_claims(name: str, claimants: Sequence[Resolved]) -> NameConflictError:
    """The error for an id that several plugins claim."""
    owners = " and ".join(claimant.owner for claimant in claimants)
    return NameConflictError(
        f"The model id {name!r} is claimed by {owners}. Say which one is meant: write {_choices(claimants, name)}."
    )


def several_classes(class_name: str, found: Sequence[Resolved]) -> NameConflictError:
    """The error for a class name that several plugins have."""
    owners = " and ".join(one.owner for one in found)
    choices = " or ".join(repr(one.qualified) for one in found)
    return NameConflictError(
        f"The class {class_name!r} is offered by {owners}. Say which one is meant: write {choices} instead."
    )


def two_readings(name: str, plugin: str, rest: str) -> NameConflictError:
    """The error for `Plugin/id` where only the case keeps the first segment from being the plugin's name."""
    return NameConflictError(
        f"The name {name!r} can be read in two ways. If {plugin!r} is the plugin and {rest!r} its model, write "
        f"'{plugin}/{rest}'. If the whole of {name!r} is some provider's own id, write that provider before it: "
        f"'PROVIDER/{name}'."
    )


def default_or_id(name: str, plugin: Resolved, claimants: Sequence[Resolved]) -> NameConflictError:
    """The error for a lone name that is a plugin's but for its case, and also an id that plugins claim."""
    default = f" ({plugin.spec.default_id})" if plugin.spec.default_id else ""
    return NameConflictError(
        f"The name {name!r} can be read in two ways. For the default model{default} of {plugin.owner}, write "
        f"{plugin.name!r}. For the model whose id is {name!r}, write {_choices(claimants, name)}."
    )


def already_taken(new: Resolved, old: Resolved | None, rivals: Sequence[PluginInfo]) -> NameConflictError:
    """The error for registering a name that is not free."""
    if old is not None:
        owner = old.owner
    else:
        owner = " and ".join(f"plugin {rival.key!r} of {rival.release}" for rival in rivals)
    what = new.registered.__qualname__ if new.registered is not None else new.spec.class_name
    return NameConflictError(
        f"{what} cannot be registered as {new.name!r}: that name is taken by {owner}. Choose another name."
    )


def _choices(claimants: Sequence[Resolved], model_id: str) -> str:
    names = [claimant.name for claimant in claimants]
    return " or ".join(
        repr(f"{one.name if names.count(one.name) == 1 else one.qualified}/{model_id}") for one in claimants
    )
