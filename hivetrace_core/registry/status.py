"""What `hivetrace models` shows: each plugin and whether it can be used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..errors import IncompatiblePluginError, PluginError
from .causes import cause_text
from .discovery import PluginInfo

if TYPE_CHECKING:
    from .registry import Registry
    from .resolution import Resolved

Status: TypeAlias = Literal[
    "installed", "registered", "conflict", "not allowed", "unreadable", "ok", "broken", "incompatible"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginStatus:
    """One line of the list.

    Attributes:
        name: The plugin's name; `?` for a distribution whose metadata cannot be read.
        distribution: None for what was registered in this process.
        status: `installed` where the plugin has not been loaded; `ok`, `broken` or `incompatible` where it has.
        detail: Why, or what the plugin's self-check says.
        summary: The plugin's own words; known once it has been loaded.
    """

    name: str
    distribution: str | None
    version: str | None
    status: Status
    detail: str = ""
    summary: str = ""


def listed(registry: Registry) -> list[PluginStatus]:
    """From metadata alone."""
    permitted = registry.installed()
    lines = [_line(plugin, *_place_of(plugin, permitted)) for plugin in permitted]
    lines += [_line(plugin, "not allowed", "an allow-list keeps it out") for plugin in registry.denied()]
    return _sorted([*lines, *_registered(registry), *_unreadable(registry)])


def checked(registry: Registry) -> list[PluginStatus]:
    """With each permitted plugin loaded; the others as `listed` has them."""
    permitted = registry.installed()
    lines = [_checked(registry, plugin, _place_of(plugin, permitted)) for plugin in permitted]
    return _sorted([*lines, *(line for line in listed(registry) if line.status in _NOT_LOADED)])


_NOT_LOADED = ("not allowed", "registered", "unreadable")


def _checked(registry: Registry, plugin: PluginInfo, place: tuple[Status, str]) -> PluginStatus:
    line = _line(plugin, *place)
    try:
        found = registry.load(plugin)
        line = replace(line, summary=found.spec.summary)
        found.options_class()
        report = _self_check(found)
    except IncompatiblePluginError as exc:
        return replace(line, status="incompatible", detail=str(exc))
    except PluginError as exc:
        return replace(line, status="broken", detail=str(exc))
    return line if line.status == "conflict" else replace(line, status="ok", detail=report)


def _self_check(found: Resolved) -> str:
    check = found.load("check")
    if check is None:
        return ""
    try:
        return str(check() or "")
    except PluginError:
        raise
    except (Exception, SystemExit) as exc:
        raise PluginError(f"The self-check of {found.owner} failed: {cause_text(exc)}.") from exc


def _place_of(plugin: PluginInfo, permitted: Iterable[PluginInfo]) -> tuple[Status, str]:
    rivals = [one for one in permitted if one.key == plugin.key and one is not plugin]
    if not rivals:
        return "installed", ""
    if all(one.distribution == plugin.distribution for one in rivals):
        return "broken", f"{plugin.distribution} declares it more than once"
    return "conflict", f"write {plugin.qualified!r} to use this one"


def _line(plugin: PluginInfo, status: Status, detail: str) -> PluginStatus:
    return PluginStatus(
        name=plugin.key, distribution=plugin.distribution, version=plugin.version, status=status, detail=detail
    )


def _registered(registry: Registry) -> list[PluginStatus]:
    return [
        PluginStatus(name=name, distribution=None, version=None, status="registered", detail=f"by {found.release}")
        for name, found in registry.registered().items()
    ]


def _unreadable(registry: Registry) -> list[PluginStatus]:
    return [
        PluginStatus(name="?", distribution=one.distribution, version=None, status="unreadable", detail=one.reason)
        for one in registry.unreadable()
    ]


def _sorted(lines: Iterable[PluginStatus]) -> list[PluginStatus]:
    return sorted(lines, key=lambda line: (line.name, line.distribution or ""))
