"""Milliseconds of one `llama_decode` by the number of rows: what batching can give on this CPU, before any scheduling.

    python benchmarks/steps.py medium.gguf --history 16
    python benchmarks/steps.py medium.gguf --history 256 --flash off

Each row is a sequence of its own; all of them begin with the same cells. The best of several steps is shown, and what
it means as a ratio to one row at a time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import _machine
import numpy as np
from hivetrace_llamacpp.context import Context, ContextSettings
from hivetrace_llamacpp.gguf import inspect
from hivetrace_llamacpp.statistics import Statistics

ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32)
READ = 256
"""Tokens of the prompt whose reading is measured."""


def step_s(context: Context, rows: int, history: int, repeat: int) -> float:
    """Seconds of the best step with so many rows."""
    random = np.random.default_rng(1)
    for sequence in range(context.layout.slots):
        context.cut(sequence)
    read(context, random.integers(300, 900, history).astype(np.int32))
    for sequence in range(1, rows):
        context.copy(0, sequence, history)
    best = float("inf")
    for number in range(repeat):
        context.batch.clear()
        for sequence in range(rows):
            context.batch.add_token(int(random.integers(300, 900)), history + number, sequence)
        best = min(best, read(context))
    return best


def read(context: Context, tokens: np.ndarray[tuple[int], np.dtype[np.int32]] | None = None) -> float:
    """Seconds that the batch takes, or these tokens in sequence 0."""
    if tokens is not None:
        context.batch.clear()
        context.batch.add_prompt(tokens, 0, 0, last=True)
    begin = time.perf_counter()
    if context.decode(Statistics()):
        raise SystemExit("llama_decode failed")
    # Where a GPU computes, the call returns before the result is there.
    context.lib.llama_synchronize(context.native)
    return time.perf_counter() - begin


def main() -> None:
    """The command."""
    own = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    own.add_argument("model", type=Path)
    own.add_argument("--history", type=int, default=16, help="cells that each row looks back on, besides its own")
    own.add_argument("--flash", choices=["auto", "on", "off"], default="auto")
    own.add_argument("--threads", type=int, default=_machine.cpus())
    own.add_argument("--gpu-layers", type=int, default=0)
    own.add_argument("--repeat", type=int, default=6)
    given = own.parse_args()
    context = Context(
        ContextSettings(
            file=inspect(given.model),
            window=512,
            slots=max(ROWS),
            cells=4096,
            gpu_layers=given.gpu_layers,
            threads=given.threads,
            step_tokens=512,
            deterministic=False,
            flash_attn={"auto": None, "on": True, "off": False}[given.flash],
            prefix_cache=False,
            use_mmap=True,
        )
    )
    busy, own_s, begin = _machine.busy_s(), _machine.own_s(), time.perf_counter()
    took = {rows: step_s(context, rows, given.history, given.repeat) for rows in ROWS}
    context.cut(0)
    reading = min(_reading_s(context) for _ in range(2)) / READ
    wall = time.perf_counter() - begin
    foreign = max(_machine.busy_s() - busy - (_machine.own_s() - own_s), 0)
    print(f"{_machine.describe()}; {given.threads} threads; others took {foreign / wall:.2f} CPUs")
    print(f"{given.model.name}, {given.history} cells of history, flash attention {given.flash}")
    print("rows      " + "".join(f"{rows:8}" for rows in ROWS))
    print("ms/step   " + "".join(f"{1000 * seconds:8.1f}" for seconds in took.values()))
    print("ms/row    " + "".join(f"{1000 * seconds / rows:8.2f}" for rows, seconds in took.items()))
    print("gain      " + "".join(f"{took[1] * rows / seconds:8.2f}" for rows, seconds in took.items()))
    print(f"reading a prompt: {1000 * reading:.2f} ms/token")
    context.close()


def _reading_s(context: Context) -> float:
    context.cut(0)
    return read(context, np.random.default_rng(2).integers(300, 900, READ).astype(np.int32))


if __name__ == "__main__":
    main()
