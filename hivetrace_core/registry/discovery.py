"""Which plugins are installed, read from metadata alone: no plugin's module is imported here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Final

from .causes import message_text
from .names import fold, fold_distribution

MODELS: Final = "hivetrace.models"
OBSERVERS: Final = "hivetrace.observers"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One declared entry point.

    Attributes:
        name: As the distribution declares it.
        distribution: Normalised, as package indexes show it.
        value: What the entry point names: `module` or `module:attribute`.
        group: `hivetrace.models` or `hivetrace.observers`.
    """

    name: str
    distribution: str
    version: str
    value: str
    group: str

    @property
    def key(self) -> str:
        """The name in the form in which names compare."""
        return fold(self.name)

    @property
    def qualified(self) -> str:
        """`distribution:name`, which no other plugin can answer to."""
        return f"{self.distribution}:{self.key}"

    @property
    def release(self) -> str:
        """Distribution and version, for messages."""
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A distribution whose metadata cannot be read, so that nobody knows what it offers."""

    distribution: str
    reason: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """What the installed metadata says."""

    plugins: tuple[PluginInfo, ...]
    unreadable: tuple[Unreadable, ...]


def discover() -> Discovery:
    """Read the metadata of every installed distribution, one at a time: a malformed one costs only itself.

    Where two copies of a distribution are on the path, the first one counts, as it does for imports.
    """
    unreadable: dict[str, Unreadable] = {}
    plugins: list[PluginInfo] = []
    for name, fault in _candidates().items():
        try:
            # By name, because only the first copy on the path is the installed one, and that one may declare nothing.
            plugins += _declared_by(metadata.distribution(name))
        except Exception as exc:  # noqa: BLE001  # metadata is foreign input: any fault of it is that distribution's
            unreadable[name] = Unreadable(name, message_text(fault or exc))
    return Discovery(tuple(dict.fromkeys(plugins)), tuple(unreadable.values()))


def _candidates() -> dict[str, Exception | None]:
    """Distributions that declare something for us, or that cannot be read and therefore might."""
    found: dict[str, Exception | None] = {}
    for distribution in metadata.distributions():
        fault = None
        try:
            if not any(point.group in {MODELS, OBSERVERS} for point in distribution.entry_points):
                continue
            # Parsing METADATA takes longer than all the rest, hence only for the few that matter.
            name = distribution.metadata["Name"] or _folder_name(distribution)
        except Exception as exc:  # noqa: BLE001  # as above
            name, fault = _folder_name(distribution), exc
        found.setdefault(fold_distribution(name), fault)
    return found


def _folder_name(distribution: metadata.Distribution) -> str:
    """The name as the metadata folder spells it, for a distribution that cannot say it itself."""
    path = getattr(distribution, "_path", None)
    return str(getattr(path, "name", "unknown")).partition("-")[0].removesuffix(".dist").removesuffix(".egg")


def _declared_by(distribution: metadata.Distribution) -> Iterator[PluginInfo]:
    name = fold_distribution(distribution.metadata["Name"])
    version = distribution.version
    for point in distribution.entry_points:
        if point.group in {MODELS, OBSERVERS}:
            yield PluginInfo(point.name, name, version, point.value, point.group)
