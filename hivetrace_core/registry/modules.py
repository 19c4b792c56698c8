"""Modules that a config names by path: the user's own file, executed because the user said so."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, IncompatiblePluginError, NameConflictError, PluginError, PluginLoadError
from .causes import line_in, message_text
from .loading import UnfitPlugin, check_api, manager_of, specs_of
from .spec import ModelSpec

if TYPE_CHECKING:
    from .registry import Registry


@dataclass(frozen=True, slots=True)
class Executing:
    """A file that is being executed for a registry."""

    registry: Registry
    file: Path


executing: ContextVar[Executing | None] = ContextVar("executing", default=None)
"""Set while a config's module runs, so that `register_model` in it reaches the registry that asked for it."""


def locate(path: str | Path) -> Path:
    """The file's absolute path.

    Raises:
        ConfigError: there is no such file.
    """
    file = Path(path).absolute()
    if file.is_dir():
        raise ConfigError(f"plugins.modules: {path} is a folder. Name the Python file in it.")
    if not file.is_file():
        raise ConfigError(f"plugins.modules: {path} does not exist. Relative paths start at the config file's folder.")
    return file.resolve()


def execute(file: Path, registry: Registry, adopt: Callable[[ModelSpec], None]) -> ModuleType:
    """Run the file as a module of its own, and pass on what its `hivetrace_models` yields, if it has one.

    The module gets a name that cannot hide an installed one; the import strings of its specs may call it by the name of
    the file.

    Raises:
        PluginLoadError: whatever it raises, except HiveTrace's own errors about names and arguments, which keep their
            type; names the file and the line.
    """
    module = ModuleType(_module_name(file))
    module.__file__ = str(file)
    sys.modules[module.__name__] = module
    try:
        with _executing(registry, file):
            # Not through an import: that would leave compiled files beside the user's.
            source = importlib.util.decode_source(file.read_bytes())
            exec(compile(source, str(file), "exec", dont_inherit=True), module.__dict__)  # noqa: S102  # what was asked for
            for spec in _specs(module):
                adopt(_at_home(spec, file, module))
            return module
    except (Exception, SystemExit) as exc:
        sys.modules.pop(module.__name__, None)
        raise _failure(file, exc) from exc
    except BaseException:
        sys.modules.pop(module.__name__, None)
        raise


@contextmanager
def _executing(registry: Registry, file: Path) -> Iterator[None]:
    token = executing.set(Executing(registry, file))
    try:
        yield
    finally:
        executing.reset(token)


def _module_name(file: Path) -> str:
    stem = re.sub(r"\W", "_", file.stem)
    return f"module_{stem}_{zlib.crc32(os.fsencode(file)):08x}"


def _specs(module: ModuleType) -> list[ModelSpec]:
    manager = manager_of(module)
    has_hook = bool(manager.hook.hivetrace_models.get_hookimpls())
    if not has_hook and inspect.getattr_static(module, "hivetrace_models", None) is None:
        return []
    specs = list(specs_of(module))
    for spec in specs:
        check_api(spec, "this file")
    return specs


def _at_home(spec: ModelSpec, file: Path, module: ModuleType) -> ModelSpec:
    """The spec with import strings that call the module by its file's name turned to the name it really has."""
    moved: dict[str, Any] = {}
    for part in ("model", "options", "classify", "dialect", "check"):
        target = getattr(spec, part)
        if target and target.partition(":")[0] == file.stem:
            moved[part] = f"{module.__name__}:{target.partition(':')[2]}"
    return replace(spec, **moved) if moved else spec


def _failure(file: Path, exc: BaseException) -> ConfigError | PluginError:
    line = line_in(exc, file)
    place = f"{file}:{line}" if line else str(file)
    for kind in (ConfigError, IncompatiblePluginError, NameConflictError):
        if type(exc) is kind:
            return kind(f"{place}: {exc}")
    if isinstance(exc, SystemExit):
        cause = f"it calls sys.exit({exc.code!r})"
    else:
        cause = str(exc) if isinstance(exc, UnfitPlugin) else message_text(exc)
    return PluginLoadError(f"{place}: {cause}. Correct this file, which plugins.modules names.")
