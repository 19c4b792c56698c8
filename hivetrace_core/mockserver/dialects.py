"""The dialects of the installed plugins."""

from __future__ import annotations

from collections import Counter
from typing import Final

from ..errors import ConfigError, NameConflictError, PluginError, PluginLoadError
from ..registry.default import default_registry
from ..registry.registry import Registry
from ..registry.resolution import Resolved
from .dialect import Dialect

_NEEDED: Final = (
    "matches",
    "prompt_of",
    "wants_stream",
    "reply",
    "stream",
    "side",
    "model_of",
    "key_of",
    "variants",
    "cannot_say",
    "other_urls",
)


def installed_dialects(registry: Registry | None = None) -> tuple[dict[str, Dialect], list[PluginError]]:
    """The dialects that can be had, by plugin name, and why others cannot.

    Raises:
        ConfigError: there is none at all.
    """
    where = registry if registry is not None else default_registry()
    speaking = [found for found in where.everyone()[0] if found.spec.dialect is not None]
    times = Counter(found.name for found in speaking)
    dialects: dict[str, Dialect] = {}
    problems: list[PluginError] = []
    for found in speaking:
        try:
            if times[found.name] > 1:
                raise NameConflictError(f"Several plugins are called {found.name!r}; none of them is served.")
            dialects[found.name] = _made(found)
        except PluginError as problem:
            problems.append(problem)
    if not dialects:
        why = "".join(f"\n{problem}" for problem in problems)
        raise ConfigError(
            "No installed plugin speaks a wire format that could be served; install a provider's package, or list "
            f"what is there with: hivetrace models --check{why}"
        )
    return dialects, problems


def _made(found: Resolved) -> Dialect:
    loaded = found.load("dialect")
    try:
        dialect: Dialect = loaded() if isinstance(loaded, type) else loaded
    except Exception as exc:
        raise PluginLoadError(f"{found.spec.dialect} of {found.owner} could not be made: {exc}.") from exc
    missing = [name for name in _NEEDED if not hasattr(dialect, name)]
    if missing:
        raise PluginLoadError(
            f"{found.spec.dialect} of {found.owner} is no dialect: it lacks {', '.join(missing)}. "
            "Report it to the plugin's author."
        )
    return dialect
