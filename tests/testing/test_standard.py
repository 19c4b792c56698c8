"""Standard tests cannot be overridden, removed or excused in silence."""

from __future__ import annotations

import pytest
from hivetrace_globex.model import GlobexModel

from hivetrace_core.testing import ModelConformance, PluginConformance

pytest_plugins = ["pytester"]

NAMED = "test_names_are_well_formed"
TYPED = "test_the_package_is_marked_as_typed"

MODULE = """
from hivetrace_core.testing import PluginConformance

class TestPlugin(PluginConformance):
    distribution = "hivetrace-core"
"""


def run(pytester: pytest.Pytester, body: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(MODULE + body)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)


@pytest.mark.parametrize(
    "body",
    [f"    def {NAMED}(self): pass", f"    {NAMED} = None", f"    exceptions = {{'{NAMED}': 'why'}}; {NAMED} = None"],
    ids=["overridden", "deleted", "excused and deleted"],
)
def test_taking_the_place_of_a_standard_test_is_an_error_at_collection(body: str, pytester: pytest.Pytester) -> None:
    result = run(pytester, body)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*TestPlugin.{NAMED} takes the place of a standard test*exceptions =*'reason'*"])


def test_neither_a_mixin_nor_a_base_class_can_take_its_place() -> None:
    class Mixin:
        def test_names_are_well_formed(self) -> None:
            pass

    with pytest.raises(TypeError, match=f"Mixin.{NAMED} takes the place"):
        type("TestPlugin", (Mixin, PluginConformance), {})


def test_an_excused_test_is_run_and_expected_to_fail_for_its_reason(pytester: pytest.Pytester) -> None:
    body = """
    distribution = "no-such-distribution"
    exceptions = {"test_names_are_well_formed": "there is no such distribution"}
"""
    result = run(pytester, body, "-k", NAMED, "-rx")

    result.assert_outcomes(xfailed=1)
    result.stdout.fnmatch_lines([f"XFAIL *{NAMED} - there is no such distribution*"])


def test_an_excused_test_that_passes_is_a_failure(pytester: pytest.Pytester) -> None:
    result = run(pytester, f"    exceptions = {{'{NAMED}': 'once there was a reason'}}", "-k", NAMED)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*XPASS(strict)*once there was a reason*"])


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_an_exception_needs_a_reason(reason: object) -> None:
    with pytest.raises(TypeError, match="needs a reason"):
        type("TestPlugin", (PluginConformance,), {"exceptions": {NAMED: reason}})


def test_an_exception_for_no_test_at_all_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(TypeError, match=f"did you mean '{NAMED}'"):
        type("TestPlugin", (PluginConformance,), {"exceptions": {"test_names_are_wellformed": "a typo"}})


def test_own_tests_and_settings_are_welcome(pytester: pytest.Pytester) -> None:
    result = run(
        pytester, "    def test_of_my_own(self): assert self.packages() == ['hivetrace_core']", "-k", "of_my_own"
    )

    result.assert_outcomes(passed=1)


def test_a_subclass_of_an_excused_class_is_not_excused_itself() -> None:
    class Base(PluginConformance):
        exceptions = {NAMED: "for some reason"}  # noqa: RUF012  # as users write it

    class Derived(Base):
        exceptions = {TYPED: "for another one"}  # noqa: RUF012

    assert [mark.kwargs["reason"] for mark in getattr(Base, NAMED).pytestmark] == ["for some reason"]
    assert not hasattr(getattr(Derived, NAMED), "pytestmark")
    assert [mark.kwargs["reason"] for mark in getattr(Derived, TYPED).pytestmark] == ["for another one"]
    assert not hasattr(getattr(PluginConformance, NAMED), "pytestmark")


def test_what_a_model_does_not_have_is_not_tested() -> None:
    class WithoutWire(ModelConformance):
        model_class = GlobexModel
        dialect = None

    class WithoutFilter(ModelConformance):
        model_class = GlobexModel
        cannot_say = {"blocked": "it has no filter"}  # noqa: RUF012

    class WithAll(WithoutWire):
        dialect = object()  # type: ignore[assignment]  # any one

    redirects, order = "test_redirects_are_not_followed", "test_one_instance_works_in_one_event_loop_after_another"
    stages = "test_the_two_stages_of_a_block_are_both_blocks"

    def collected(kit: type) -> list[bool]:
        return [getattr(kit, name) is not None for name in (redirects, order, stages)]

    assert collected(WithoutWire) == [False, True, False]
    assert collected(WithoutFilter) == [True, True, False]
    assert collected(WithAll) == [True, True, True]
