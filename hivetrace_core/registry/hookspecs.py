"""The hooks that plugins implement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import pluggy

if TYPE_CHECKING:
    from ..engine.events import RequestFinished, RequestStarted, RetryScheduled
    from .spec import ModelSpec

PROJECT: Final = "hivetrace"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def hivetrace_models() -> Iterable[ModelSpec]:  # type: ignore[empty-body]  # only its signature is used
    """Yield a `ModelSpec` for each name that the distribution declares in the group `hivetrace.models`."""


@hookspec
def hivetrace_request_started(event: RequestStarted) -> None:
    """A request is about to be sent."""


@hookspec
def hivetrace_request_finished(event: RequestFinished) -> None:
    """A request got its answer or failed."""


@hookspec
def hivetrace_retry_scheduled(event: RetryScheduled) -> None:
    """A failed request will be sent again."""
