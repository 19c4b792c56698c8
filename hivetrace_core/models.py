"""Model classes by name, whatever plugin has them: `from hivetrace_core.models import AcmeModel`.

The plugin is found and its class imported when the name is first used.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # Tools ask every module for names such as `__path__` or `pytest_plugins`; none of them is a class.
    if not name[:1].isupper():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .registry.default import class_named

    return class_named(name)


def __dir__() -> list[str]:
    from .registry.default import class_names

    return sorted({*globals(), *class_names()})
