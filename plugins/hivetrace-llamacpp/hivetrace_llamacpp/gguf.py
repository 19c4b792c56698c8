"""What a GGUF file says about itself, read without llama.cpp: is it one, is it whole, how large is its model.

llama.cpp's own loader ends the process on some broken files and explains others only in its log. Here every count and
offset is checked against the file before llama.cpp sees it. The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hivetrace_core import ConfigError

from .header import MAGIC, Header
from .plausible import problem


@dataclass(frozen=True, slots=True)
class GgufFile:
    """The facts of one file.

    Attributes:
        path: Absolute, links resolved.
        size: Bytes.
        modified_ns: When it was last written.
        values: Numbers, truth values, strings and short numeric arrays by key.
        lengths: Lengths of all arrays by key.
        tensors: How many there are.
    """

    path: Path
    size: int
    modified_ns: int
    values: Mapping[str, Any] = field(repr=False)
    lengths: Mapping[str, int] = field(repr=False)
    tensors: int

    @property
    def architecture(self) -> str:
        """Such as `llama`."""
        return str(self.values.get("general.architecture", ""))

    @property
    def chat_template(self) -> str | None:
        """The Jinja template, where there is one."""
        template = self.values.get("tokenizer.chat_template")
        return template if isinstance(template, str) and template else None

    @property
    def trained_context(self) -> int | None:
        """Tokens that the model was trained to read."""
        return self._count("context_length")

    def kv_bytes_per_token(self, element: int = 2) -> int | None:
        """Bytes that one token takes in the cache of keys and values; None where the file does not say.

        Args:
            element: Bytes of one number, 2 for F16.
        """
        layers, width = self._count("block_count"), self._count("embedding_length")
        heads = self._per_layer("attention.head_count", layers)
        if layers is None or width is None or heads is None or not all(heads):
            return None
        kv_heads = self._per_layer("attention.head_count_kv", layers) or heads
        usual = width // max(heads)
        per_head = (self._count("attention.key_length") or usual) + (self._count("attention.value_length") or usual)
        return sum(kv_heads) * per_head * element

    def _count(self, name: str) -> int | None:
        value = self.values.get(f"{self.architecture}.{name}")
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None

    def _per_layer(self, name: str, layers: int | None) -> list[int] | None:
        value = self.values.get(f"{self.architecture}.{name}")
        if isinstance(value, list) and all(isinstance(one, int) and one >= 0 for one in value):
            return value
        count = self._count(name)
        return [count] * layers if count is not None and layers is not None else None


def inspect(path: Path) -> GgufFile:
    """Read and check a file's header.

    Raises:
        ConfigError: there is no such file, it cannot be read, is no GGUF, is cut off or contradicts itself.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ConfigError(f"{path} is no ordinary file; model_path must name a GGUF file.")
        with path.open("rb") as file:
            head = file.read(4)
            if head != MAGIC:
                raise ConfigError(f"{path} is not a GGUF file (it begins with {head!r}, not with {MAGIC!r}).")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                header = Header(path, data)
                header.read()
                wrong = problem(header.values, header.tensors)
                if wrong is not None:
                    raise ConfigError(f"{path} {wrong}.")
                status = path.stat()
                return GgufFile(
                    path=path.resolve(),
                    size=len(data),
                    modified_ns=status.st_mtime_ns,
                    values=header.values,
                    lengths=header.lengths,
                    tensors=header.tensors,
                )
    except FileNotFoundError:
        raise ConfigError(f"There is no file {path}; model_path must name a GGUF file.") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder; model_path must name a GGUF file.") from None
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror or exc}.") from None
