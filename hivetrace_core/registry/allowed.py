"""Allow-lists: which installed plugins may be used at all. Applied to metadata, before anything is imported."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from ..errors import ConfigError
from .discovery import PluginInfo
from .names import fold_distribution

VARIABLE: Final = "HIVETRACE_PLUGINS"
"""Names of plugins or distributions, separated by commas or spaces. Set but empty, it allows none."""


@dataclass(frozen=True, slots=True)
class AllowList:
    """What one source allows: names of plugins, of distributions, or `distribution:name`."""

    source: str
    names: frozenset[str]

    @classmethod
    def of(cls, names: Collection[str], source: str) -> AllowList:
        """An allow-list of these names, however they spell case, `_` and `-`."""
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise ConfigError(f"{source} must be a list of names of plugins or distributions.")
        # Distributions fold more than plugin names do; a plugin's name has nothing that this would change.
        return cls(source, frozenset(fold_distribution(name.strip()) for name in names))

    def permits(self, plugin: PluginInfo) -> bool:
        """Whether the plugin is on the list."""
        names = {plugin.distribution, plugin.key, plugin.qualified}
        return not self.names.isdisjoint({fold_distribution(name) for name in names})


def from_environment() -> AllowList | None:
    """The allow-list of the environment; None where the variable is not set."""
    value = os.environ.get(VARIABLE)
    if value is None:
        return None
    return AllowList.of([name for name in re.split(r"[,\s]+", value) if name], VARIABLE)
