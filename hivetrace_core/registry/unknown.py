"""The errors for names that nothing answers to, each with the next thing to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ..errors import UnknownModelError
from .dependencies import CORE, core_extras
from .discovery import PluginInfo
from .names import fold, fold_distribution, split_qualified

if TYPE_CHECKING:
    from .registry import Registry
    from .resolution import Resolved


def plugin(registry: Registry, text: str) -> UnknownModelError:
    """Nothing is called `name` or `distribution:name`."""
    distribution, name = split_qualified(text)
    if distribution is None:
        return _error(registry, f"No installed plugin or registered model is called {text!r}.", name)
    others = [one.qualified for one in registry.installed() if one.key == fold(name)]
    hint = [f"{name!r} is installed as {' and '.join(map(repr, others))}."] if others else []
    return _error(registry, f"No installed distribution {distribution!r} has a plugin {name!r}.", name, hints=hint)


def class_name(registry: Registry, text: str, known: Iterable[str], failed: Sequence[PluginInfo]) -> UnknownModelError:
    """No plugin, registered model or class is called so."""
    hints = []
    if "/" in text:
        hints.append(f"For 'plugin/id' write 'name: {text}' without 'model'.")
    return _error(
        registry,
        f"No installed plugin, registered model or model class is called {text!r}.",
        text.partition("/")[0],
        others=known,
        failed=failed,
        hints=hints,
    )


def first_segment(registry: Registry, name: str, first: str) -> UnknownModelError:
    """The part before the first slash is no plugin."""
    hint = f"If {name!r} is a provider's own id, write the provider before it: 'PROVIDER/{name}'."
    return _error(
        registry,
        f"The name {name!r} starts with {first!r}, and no installed plugin or registered model is called that.",
        split_qualified(first)[1],
        hints=[hint],
    )


def lone_name(
    registry: Registry, name: str, claimed_in_lower_case: Sequence[Resolved], failed: Sequence[PluginInfo]
) -> UnknownModelError:
    """It is no plugin's name, and no plugin claims it as an id."""
    hints = [f"{name.lower()!r} would be claimed by {one.owner}." for one in claimed_in_lower_case]
    hints.append(f"If it is a provider's own id, write the provider before it: 'PROVIDER/{name}'.")
    return _error(
        registry,
        f"No installed plugin or registered model is called {name!r}, and no plugin claims it as a model id.",
        name,
        failed=failed,
        hints=hints,
    )


def _error(
    registry: Registry,
    what: str,
    name: str,
    *,
    others: Iterable[str] = (),
    failed: Sequence[PluginInfo] = (),
    hints: Iterable[str] = (),
) -> UnknownModelError:
    names = sorted({one.key for one in registry.installed()} | set(registry.registered()))
    denied, unasked, extra = _denied(registry, name), _unasked(registry, failed), _extra(name)
    return UnknownModelError(" ".join([what, *denied, *_close(name, names, others), *hints, *unasked, *extra]))


def _denied(registry: Registry, name: str) -> list[str]:
    found = [one for one in registry.denied() if one.key == fold(name)]
    return [f"{one.release} has a plugin {one.key!r}, but the allow-list does not permit it." for one in found]


def _extra(name: str) -> list[str]:
    """The install line, where the name (or the start of a class's name) is one of core's own extras."""
    folded = fold_distribution(name)
    extras = sorted(core_extras(), key=len, reverse=True)
    exact = [extra for extra in extras if fold_distribution(extra) == folded]
    of_class = [extra for extra in extras if name[:1].isupper() and folded.startswith(fold_distribution(extra))]
    return [f"Run: pip install '{CORE}[{extra}]'" for extra in (exact or of_class)[:1]]


def _close(name: str, names: Sequence[str], others: Iterable[str]) -> list[str]:
    by_fold = {fold(one): one for one in (*others, *names)}
    close = [by_fold[match] for match in get_close_matches(fold(name), list(by_fold), 3)]
    if close:
        return [f"Did you mean {' or '.join(map(repr, close))}?"]
    return [f"Installed: {', '.join(names)}." if names else "No plugin is installed."]


def _unasked(registry: Registry, failed: Sequence[PluginInfo]) -> list[str]:
    lost = [f"{one.key} ({one.release})" for one in failed] + [one.distribution for one in registry.unreadable()]
    if not lost:
        return []
    return [f"These plugins are broken and could not be asked: {', '.join(lost)}; run 'hivetrace models --check'."]
