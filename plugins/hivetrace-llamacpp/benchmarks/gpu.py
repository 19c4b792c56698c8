"""The same measurement where a GPU computes: one command on a machine with one.

    python benchmarks/gpu.py                       # a random model of 3.2 GB (Q8_0), written to a temporary folder
    python benchmarks/gpu.py --model some.gguf     # or a model that is there
    python benchmarks/gpu.py --size medium         # 0.44 GB, to see whether it runs at all

It checks first that llama-cpp-python is a build for GPUs and that there is one, and says what to do where not. Then it
prints the step table and the table of batching.py: the serial loop, and 1, 8 and 32 prompts at a time, all layers on
the GPU.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import _machine
from hivetrace_llamacpp.devices import ALL_LAYERS, CUDA_COMMANDS, devices
from hivetrace_llamacpp.native import library
from hivetrace_llamacpp.sample import SHAPES, Shape, quantize, write_model

LARGE = Shape(width=2560, layers=32, heads=20, kv_heads=4, inner=9728, vocabulary=32000, context=32768)
"""Of a 3B model: wide enough that reading the weights is most of the work of one sequence."""

HERE = Path(__file__).parent
LINES = "serial,ours-1,ours-8,ours-32"


def check() -> str:
    """The GPU in a line; ends the program where none can be used."""
    lib = library()
    gpus = [device for device in devices() if device.is_gpu]
    if not gpus or not lib.llama_supports_gpu_offload():
        raise SystemExit(
            f"llama-cpp-python {lib.__version__} sees no GPU here. Where there is one from NVIDIA, with its driver:\n"
            + CUDA_COMMANDS
        )
    return "; ".join(
        f"{gpu.name} ({gpu.description}, {gpu.free / 1e9:.1f} of {gpu.total / 1e9:.1f} GB free)" for gpu in gpus
    )


def make(folder: Path, size: str, quant: str) -> Path:
    """A random model."""
    raw, model = folder / "raw.gguf", folder / f"{size}-{quant}.gguf"
    write_model(raw, shape=SHAPES.get(size, LARGE), half=True)
    quantize(raw, model, quant, threads=_machine.cpus())
    raw.unlink()
    return model


def main() -> None:
    """The command."""
    own = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    own.add_argument("--model", type=Path)
    own.add_argument("--size", choices=["large", "medium"], default="large")
    own.add_argument("--quant", choices=["q4_0", "q8_0", "q4_k_m"], default="q8_0")
    own.add_argument("--prompts", type=int, default=64)
    own.add_argument("--new", type=int, default=64)
    own.add_argument("--rounds", type=int, default=3)
    given = own.parse_args()
    print(check(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        model = given.model or make(Path(folder), given.size, given.quant)
        print(f"{model.name}: {model.stat().st_size / 1e6:.0f} MB", flush=True)
        layers = ["--gpu-layers", str(ALL_LAYERS)]
        _run("steps.py", str(model), "--history", "256", *layers)
        sizes = ["--prompts", str(given.prompts), "--new", str(given.new), "--rounds", str(given.rounds)]
        for kind in ("shared", "unrelated"):
            print(f"\n{kind} prompts", flush=True)
            _run("batching.py", str(model), "--kind", kind, "--lines", LINES, *sizes, *layers)


def _run(script: str, *arguments: str) -> None:
    subprocess.run([sys.executable, str(HERE / script), *arguments], check=True)


if __name__ == "__main__":
    main()
