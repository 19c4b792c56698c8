"""The types of the constructor's keyword arguments, for editors and type checkers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hivetrace_core import ModelParams


class LlamaCppParams(ModelParams, total=False):
    """What `LlamaCppModel` takes besides `model`; see `LlamaCppOptions` for units and ranges."""

    model_path: Path | str
    n_ctx: int
    kv_cells: int | None
    n_gpu_layers: int
    n_threads: int | None
    n_batch: int
    deterministic: bool
    flash_attn: bool | None
    prefix_cache: bool
    use_mmap: bool
    chat_format: str | None
    chat_template: str | None
    chat_template_kwargs: dict[str, Any]
    parse_special: bool
    max_tokens: int | None
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float
    frequency_penalty: float
    presence_penalty: float
    penalty_last_n: int
    seed: int | None
    stop: str | list[str] | None
    grammar: str | None
    response_format: dict[str, Any] | None
