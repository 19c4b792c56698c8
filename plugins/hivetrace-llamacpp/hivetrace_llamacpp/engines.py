"""Engines by file and settings: two models with the same file and settings share one."""

from __future__ import annotations

import atexit
import os
import threading
from typing import Any, Final

from hivetrace_core import ConfigError

from .context import ContextSettings
from .engine import Engine

EXIT_PATIENCE_S: Final = 10.0
"""How long the end of the process waits for a computation on a GPU; on a CPU it ends within milliseconds."""

# A model that is collected gives its share back in the middle of whatever its thread was doing. So the lock is
# reentrant, and nobody waits for anything else while holding it.
_lock = threading.RLock()
_engines: dict[tuple[Any, ...], _Shared] = {}
_first_process: int | None = None


class _Shared:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.leases = 0


class Lease:
    """A share in an engine, held by one model. Thread-safe.

    Args:
        settings: What is needed.

    Raises:
        ConfigError: this process was forked from one that had a model loaded.
    """

    def __init__(self, settings: ContextSettings) -> None:
        check_process()
        self._settings = settings
        self._shared: _Shared | None = _acquire(settings)

    @property
    def engine(self) -> Engine:
        """The engine; a new one where the old one has failed."""
        with _lock:
            shared = self._shared
        if shared is not None and shared.engine.alive:
            return shared.engine
        self._give_back(shared)
        fresh = _acquire(self._settings)
        with _lock:
            if self._shared is None:
                self._shared = fresh
                return fresh.engine
            winner = self._shared.engine
        self._drop(fresh)  # another thread was faster
        return winner

    def release(self) -> Engine | None:
        """Give the share back; the engine that nobody shares any more stops, and is returned."""
        with _lock:
            shared = self._shared
        return self._give_back(shared)

    def _give_back(self, shared: _Shared | None) -> Engine | None:
        """Give this share back, unless another thread has done so."""
        with _lock:
            if shared is None or self._shared is not shared:
                return None
            self._shared = None
        return self._drop(shared)

    def _drop(self, shared: _Shared) -> Engine | None:
        with _lock:
            shared.leases -= 1
            if shared.leases:
                return None
            key = self._settings.key
            if _engines.get(key) is shared:
                del _engines[key]
        if os.getpid() == _first_process:
            shared.engine.stop()
        return shared.engine


def check_process() -> None:
    """Refuse to go on in a forked child: the engine's thread and the threads of the computation stayed in the parent.

    Raises:
        ConfigError: this is such a child.
    """
    if _first_process not in (None, os.getpid()):
        raise ConfigError(
            "This process was forked after a GGUF model had been loaded, and llama.cpp does not work in such a child. "
            "Use the start method 'spawn' (multiprocessing.get_context('spawn')), or load models in the children only."
        )


def _acquire(settings: ContextSettings) -> _Shared:
    global _first_process  # noqa: PLW0603  # which process has the threads
    fresh: list[Engine] = []
    with _lock:
        if _first_process is None:
            _first_process = os.getpid()
            atexit.register(_close_all)
        while True:
            shared = _engines.get(settings.key)
            if shared is None or not shared.engine.alive:
                shared = _engines[settings.key] = _Shared(Engine(settings))
                fresh.append(shared.engine)
            shared.leases += 1
            if _engines.get(settings.key) is shared:  # nobody gave the last share back meanwhile
                break
    # Not with the lock: a new thread may collect a model before it says that it has started.
    for engine in fresh:
        engine.start()
    return shared


def _close_all() -> None:
    """No computation may run while the process takes its libraries down."""
    if os.getpid() != _first_process:
        return
    with _lock:
        engines = [shared.engine for shared in _engines.values()]
        _engines.clear()
    for engine in engines:
        engine.stop()
    for engine in engines:
        engine.join(EXIT_PATIENCE_S)
