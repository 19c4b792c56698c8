"""Lets a CUDA build of llama-cpp-python find NVIDIA's run-time libraries from pip packages.

Such builds need libcudart and libcublas from outside and look for them beside themselves only. Loaded first, by path,
they are found by name. What this cannot bring is the driver (libcuda) and the CUDA build itself.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ORDER: Final = (("cuda_runtime", "cudart"), ("cublas", "cublasLt"), ("cublas", "cublas"))
"""Packages below `nvidia`, and libraries, in the order in which they need each other."""

_log = logging.getLogger("hivetrace_llamacpp.native")


def preload() -> list[Path]:
    """Load what is installed of NVIDIA's libraries; returns their paths. Without them it does nothing."""
    loaded: list[Path] = []
    for path in libraries():
        try:
            if sys.platform == "win32":
                os.add_dll_directory(str(path.parent))
            ctypes.CDLL(str(path))
        except OSError as exc:
            _log.info("%s could not be loaded: %s", path, exc)
        else:
            loaded.append(path)
    return loaded


def libraries() -> Iterator[Path]:
    """The installed libraries, in the order in which they are to be loaded."""
    found = importlib.util.find_spec("nvidia")
    roots = [Path(root) for root in (found.submodule_search_locations or [])] if found is not None else []
    for package, name in _ORDER:
        for root in roots:
            folder, pattern = ("bin", f"{name}64_*.dll") if sys.platform == "win32" else ("lib", f"lib{name}.so.*")
            yield from sorted((root / package / folder).glob(pattern))
