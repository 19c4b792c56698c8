"""The types of the keyword arguments of providers over HTTP, for editors and type checkers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..params import ModelParams


class HttpParams(ModelParams, total=False):
    """What every provider over HTTP takes besides `model`; see `HttpOptions` for units and ranges."""

    base_url: str
    ca_bundle: Path | str | None
    verify_tls: bool
    proxy: str | None
    extra_headers: dict[str, str]
    extra_body: dict[str, Any]
    connect_timeout: float
    max_response_bytes: int
