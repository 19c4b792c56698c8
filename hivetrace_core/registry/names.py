"""Names of plugins: how they are compared and how they are qualified."""

from __future__ import annotations

import re
from typing import Final

REGISTERED: Final = "registered"
"""Stands in the place of a distribution for what was registered in this process: `registered:my-model`."""


def fold(name: str) -> str:
    """The form in which plugin names compare: case-folded, `_` as `-`."""
    return name.casefold().replace("_", "-")


def differs_in_case(name: str) -> bool:
    """Whether a name needs case folding, and not only `_` for `-`, to become its compared form."""
    return name.replace("_", "-") != fold(name)


def fold_distribution(name: str) -> str:
    """The form in which names of distributions compare, the one that package indexes use."""
    return re.sub(r"[-_.]+", "-", name).casefold()


def split_qualified(text: str) -> tuple[str | None, str]:
    """`distribution:name` as its two parts; the first is None where there is no colon."""
    distribution, colon, name = text.partition(":")
    return (distribution, name) if colon else (None, text)
