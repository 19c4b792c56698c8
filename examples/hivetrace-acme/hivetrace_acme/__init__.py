"""The light half: says what the plugin offers and imports neither the model nor anything it needs."""

from __future__ import annotations

from collections.abc import Iterator

from hivetrace_core import ModelSpec, hookimpl


@hookimpl
def hivetrace_models() -> Iterator[ModelSpec]:
    """Register `acme`."""
    yield ModelSpec(
        name="acme",
        model="hivetrace_acme.model:AcmeModel",
        options="hivetrace_acme.model:AcmeOptions",
        claims=("acme-*",),
        summary="Acme chat models (an example)",
        api=1,
    )
