"""Graphics cards that llama.cpp can use here, and what `n_gpu_layers` means with or without them."""

from __future__ import annotations

import ctypes
import logging
from dataclasses import dataclass
from typing import Any, Final

from hivetrace_core import ConfigError

from .native import ggml, library

ALL_LAYERS: Final = 2**31 - 1

CUDA_COMMANDS: Final = """\
    pip install 'hivetrace-llamacpp[cuda]'
    pip install llama-cpp-python --only-binary llama-cpp-python --force-reinstall --no-deps \\
        --extra-index-url https://abetlen.github.io/llama-cpp-python/whl/cu124
or, with the CUDA toolkit installed, compiled here:
    CMAKE_ARGS="-DGGML_CUDA=on" pip install llama-cpp-python --no-binary llama-cpp-python --force-reinstall \\
        --no-deps --no-cache-dir"""

_GPU_KINDS: Final = (1, 2)  # GGML_BACKEND_DEVICE_TYPE_GPU and _IGPU

_log = logging.getLogger("hivetrace_llamacpp")


@dataclass(frozen=True, slots=True)
class Device:
    """A device of ggml's.

    Attributes:
        name: Such as `CUDA0`.
        description: The card's own name.
        free: Bytes.
        total: Bytes.
        is_gpu: Whether layers can be put there.
    """

    name: str
    description: str
    free: int
    total: int
    is_gpu: bool


def devices() -> list[Device]:
    """What the installed build finds on this machine."""
    lib: Any = ggml()
    names = ("get", "name", "description", "type", "memory")
    get, name, description, kind, memory = (getattr(lib, f"ggml_backend_dev_{suffix}") for suffix in names)
    lib.ggml_backend_dev_count.restype = ctypes.c_size_t
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    for function in (name, description):
        function.restype, function.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
    kind.restype, kind.argtypes = ctypes.c_int, [ctypes.c_void_p]
    size = ctypes.POINTER(ctypes.c_size_t)
    memory.restype, memory.argtypes = None, [ctypes.c_void_p, size, size]
    found: list[Device] = []
    for number in range(lib.ggml_backend_dev_count()):
        device = get(number)
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        memory(device, ctypes.byref(free), ctypes.byref(total))
        own, card = ((function(device) or b"?").decode("utf-8", "replace") for function in (name, description))
        found.append(Device(own, card, free.value, total.value, kind(device) in _GPU_KINDS))
    return found


def layers_to_offload(wanted: int) -> int:
    """How many layers go to a GPU: the number, all for -1 where there is a GPU, none otherwise.

    Raises:
        ConfigError: layers on a GPU were demanded, and there is none that this build could use.
    """
    if wanted == 0:
        return 0
    if library().llama_supports_gpu_offload():
        return ALL_LAYERS if wanted < 0 else wanted
    if wanted < 0:
        _log.warning("n_gpu_layers=-1: no GPU that the installed llama-cpp-python can use; the model runs on the CPU")
        return 0
    raise ConfigError(
        f"n_gpu_layers={wanted}, but the installed llama-cpp-python finds no GPU that it can use: either it was built "
        "for the CPU only, or the driver is missing. A CUDA build comes from its author's own index:\n"
        f"{CUDA_COMMANDS}\nWith n_gpu_layers=-1 the model runs on the CPU where there is no GPU."
    )
