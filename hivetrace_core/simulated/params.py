"""The types of the constructor's keyword arguments, for editors and type checkers. Meanings and ranges: `options`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..params import ModelParams
from .options import RateLimit, Rule


class SimulatedParams(ModelParams, total=False):
    """`SimulatedModel`."""

    seed: int
    latency: float
    latency_sigma: float
    rules: Sequence[Rule | Mapping[str, Any]]
    rate_limit: RateLimit | Mapping[str, Any] | None
    max_tokens: int | None
