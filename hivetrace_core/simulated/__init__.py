"""The embedded target: in process, no network, no key, and it says so.

It answers, refuses, blocks, cuts off and fails by rules given in params, the same way for the same prompt every time.
It is for first steps, dry runs and tests of whatever stands above the models.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..registry.hookspecs import hookimpl
from ..registry.spec import ModelSpec


@hookimpl
def hivetrace_models() -> Iterator[ModelSpec]:
    """Register `simulated`, by the same door as every other plugin."""
    yield ModelSpec(
        name="simulated",
        model="hivetrace_core.simulated.model:SimulatedModel",
        options="hivetrace_core.simulated.options:SimulatedOptions",
        default_id="simulated",
        classify="hivetrace_core.simulated.outcomes:classify",
        summary="Embedded target that answers by rules; no network, no key",
        api=1,
    )
