"""llama.cpp in this process: loaded when it is needed, its log handed to `logging`.

llama-cpp-python is used for its C functions only. stdout and stderr of the process are never touched.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import logging
import re
import threading
from collections import deque
from types import ModuleType
from typing import Any, Final

from hivetrace_core import ConfigError, MissingDependencyError

from .nvidia import preload

INSTALL: Final = "pip install 'llama-cpp-python>=0.3.36,<0.4'"

_NEEDED: Final = (
    "llama_model_load_from_file",
    "llama_init_from_model",
    "llama_get_memory",
    "llama_memory_seq_cp",
    "llama_memory_seq_rm",
    "llama_memory_clear",
    "llama_sampler_init_penalties",
    "llama_set_abort_callback",
    "llama_chat_builtin_templates",
    "llama_n_ctx_seq",
)
"""Functions that older versions lack."""

_LEVELS: Final = {1: logging.DEBUG, 2: logging.DEBUG, 3: logging.INFO, 4: logging.INFO}
"""llama.cpp's debug, info, warning and error (ggml.h). None is a warning here: what matters becomes an error of ours,
and a computation that is ended on purpose is an error to llama.cpp."""

_FUNCTIONS: Final = re.compile(r"^(?:\w+: |error loading model: )+")

_log = logging.getLogger("hivetrace_llamacpp.native")
_lock = threading.Lock()
_loaded: ModuleType | None = None


def installed() -> None:
    """Check that what this plugin needs is installed, without loading it.

    Raises:
        MissingDependencyError: something is not; the message has the commands.
    """
    for name, requirement in (("numpy", "numpy>=1.26,<3"), ("jinja2", "jinja2>=3.1.6,<4")):
        if importlib.util.find_spec(name) is None:
            raise MissingDependencyError(f"{name} is not installed. Run: pip install {requirement!r}")
    if importlib.util.find_spec("llama_cpp") is None:
        raise MissingDependencyError(
            f"llama-cpp-python is not installed. Run: {INSTALL}\n"
            "It is compiled on this machine, which takes some minutes and needs CMake and a C++ compiler "
            "(Debian, Ubuntu: apt install build-essential cmake; macOS: xcode-select --install)"
        )


def library() -> Any:
    """The module `llama_cpp`, with our log callback in place.

    Raises:
        MissingDependencyError: it is not installed, or too old.
        ConfigError: its libraries cannot be loaded on this machine.
    """
    global _loaded  # noqa: PLW0603  # the library is loaded once per process
    with _lock:
        if _loaded is None:
            installed()
            _loaded = _load()
        return _loaded


def ggml() -> Any:
    """The handle of ggml's library, where the devices are listed."""
    library()
    return importlib.import_module("llama_cpp._ggml").libggml


def recent_log() -> str:
    """What llama.cpp last complained of, in one line, without the names of its functions; empty where it did not."""
    lines = (_FUNCTIONS.sub("", line) for line in _capture.complaints)
    return "; ".join(dict.fromkeys(line for line in lines if line and line != "failed to load model"))


def forget_log() -> None:
    """Forget the complaints, before something whose failure only the log explains."""
    _capture.complaints.clear()


def _load() -> ModuleType:
    preload()
    try:
        module = importlib.import_module("llama_cpp")
    except ModuleNotFoundError as exc:
        raise MissingDependencyError(
            f"llama-cpp-python needs the package {exc.name!r}, which is not installed. Run: {INSTALL}"
        ) from None
    except (RuntimeError, OSError) as exc:
        raise ConfigError(
            f"llama-cpp-python is installed but its libraries cannot be loaded: {exc}.{_hint(exc)}"
        ) from None
    missing = [name for name in _NEEDED if not hasattr(module, name)]
    if missing:
        version = getattr(module, "__version__", "?")
        raise MissingDependencyError(f"llama-cpp-python {version} lacks {missing[0]}. Run: {INSTALL}")
    _capture.install(module)
    module.llama_backend_init()
    return module


def _hint(exc: Exception) -> str:
    text = str(exc)
    if "libcuda.so" in text:
        return " It is a CUDA build, and this machine has no NVIDIA driver: install the driver, or a CPU build."
    if "libcudart" in text or "libcublas" in text:
        return " It is a CUDA build without NVIDIA's run-time libraries. Run: pip install 'hivetrace-llamacpp[cuda]'"
    return f" Install it again: {INSTALL} --force-reinstall --no-cache-dir"


class _Capture:
    """Receives llama.cpp's messages, which arrive in pieces, from any thread."""

    def __init__(self) -> None:
        self.complaints: deque[str] = deque(maxlen=6)
        self._line = ""
        self._level = logging.DEBUG
        self._callback: Any = None

    def install(self, module: ModuleType) -> None:
        # The process-wide callback is replaced: the package's own one prints to stderr. It is referred to for ever.
        self._callback = module.llama_log_callback(self._receive)
        module.llama_log_set(self._callback, ctypes.c_void_p(0))

    def _receive(self, level: int, text: bytes | None, _: Any) -> None:
        if level in _LEVELS:  # any other level continues the line
            self._level = _LEVELS[level]
        self._line += (text or b"").decode("utf-8", "replace")
        while "\n" in self._line:
            line, _, self._line = self._line.partition("\n")
            line = line.strip()
            if self._level >= logging.INFO and line:
                self.complaints.append(line)
            if line.strip("."):
                _log.log(self._level, "%s", line)


_capture: Final = _Capture()
