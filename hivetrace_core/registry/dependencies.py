"""Which `pip install` line brings what is missing: read from installed metadata, never guessed from a name."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Final

from .names import fold_distribution

CORE: Final = "hivetrace-core"

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_EXTRA = re.compile(r"""\bextra\s*==\s*["']([^"']+)["']""")


def is_own_module(missing: str | None, importing: str) -> bool:
    """Whether a module that was not found belongs to the same package as the one that was being imported.

    Args:
        missing: `ModuleNotFoundError.name`.
        importing: A module, an import string or the value of an entry point.
    """
    return missing is None or missing.partition(".")[0] == re.split(r"[.:\s]", importing, maxsplit=1)[0]


def install_line(distribution: str | None, module: str) -> str:
    """What to run so that the distribution finds the module; the end of a message.

    A requirement under an extra gives `pip install 'distribution[extra]'`; otherwise installing the distribution again
    brings what it requires. A module that was imported by no distribution has no line: its name need not be the name of
    a package that one would want.
    """
    if distribution is None:
        return f"Install the package that provides {module!r}, or correct the import."
    extra = _extra_of(distribution, module)
    target = f"'{distribution}[{extra}]'" if extra else distribution
    return f"Run: pip install {target}"


def core_extras() -> tuple[str, ...]:
    """The extras that the installed core declares; empty where core runs from a folder without metadata."""
    try:
        return tuple(metadata.metadata(CORE).get_all("Provides-Extra") or ())
    except Exception:  # noqa: BLE001  # a hint is not worth a second error
        return ()


def _extra_of(distribution: str, module: str) -> str | None:
    wanted = {fold_distribution(".".join(module.split(".")[:depth])) for depth in range(1, module.count(".") + 2)}
    try:
        requirements = metadata.requires(distribution) or []
    except Exception:  # noqa: BLE001  # as above
        return None
    for requirement in requirements:
        name = _REQUIREMENT.match(requirement)
        extra = _EXTRA.search(requirement)
        if name and extra and fold_distribution(name[1]) in wanted:
            return extra[1]
    return None
