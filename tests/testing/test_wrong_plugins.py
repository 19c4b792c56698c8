"""The kit catches distributions that break a promise, each by the test that says so."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["pytester"]

MODULE = """
from hivetrace_core.testing import PluginConformance

class TestPlugin(PluginConformance):
    distribution = "hivetrace-acme"
"""


def _distribution() -> Any:
    path = Path(__file__).with_name("wrong_distribution.py")
    spec = importlib.util.spec_from_file_location("wrong_distribution", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DISTRIBUTION = _distribution()


def run(pytester: pytest.Pytester, wrong: str | None, *options: str) -> pytest.RunResult:
    site = pytester.mkdir("site")
    DISTRIBUTION.install(site, wrong)
    pytester.syspathinsert(site)
    pytester.makepyfile(test_it=MODULE)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)


@pytest.mark.parametrize("wrong", DISTRIBUTION.WRONG)
def test_a_wrong_plugin_is_caught_by_the_test_of_the_promise_that_it_breaks(
    wrong: str, pytester: pytest.Pytester
) -> None:
    test = DISTRIBUTION.WRONG[wrong][-1]

    result = run(pytester, wrong, "-k", test)

    result.assert_outcomes(failed=1, deselected=result.parseoutcomes()["deselected"])
    result.stdout.fnmatch_lines([f"FAILED *::TestPlugin::{test}*"])


def test_the_plugin_that_they_are_made_from_passes_every_test(pytester: pytest.Pytester) -> None:
    result = run(pytester, None, "-W", "error", "-v")

    assert set(result.parseoutcomes()) == {"passed"}, result.stdout.str()
    for *_, test in DISTRIBUTION.WRONG.values():
        result.stdout.fnmatch_lines([f"*::TestPlugin::{test} PASSED*"])
