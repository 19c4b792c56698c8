"""A random model with a recurrent state (Mamba): it can hold one sequence at a time only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from hivetrace_llamacpp import sample

WIDTH: Final = 64
INNER: Final = 2 * WIDTH
STATE: Final = 16
RANK: Final = 4
LAYERS: Final = 2


def write_mamba(path: Path) -> Path:
    """Write it; half a megabyte."""
    tokens, merges = sample._vocabulary(1024)
    end = len(tokens) - 1
    metadata: dict[str, Any] = {
        "general.architecture": "mamba",
        "general.file_type": 0,
        "mamba.context_length": 4096,
        "mamba.embedding_length": WIDTH,
        "mamba.block_count": LAYERS,
        "mamba.feed_forward_length": 0,
        "mamba.attention.head_count": 0,
        "mamba.attention.layer_norm_rms_epsilon": 1e-5,
        "mamba.ssm.conv_kernel": 4,
        "mamba.ssm.inner_size": INNER,
        "mamba.ssm.state_size": STATE,
        "mamba.ssm.time_step_rank": RANK,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * (len(tokens) - 4) + [3] * 4,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": end - 3,
        "tokenizer.ggml.eos_token_id": end,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": sample.CHAT_TEMPLATE,
    }
    shapes: list[tuple[str, tuple[int, ...]]] = [
        ("token_embd.weight", (len(tokens), WIDTH)),
        ("output_norm.weight", (WIDTH,)),
    ]
    for layer in range(LAYERS):
        of_layer: list[tuple[str, tuple[int, ...]]] = [
            ("attn_norm.weight", (WIDTH,)),
            ("ssm_in.weight", (2 * INNER, WIDTH)),
            ("ssm_conv1d.weight", (INNER, 4)),
            ("ssm_conv1d.bias", (INNER,)),
            ("ssm_x.weight", (RANK + 2 * STATE, INNER)),
            ("ssm_dt.weight", (INNER, RANK)),
            ("ssm_dt.bias", (INNER,)),
            ("ssm_a", (INNER, STATE)),
            ("ssm_d", (INNER,)),
            ("ssm_out.weight", (WIDTH, INNER)),
        ]
        shapes += [(f"blk.{layer}.{name}", extents) for name, extents in of_layer]
    random = np.random.default_rng(5)
    weights = [
        -np.abs(random.standard_normal(extents, np.float32)) if name.endswith("ssm_a")
        else random.standard_normal(extents, np.float32) / np.float32(np.sqrt(extents[-1]))
        for name, extents in shapes
    ]  # fmt: skip
    sample._write(path, metadata, shapes, weights, np.float32)
    return path
