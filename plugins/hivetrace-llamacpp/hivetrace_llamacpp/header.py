"""One pass over the header of a GGUF file, where every count and offset is checked before it is followed.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import struct
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
_TOKENS: Final = "tokenizer.ggml.tokens"
_PLACE: Final = 32
"""llama.cpp computes on the mapped file, and ends the process where the tensors do not begin at such a byte."""
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


class Header:
    """What is in a header.

    Args:
        path: For the messages.
        data: The whole file.
    """

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.values: dict[str, Any] = {}
        self.lengths: dict[str, int] = {}
        self.tensors = 0
        self._tokens: set[bytes] = set()
        self._path = path
        self._data = data
        self._at = len(MAGIC)

    def read(self) -> None:
        """Read all of it.

        Raises:
            ConfigError: it is cut off or contradicts itself.
        """
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
        self._check_vocabulary()
        self._check_tensors()

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
            self._read_strings(length, key)
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

    def _check_vocabulary(self) -> None:
        kind, tokens, self._tokens = self.values.get("tokenizer.ggml.model"), self._tokens, set()
        if kind in ("none", "no_vocab"):
            raise self._broken("has no vocabulary, so that no text can be read with it")
        # SentencePiece falls back on bytes for what it does not know; llama.cpp ends the process where there are none.
        if kind == "llama" and not {b"<0x%02X>" % byte for byte in range(256)} <= tokens:
            raise self._broken("has a SentencePiece vocabulary without a token for each byte")

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
        if start % _PLACE:
            raise self._broken(f"has its tensors at byte {start}, which is no multiple of {_PLACE}")
        if start + end > len(self._data):
            raise self._broken(
                f"is cut off: its tensors need {_size(start + end)}, and it has {_size(len(self._data))}. "
                "Download or copy it again"
            )

    def _number(self, layout: struct.Struct) -> Any:
        start = self._skip(layout.size)
        return layout.unpack_from(self._data, start)[0]

    def _text(self, limit: int = 1 << 28) -> str:
        length = self._number(_U64)
        if length > limit:
            raise self._broken(f"has a text of {length} bytes at byte {self._at}")
        start = self._skip(length)
        return self._data[start : self._at].decode("utf-8", "replace")

    def _read_strings(self, count: int, key: str) -> None:
        # A vocabulary has a quarter of a million of them.
        data, at, end, length_at = self._data, self._at, len(self._data), _U64.unpack_from
        empty = 0
        try:
            for _ in range(count):
                start = at + 8
                at = start + length_at(data, at)[0]
                if at > end:
                    break
                if key == _TOKENS:
                    self._tokens.add(data[start:at])
                    empty += start == at
        except (struct.error, OverflowError):
            at = end + 1
        self._at = at
        if at > end:
            raise self._cut_off()
        # llama.cpp gives the empty ones names of their own, and ends the process where two others are equal.
        if key == _TOKENS and len(self._tokens - {b""}) + empty < count:
            raise self._broken("has a token twice in its vocabulary")

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
