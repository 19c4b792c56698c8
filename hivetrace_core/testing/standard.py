"""What makes a test of the kit a standard: it cannot be overridden, removed or excused in silence."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, Final, TypeVar

import pytest

Test = Callable[..., None]
T = TypeVar("T")

_KIT: Final = __name__.rpartition(".")[0]


def needs(*things: str) -> Callable[[T], T]:
    """Mark a test, or a class of tests, as one that makes sense only where these things are there."""

    def marked(tests: T) -> T:
        tests.needs = frozenset(things)  # type: ignore[attr-defined]  # read by `_standards`
        return tests

    return marked


class Standard:
    """Base of both conformance classes.

    Attributes:
        exceptions: Names of tests that this plugin cannot pass, each with the reason. They are run, and expected to
            fail: one that passes after all is a failure.
    """

    exceptions: ClassVar[Mapping[str, str]] = {}

    _placed: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not _is_kit(cls):
            standards = _standards(cls)
            _refuse_overrides(cls, standards)
            _refuse_strange_exceptions(cls, standards)
            cls._place(standards)

    @classmethod
    def missing(cls) -> frozenset[str]:
        """The things that are not there for this plugin, so that tests which need them are no tests of it."""
        return frozenset()

    @classmethod
    def _place(cls, standards: Mapping[str, Test]) -> None:
        """Put the excused and the inapplicable tests into the class, and take back what a base class had there."""
        missing = cls.missing()
        placed: dict[str, Any] = {}
        for name, test in standards.items():
            if test.needs & missing:  # type: ignore[attr-defined]  # set by `_standards`
                placed[name] = None
            elif name in cls.exceptions:
                placed[name] = _excused(test, cls.exceptions[name])
            elif getattr(cls, name) is not test:
                placed[name] = test
        for name, value in placed.items():
            setattr(cls, name, value)
        cls._placed = placed


def _is_kit(cls: type) -> bool:
    return cls.__module__ == _KIT or cls.__module__.startswith(f"{_KIT}.")


def _standards(cls: type) -> dict[str, Test]:
    """The kit's own tests, by name, as the kit's classes define them."""
    found: dict[str, Test] = {}
    for base in cls.__mro__:
        if _is_kit(base):
            for name, test in vars(base).items():
                if name.startswith("test_") and name not in found:
                    test.needs = frozenset(getattr(test, "needs", ())) | frozenset(vars(base).get("needs", ()))
                    found[name] = test
    return found


def _refuse_overrides(cls: type, standards: Mapping[str, Test]) -> None:
    for base in cls.__mro__:
        if _is_kit(base) or base is object:
            continue
        placed = vars(base).get("_placed", {})
        for name in standards.keys() & vars(base).keys():
            if name not in placed or vars(base)[name] is not placed[name]:
                raise TypeError(
                    f"{base.__qualname__}.{name} takes the place of a standard test of the conformance kit. Give your "
                    f"own test another name; if the plugin cannot pass the standard one, say why: "
                    f"exceptions = {{{name!r}: 'reason'}}."
                )


def _refuse_strange_exceptions(cls: type[Standard], standards: Mapping[str, Test]) -> None:
    for name, reason in cls.exceptions.items():
        if name not in standards:
            close = get_close_matches(name, standards, 1)
            hint = f"; did you mean {close[0]!r}?" if close else "."
            raise TypeError(f"{cls.__qualname__}.exceptions names {name!r}, which is no test of the kit{hint}")
        if not isinstance(reason, str) or not reason.strip():
            raise TypeError(f"{cls.__qualname__}.exceptions[{name!r}] needs a reason: some words on why it must fail.")


def _excused(test: Test, reason: str) -> Test:
    @functools.wraps(test)
    def excused(*args: Any, **kwargs: Any) -> None:
        test(*args, **kwargs)

    excused.__dict__.pop("pytestmark", None)
    marked: Test = pytest.mark.xfail(reason=reason, strict=True)(excused)
    return marked
