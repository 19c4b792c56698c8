"""`ModelSpec`: what a plugin says about one model class without importing it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

PLUGIN_API: Final = 1
"""The plugin API that this version of core speaks. A spec written for another one is refused."""

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_IMPORT_STRING = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_IMPORT_STRINGS = ("model", "options", "classify", "dialect", "check")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """One name that a plugin answers to.

    Import strings are written `package.module:Attribute` and followed only when that part is needed.

    Attributes:
        name: Lower-case letters, digits and single hyphens; the same as the entry point's name.
        model: Import string of the model class.
        options: Import string of its `ModelOptions` class; must not import an SDK.
        claims: Shell patterns (`acme-*`) of the ids that mean this provider when a config gives an id alone. `!pattern`
            excludes. They compare with case, as ids do, and never see an id with a `/`.
        summary: A few words for `hivetrace models`.
        api: The plugin API that the spec was written for.
        default_id: The provider's own id that is used where none is given.
        id_option: The option that takes the id.
        classify: Import string of the pure classifier of raw replies.
        dialect: Import string of the wire dialect for the mock server.
        check: Import string of a self-check for `hivetrace models --check`: a function without arguments that returns
            a short text or None, and raises where the plugin cannot work here.

    Raises:
        TypeError, ValueError: a field is malformed. A spec for another API is not judged by this one's rules.
    """

    name: str
    model: str
    options: str | None = None
    claims: tuple[str, ...] = ()
    summary: str = ""
    api: int = 1
    default_id: str | None = None
    id_option: str = "model"
    classify: str | None = None
    dialect: str | None = None
    check: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.api, int) or isinstance(self.api, bool):
            raise TypeError(f"api must be a number, not {self.api!r}")
        for field in ("name", "summary", "id_option"):
            if not isinstance(getattr(self, field), str):
                raise TypeError(f"{field} must be text, not {getattr(self, field)!r}")
        if self.api == PLUGIN_API:
            self._check_fields()
            object.__setattr__(self, "claims", _checked_claims(self.claims))

    def _check_fields(self) -> None:
        if not is_plugin_name(self.name):
            raise ValueError(f"name {self.name!r} must be lower-case letters, digits and single hyphens")
        for field in _IMPORT_STRINGS:
            value = getattr(self, field)
            if value is None and field != "model":
                continue
            if not isinstance(value, str) or not _IMPORT_STRING.fullmatch(value):
                raise ValueError(f"{field} {value!r} must be an import string such as 'package.module:Name'")
        if self.default_id is not None and not (isinstance(self.default_id, str) and self.default_id):
            raise ValueError(f"default_id must be an id or None, not {self.default_id!r}")
        if not self.id_option.isidentifier():
            raise ValueError(f"id_option {self.id_option!r} must be the name of an option")

    @property
    def class_name(self) -> str:
        """The name of the model class, read from its import string."""
        return self.model.rpartition(":")[2].rpartition(".")[2]

    def claim(self, model_id: str) -> str | None:
        """The first pattern that claims the id; None where none does, or where the id is excluded."""
        if "/" in model_id or any(fnmatchcase(model_id, claim[1:]) for claim in self.claims if claim[0] == "!"):
            return None
        return next((claim for claim in self.claims if claim[0] != "!" and fnmatchcase(model_id, claim)), None)


def is_plugin_name(name: str) -> bool:
    """Whether it is lower-case letters, digits and single hyphens."""
    return _NAME.fullmatch(name) is not None


def _checked_claims(claims: object) -> tuple[str, ...]:
    if not isinstance(claims, (tuple, list)):
        raise TypeError(f"claims must be a tuple of patterns, not {claims!r}")
    for claim in claims:
        pattern = claim.removeprefix("!") if isinstance(claim, str) else ""
        if not re.search(r"\w", pattern):
            raise ValueError(f"claims: {claim!r} must be a pattern with at least one letter or digit, such as 'acme-*'")
        if "/" in pattern:
            raise ValueError(f"claims: {claim!r} can never match, because an id with a '/' is not looked up by claims")
    if claims and all(claim[0] == "!" for claim in claims):
        raise ValueError("claims: patterns that only exclude claim nothing")
    return tuple(claims)
