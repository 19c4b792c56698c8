"""The installed plugins: found once, each loaded at most once, failures remembered with their reason."""

from __future__ import annotations

import threading

from ..errors import PluginError
from .discovery import Discovery, PluginInfo, discover
from .loading import load_spec
from .spec import ModelSpec


class Installed:
    """Lazy, and safe from several threads.

    A plugin's own code never runs while a lock is held, so that a plugin that uses the registry while it is imported
    cannot lock up the process. Two threads may load the same plugin at once: both get the same answer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._discovery: Discovery | None = None
        self._loaded: dict[PluginInfo, ModelSpec | PluginError] = {}

    def discovery(self) -> Discovery:
        """What the metadata says."""
        with self._lock:
            if self._discovery is None:
                self._discovery = discover()
            return self._discovery

    def spec(self, info: PluginInfo) -> ModelSpec:
        """The plugin's spec; imports its light module the first time.

        Raises:
            PluginError: the plugin is broken; the same reason every time, without trying again.
        """
        known = self._loaded.get(info)
        if known is None:
            try:
                known = load_spec(info)
            except PluginError as exc:
                self._loaded.setdefault(info, type(exc)(str(exc)))
                raise
            # Over a failure too: a plugin that asked for itself while it was imported was half there then.
            self._loaded[info] = known
        if isinstance(known, PluginError):
            # A new one each time: a raised exception collects tracebacks, and keeps what they refer to alive.
            raise type(known)(str(known))
        return known
