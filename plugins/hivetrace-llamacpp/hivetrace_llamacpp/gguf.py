"""What a GGUF file says about itself, read without llama.cpp: is it one, is it whole, how large is its model.

llama.cpp's own loader ends the process on some broken files and explains others only in its log. Here every count and
offset is checked against the file before llama.cpp sees it. The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hivetrace_core import ConfigError

MAGIC: Final = b"GGUF"

_SCALARS: Final[dict[int, struct.Struct]] = {
    kind: struct.Struct("<" + code)
    for kind, code in {
        0: "B",
        1: "b",
        2: "H",
        3: "h",
        4: "I",
        5: "i",
        6: "f",
        7: "?",
        10: "Q",
        11: "q",
        12: "d",
    }.items()
}
_STRING: Final = 8
_ARRAY: Final = 9
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_MAX_DIMENSIONS: Final = 4
_MAX_KEYS: Final = 1_000_000
_SHORT_ARRAY: Final = 4096
"""Numeric arrays up to this length are kept (values by layer); longer ones belong to the vocabulary."""

_BLOCKS: Final[dict[int, tuple[int, int]]] = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    9: (32, 36),  # Q8_1
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    15: (256, 292),  # Q8_K
    24: (1, 1),  # I8
    25: (1, 2),  # I16
    26: (1, 4),  # I32
    27: (1, 8),  # I64
    28: (1, 8),  # F64
    30: (1, 2),  # BF16
}
"""Elements and bytes of one block, by the number of the type. Of other types only the offset is checked."""


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
        with path.open("rb") as file:
            head = file.read(4)
            if head != MAGIC:
                raise ConfigError(f"{path} is not a GGUF file (it begins with {head!r}, not with {MAGIC!r}).")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                header = _Header(path, data)
                header.read()
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


class _Header:
    """One pass over the header; every position is checked before it is read."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.values: dict[str, Any] = {}
        self.lengths: dict[str, int] = {}
        self.tensors = 0
        self._path = path
        self._data = data
        self._at = len(MAGIC)

    def read(self) -> None:
        version = self._number(_U32)
        if version not in (2, 3):
            swapped = int.from_bytes(_U32.pack(version), "big")
            raise self._broken("is big-endian" if swapped in (2, 3) else f"has the GGUF version {version}, not 2 or 3")
        self.tensors, keys = self._number(_U64), self._number(_U64)
        if keys > _MAX_KEYS or self.tensors > _MAX_KEYS:
            raise self._broken(f"claims to have {keys} metadata keys and {self.tensors} tensors")
        for _ in range(keys):
            self._key_and_value()
        if not isinstance(self.values.get("general.architecture"), str):
            raise self._broken("names no architecture (general.architecture)")
        self._check_tensors()
        self._check_numbers()

    def _key_and_value(self) -> None:
        key = self._text(limit=65_535)
        if key in self.values or key in self.lengths:
            raise self._broken(f"has the metadata key {key!r} twice")
        kind = self._number(_U32)
        if kind != _ARRAY:
            self.values[key] = self._scalar(kind, key)
            return
        kind, length = self._number(_U32), self._number(_U64)
        self.lengths[key] = length
        scalar = _SCALARS.get(kind)
        if kind == _STRING:
            self._skip_strings(length)
        elif scalar is None:
            raise self._broken(f"has an array of the unknown type {kind} under {key!r}")
        else:
            start = self._skip(length * scalar.size)
            if length <= _SHORT_ARRAY:
                self.values[key] = [one for (one,) in scalar.iter_unpack(self._data[start : self._at])]

    def _scalar(self, kind: int, key: str) -> Any:
        if kind == _STRING:
            return self._text()
        scalar = _SCALARS.get(kind)
        if scalar is None:
            raise self._broken(f"has a value of the unknown type {kind} under {key!r}")
        return self._number(scalar)

    def _check_tensors(self) -> None:
        alignment = self.values.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise self._broken(f"has the alignment {alignment!r}, which is no power of two")
        names: set[str] = set()
        end = 0
        for _ in range(self.tensors):
            name = self._text(limit=1024)
            if name in names:
                raise self._broken(f"has the tensor {name!r} twice")
            names.add(name)
            dimensions = self._number(_U32)
            if not 1 <= dimensions <= _MAX_DIMENSIONS:
                raise self._broken(f"has the tensor {name!r} with {dimensions} dimensions")
            elements, row = 1, 0
            for position in range(dimensions):
                extent = self._number(_U64)
                row = extent if position == 0 else row
                elements *= extent
            kind, offset = self._number(_U32), self._number(_U64)
            per_block, block = _BLOCKS.get(kind, (1, 0))
            if elements == 0 or row % per_block or offset % alignment:
                raise self._broken(f"has the tensor {name!r} of an impossible shape or place")
            end = max(end, offset + elements // per_block * block)
        start = -(-self._at // alignment) * alignment
        if start + end > len(self._data):
            raise self._broken(
                f"is cut off: its tensors need {_size(start + end)}, and it has {_size(len(self._data))}. "
                "Download or copy it again"
            )

    def _check_numbers(self) -> None:
        architecture = self.values["general.architecture"]
        for name in ("block_count", "embedding_length", "attention.head_count"):
            value = self.values.get(f"{architecture}.{name}")
            if value == 0:
                raise self._broken(f"has {architecture}.{name} = 0")

    def _number(self, layout: struct.Struct) -> Any:
        start = self._skip(layout.size)
        return layout.unpack_from(self._data, start)[0]

    def _text(self, limit: int = 1 << 28) -> str:
        length = self._number(_U64)
        if length > limit:
            raise self._broken(f"has a text of {length} bytes at byte {self._at}")
        start = self._skip(length)
        return self._data[start : self._at].decode("utf-8", "replace")

    def _skip_strings(self, count: int) -> None:
        # A vocabulary has a quarter of a million of them.
        data, at, end, length_at = self._data, self._at, len(self._data), _U64.unpack_from
        try:
            for _ in range(count):
                at += 8 + length_at(data, at)[0]
                if at > end:
                    break
        except (struct.error, OverflowError):
            at = end + 1
        self._at = at
        if at > end:
            raise self._cut_off()

    def _skip(self, size: int) -> int:
        start = self._at
        if size > len(self._data) - start:
            raise self._cut_off()
        self._at = start + size
        return start

    def _cut_off(self) -> ConfigError:
        return self._broken("is cut off or broken inside its header. Download or copy it again")

    def _broken(self, what: str) -> ConfigError:
        return ConfigError(f"{self._path} {what}.")


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.3f} MB"
