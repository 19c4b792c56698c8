"""Following an import string of a spec, guarded."""

from __future__ import annotations

import functools
import importlib
import logging
from typing import Any

from ..errors import MissingDependencyError, PluginError, PluginLoadError
from .causes import cause_text
from .dependencies import install_line, is_own_module

_log = logging.getLogger("hivetrace_core.registry")


def import_object(target: str, *, owner: str, distribution: str | None) -> Any:
    """What an import string `package.module:Attribute` names.

    Args:
        target: The import string.
        owner: Whose it is, for messages: `plugin 'acme' of hivetrace-acme 0.1.0`.
        distribution: The distribution that would bring missing packages; None for what is not installed.

    Raises:
        MissingDependencyError: a package of somebody else is not installed; the message has the install line.
        PluginLoadError: anything else goes wrong. `KeyboardInterrupt` passes.
    """
    module_name, _, attribute = target.partition(":")
    try:
        return functools.reduce(getattr, attribute.split("."), importlib.import_module(module_name))
    except PluginError:
        raise
    except (Exception, SystemExit) as exc:
        _log.debug("%s could not be imported", target, exc_info=exc)
        if isinstance(exc, ModuleNotFoundError) and not is_own_module(exc.name, module_name):
            raise MissingDependencyError(
                f"{owner[:1].upper()}{owner[1:]} needs the package {exc.name!r}, which is not installed. "
                f"{install_line(distribution, str(exc.name))}"
            ) from exc
        advice = f"Update or uninstall {distribution}." if distribution else "Correct it, then try again."
        raise PluginLoadError(f"{target} of {owner} could not be imported: {cause_text(exc)}. {advice}") from exc
