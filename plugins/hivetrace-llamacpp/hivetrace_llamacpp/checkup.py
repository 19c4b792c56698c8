"""What `hivetrace models --check` says: the build of llama.cpp, its devices, the memory."""

from __future__ import annotations

from . import memory
from .devices import devices
from .native import library


def check() -> str:
    """The facts in one line.

    Raises:
        PluginError, ConfigError: llama-cpp-python is missing or cannot be loaded; the message says what to do.
    """
    lib = library()
    parts = [f"llama-cpp-python {getattr(lib, '__version__', '?')}"]
    gpus = [device for device in devices() if device.is_gpu]
    parts += [f"{gpu.name} ({gpu.description}, {_gigabytes(gpu.free)} of {_gigabytes(gpu.total)} free)" for gpu in gpus]
    free = memory.available()
    if free is not None:
        parts.append(f"{_gigabytes(free)} of main memory free")
    parts.append("layers can be put on the GPU" if lib.llama_supports_gpu_offload() else "CPU only")
    return "; ".join(parts)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
