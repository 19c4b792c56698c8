"""This package and llama-cpp-python's own loop."""

from __future__ import annotations

import asyncio
import time
from argparse import Namespace
from typing import Any

from _prompts import Chat


def serial(given: Namespace, prompts: list[Chat]) -> dict[str, Any]:
    """llama-cpp-python, one prompt after another; it keeps what a prompt has in common with the one before."""
    import llama_cpp

    model = llama_cpp.Llama(
        given.model,
        n_ctx=given.n_ctx,
        n_threads=given.threads,
        n_threads_batch=given.threads,
        n_gpu_layers=given.gpu_layers,
        verbose=False,
    )
    ask: Any = model.create_chat_completion
    ask([{"role": "user", "content": "warm up"}], max_tokens=4, temperature=0)
    begin = time.perf_counter()
    read = written = 0
    for prompt in prompts:
        usage = ask(prompt, max_tokens=given.new, temperature=0)["usage"]
        read, written = read + usage["prompt_tokens"], written + usage["completion_tokens"]
    return {"wall_s": time.perf_counter() - begin, "read": read, "written": written}


def ours(given: Namespace, prompts: list[Chat], slots: int, *, deterministic: bool = False) -> dict[str, Any]:
    """This package."""
    from hivetrace_llamacpp import LlamaCppModel

    model = LlamaCppModel(
        model_path=given.model,
        n_ctx=given.n_ctx,
        batch_size=slots,
        max_tokens=given.new,
        temperature=0,
        n_threads=given.threads,
        deterministic=deterministic,
        n_gpu_layers=given.gpu_layers,
    )

    async def run() -> dict[str, Any]:
        await model.ainvoke("warm up")
        done = model.make_client().engine.statistics
        inside, steps = done.decode_s, done.steps
        done.most_cells = 0
        gap = [0.0]
        watch = asyncio.create_task(_widest_gap(gap))
        begin = time.perf_counter()
        read = written = cached = 0
        async for response in model.stream_abatch(prompts):
            usage = response["response_metadata"]["usage"]
            read, written = read + (usage["input_tokens"] or 0), written + (usage["output_tokens"] or 0)
            cached += usage["cached_tokens"] or 0
        wall = time.perf_counter() - begin
        watch.cancel()
        inside = done.decode_s - inside
        return {
            "wall_s": wall,
            "read": read,
            "written": written,
            "reused": cached,
            "steps": done.steps - steps,
            "outside_decode_%": round(100 * (wall - inside) / wall, 2),
            "widest_gap_ms": round(1000 * gap[0], 1),
            "cells": done.most_cells,
        }

    result = asyncio.run(run())
    model.close()
    return result


async def _widest_gap(gap: list[float]) -> None:
    """How long the event loop was ever late."""
    while True:
        begin = time.perf_counter()
        await asyncio.sleep(0.002)
        gap[0] = max(gap[0], time.perf_counter() - begin - 0.002)
