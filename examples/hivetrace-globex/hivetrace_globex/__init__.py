"""The light half: says what the plugin offers and imports neither the model nor anything it needs."""

from __future__ import annotations

from collections.abc import Iterator

from hivetrace_core import ModelSpec, hookimpl


@hookimpl
def hivetrace_models() -> Iterator[ModelSpec]:
    """Register `globex`."""
    yield ModelSpec(
        name="globex",
        model="hivetrace_globex.model:GlobexModel",
        options="hivetrace_globex.model:GlobexOptions",
        claims=("globex-*",),
        classify="hivetrace_globex.model:classify",
        dialect="hivetrace_globex.dialect:GlobexDialect",
        summary="Globex chat models (an example)",
        api=1,
    )
