"""What the plugins' tests leave out on a machine that cannot compile llama.cpp, said at both ends of the run.

The session `llama_cpp` of the noxfile puts the reason into the environment. Without one, a missing llama-cpp-python
makes the tests that need it fail.
"""

from __future__ import annotations

import os

import pytest

WHY_NOT = os.environ.get("HIVETRACE_NO_LLAMACPP", "")
NOTICE = f"hivetrace-llamacpp: the tests that need llama.cpp are left out: {WHY_NOT}"


def pytest_report_header() -> list[str]:
    """At the top."""
    return [NOTICE] if WHY_NOT else []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """At the end."""
    if WHY_NOT:
        terminalreporter.section("left out")
        terminalreporter.line(NOTICE)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave them out."""
    native = [item for item in items if "llama_cpp" in getattr(item, "fixturenames", ())]
    if WHY_NOT and native:
        items[:] = [item for item in items if item not in native]
        config.hook.pytest_deselected(items=native)
