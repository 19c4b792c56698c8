"""A loaded model with its context. Belongs to the engine's thread, apart from `abort`."""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass
from typing import Any, Final

from hivetrace_core import ConfigError, ModelError

from . import memory
from .batch import Batch
from .devices import devices
from .gguf import GgufFile
from .native import forget_log, library, recent_log
from .plan import Layout, lay_out
from .statistics import Statistics
from .vocabulary import Vocabulary

_FLASH: Final = {None: -1, False: 0, True: 1}

_Q4_0: Final = 2
"""As llama.h numbers it in `general.file_type`. Its CPU kernels take four rows at a time and the rest one by one, so
that a step of seven rows (with AVX-512 also one of three) costs more than one of eight. For the others it was
measured, and does not pay."""


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """What makes one engine differ from another.

    Attributes:
        file: The model.
        window: Tokens of one request.
        slots: Requests at the same time.
        cells: For all requests together, or None for what fits.
        gpu_layers: Layers on a GPU.
        threads: Of the computation; None for the CPUs of this process.
        step_tokens: Most tokens of one step.
        deterministic: Whether answers must equal those of one request at a time.
        flash_attn: None to leave it to llama.cpp.
        prefix_cache: Whether beginnings of prompts are kept.
        use_mmap: Whether the file is mapped.
    """

    file: GgufFile
    window: int
    slots: int
    cells: int | None
    gpu_layers: int
    threads: int | None
    step_tokens: int
    deterministic: bool
    flash_attn: bool | None
    prefix_cache: bool
    use_mmap: bool

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal where two models can share an engine: the same state of the same file, the same settings."""
        file = self.file
        rest = tuple(getattr(self, name) for name in self.__dataclass_fields__ if name != "file")
        return (file.path, file.size, file.modified_ns, *rest)


class Context:
    """Loads the model and makes its context.

    Args:
        settings: What is wanted.

    Raises:
        ModelError: kind `not_found`; llama.cpp does not take the file, or the memory is not enough.
    """

    def __init__(self, settings: ContextSettings) -> None:
        self.lib = library()
        self._settings = settings
        self._threads = settings.threads or min(_cpus(), 512)
        self._abort = ctypes.create_string_buffer(2)
        self.native: Any = None
        self.model: Any = self._load(settings)
        try:
            self.vocabulary = Vocabulary(self.lib, self.model)
            self.layout = self._lay_out(settings)
            # A sequence of its own for rows that nobody needs.
            self._filler = self.layout.sequences if self._fills_up() else None
            self._sequences = self.layout.sequences + (self._filler is not None)
            self._open()
            self.cells: int = self.lib.llama_n_ctx(self.native)
            self.batch = Batch(self.lib, self.lib.llama_n_batch(self.native), self._sequences)
        except BaseException:
            self.close()
            raise

    def decode(self, statistics: Statistics, *, spare_cell: bool = False) -> int:
        """Compute the batch; returns llama.cpp's code, 0 for success.

        A batch that it would answer by ending the process is refused here.

        Args:
            statistics: Where the time is counted.
            spare_cell: Whether one more row may be computed where four are faster than three.
        """
        batch = self.batch
        if not 0 < batch.size <= batch.capacity or batch.outputs > self.layout.slots:
            raise RuntimeError(f"a step of {batch.size} tokens and {batch.outputs} outputs")
        fill_up = self._filler is not None and spare_cell and batch.size % 4 == 3 and batch.room > 0
        if fill_up:
            batch.add_token(0, 0, self._filler or 0)
        began = time.perf_counter()
        code = int(self.lib.llama_decode(self.native, batch.native))
        statistics.decode_s += time.perf_counter() - began
        if fill_up:
            self.cut(self._filler or 0)
            statistics.fillers += 1
        return code

    def copy(self, source: int, target: int, count: int) -> None:
        """Let the (empty) target begin with the first cells of the source."""
        if self.layout.unified:
            self.lib.llama_memory_seq_cp(self.memory, source, target, 0, count)
        else:  # buffers of their own: only whole sequences can be copied
            self.lib.llama_memory_seq_cp(self.memory, source, target, -1, -1)
            self.lib.llama_memory_seq_rm(self.memory, target, count, -1)

    def cut(self, sequence: int, count: int = 0) -> None:
        """Keep only the first cells of a sequence."""
        self.lib.llama_memory_seq_rm(self.memory, sequence, count or -1, -1)

    def renew(self) -> None:
        """Make a new context in place of one that failed: nothing is known of what that one holds.

        Raises:
            ModelError: it cannot be made.
        """
        self._drop()
        self._open()

    def abort(self) -> None:
        """End the running computation, from any thread; on a CPU within milliseconds. For good."""
        self._abort.raw = b"\1\0"

    def close(self) -> None:
        """Free everything."""
        self._drop()
        if self.model is not None:
            if hasattr(self, "vocabulary"):
                self.vocabulary.close()
            self.lib.llama_model_free(self.model)
            self.model = None

    def _fills_up(self) -> bool:
        """Whether a row that nobody needs can make a step faster, and hurts nothing."""
        settings = self._settings
        on_cpu = settings.gpu_layers == 0 and self.layout.unified and self.layout.slots > 1
        return on_cpu and settings.file.values.get("general.file_type") == _Q4_0

    def _open(self) -> None:
        self.native = self._make(self._settings)
        self.memory = self.lib.llama_get_memory(self.native)
        self._install_abort(self._settings)

    def _drop(self) -> None:
        if self.native is not None:
            self.lib.llama_free(self.native)
            self.native = None

    def _load(self, settings: ContextSettings) -> Any:
        lib = self.lib
        parameters = lib.llama_model_default_params()
        parameters.n_gpu_layers = settings.gpu_layers
        parameters.load_mode = lib.LLAMA_LOAD_MODE_MMAP if settings.use_mmap else lib.LLAMA_LOAD_MODE_NONE
        forget_log()
        model = lib.llama_model_load_from_file(os.fsencode(settings.file.path), parameters)
        if not model:
            raise _unusable(settings, "llama.cpp does not load it")
        return model

    def _lay_out(self, settings: ContextSettings) -> Layout:
        try:
            return lay_out(
                window=settings.window,
                slots=settings.slots,
                cells=settings.cells,
                deterministic=settings.deterministic,
                prefix_cache=settings.prefix_cache,
                bytes_per_cell=settings.file.kv_bytes_per_token(),
                free_bytes=memory.available() if settings.gpu_layers == 0 else _free_on_gpus(),
                one_sequence=self._one_sequence(settings),
            )
        except ConfigError as exc:
            raise ModelError(str(exc), kind="not_found", code="memory") from None

    def _one_sequence(self, settings: ContextSettings) -> str | None:
        lib, architecture = self.lib, settings.file.architecture
        if lib.llama_model_has_encoder(self.model) or not lib.llama_model_has_decoder(self.model):
            raise _unusable(settings, f"the architecture {architecture} does not generate text from a prompt alone")
        if lib.llama_model_is_recurrent(self.model) or lib.llama_model_is_hybrid(self.model):
            return f"the architecture {architecture} keeps a state that cannot be cut"
        return None

    def _make(self, settings: ContextSettings) -> Any:
        lib, layout = self.lib, self.layout
        parameters = lib.llama_context_default_params()
        parameters.n_ctx = layout.cells
        parameters.n_batch = parameters.n_ubatch = settings.step_tokens
        parameters.n_seq_max = self._sequences
        # Rows of logits that are kept, by default one for each token of a step; with fewer than sequences it aborts.
        parameters.n_outputs_max = self._sequences
        parameters.n_threads = parameters.n_threads_batch = self._threads
        parameters.kv_unified = layout.unified
        parameters.flash_attn_type = 0 if settings.deterministic else _FLASH[settings.flash_attn]
        parameters.swa_full = True  # a prefix can be cut at any place
        parameters.no_perf = True
        if settings.gpu_layers == 0:
            parameters.offload_kqv = parameters.op_offload = False
        forget_log()
        context = lib.llama_init_from_model(self.model, parameters)
        if not context:
            raise _unusable(settings, f"its context of {layout.cells} tokens cannot be made; a smaller n_ctx may help")
        return context

    def _install_abort(self, settings: ContextSettings) -> None:
        if settings.gpu_layers:
            return  # only asked for on CPUs
        # Called for every operation of a step. A Python function would wait for the interpreter each time; the length
        # of a C string is true as soon as its first byte is set, and needs none.
        check = ctypes.cast(ctypes.CDLL(None if os.name == "posix" else "msvcrt").strlen, self.lib.ggml_abort_callback)
        self._check = check
        self.lib.llama_set_abort_callback(self.native, check, ctypes.cast(self._abort, ctypes.c_void_p))


def _cpus() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _free_on_gpus() -> int | None:
    return sum(device.free for device in devices() if device.is_gpu) or None


def _unusable(settings: ContextSettings, why: str) -> ModelError:
    log = recent_log()
    return ModelError(
        f"{settings.file.path}: {why}{f' (its log: {log})' if log else ''}.", kind="not_found", code="load"
    )
