"""The model's tokens: from text to numbers and from numbers to bytes."""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from .requests import Tokens

LONGEST_RUN: Final = 2000
"""Characters without a change between space and text that are read at once.

llama.cpp divides text by regular expressions that recurse for each character: a run of some 26,000 takes the 8 MB that
the stack of a thread usually has, and ends the process.
"""

_PIECE_BYTES: Final = 256
_RUN: Final = re.compile(r"\S+|\s+")


class ClosedError(Exception):
    """The model was freed."""


class Vocabulary:
    """Tokenizer of a loaded model. Reading text is safe from any thread; `piece` belongs to the engine's thread.

    Args:
        lib: `llama_cpp`.
        model: The loaded model.
    """

    def __init__(self, lib: Any, model: Any) -> None:
        self._lib = lib
        self.native = lib.llama_model_get_vocab(model)
        self.size: int = lib.llama_vocab_n_tokens(self.native)
        self._pieces: dict[int, bytes | None] = {}
        self._buffer = ctypes.create_string_buffer(_PIECE_BYTES)
        self._lock = threading.Lock()
        self._readers = 0
        self._closed = False
        self._unused = threading.Event()
        self._unused.set()
        begin = lib.llama_vocab_bos(self.native)
        end = lib.llama_vocab_eos(self.native)
        self.begin: int | None = begin if begin >= 0 else None
        self.begin_text, self.end_text = self._name(begin), self._name(end)
        self._divides = lib.llama_vocab_type(self.native) == lib.LLAMA_VOCAB_TYPE_BPE
        self.adds_begin: bool = lib.llama_vocab_get_add_bos(self.native) and begin >= 0
        hidden = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN
        self.control: dict[str, int] = {
            name: token
            for token in range(self.size)
            if lib.llama_vocab_get_attr(self.native, token) & hidden and (name := self._name(token))
        }
        """Texts that llama.cpp reads as control tokens, with their numbers."""
        self.eats_before, self.eats_after = (
            {token for token in self.control.values() if lib.llama_vocab_get_attr(self.native, token) & attribute}
            for attribute in (lib.LLAMA_TOKEN_ATTR_LSTRIP, lib.LLAMA_TOKEN_ATTR_RSTRIP)
        )
        """Control tokens that take the white space on that side of them away."""

    def read(self, text: str, *, control: bool) -> Tokens:
        """The tokens of a text.

        Args:
            text: Any text; lone surrogates become question marks.
            control: Whether the names of control tokens stand for them. Then it must have no long run.

        Raises:
            ClosedError: the model was freed meanwhile.
        """
        with self._reading():
            if control or not self.has_long_run(text):
                return self._read(text, control)
            parts = [self._read(piece, control) for piece in _pieces(text)]
            return np.concatenate(parts)

    def has_long_run(self, text: str) -> bool:
        """Whether a text can only be read in pieces."""
        if not self._divides or len(text) <= LONGEST_RUN:
            return False
        return any(found.end() - found.start() > LONGEST_RUN for found in _RUN.finditer(text))

    def piece(self, token: int) -> bytes | None:
        """The bytes of a token, none for a control token; None for one that ends the answer."""
        try:
            return self._pieces[token]
        except KeyError:
            piece = None if self._lib.llama_vocab_is_eog(self.native, token) else self._piece(token)
            self._pieces[token] = piece
            return piece

    def close(self) -> None:
        """Wait until nobody reads any more; afterwards the model may be freed."""
        with self._lock:
            self._closed = True
        self._unused.wait()

    def _read(self, text: str, control: bool) -> Tokens:
        raw = text.encode("utf-8", "replace")
        room = len(raw) + 16
        while True:
            tokens = np.empty(room, np.int32)
            pointer = tokens.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
            count = self._lib.llama_tokenize(self.native, raw, len(raw), pointer, room, False, control)
            if count >= 0:
                return tokens[:count].copy()
            room = -count

    def _piece(self, token: int) -> bytes:
        while True:
            room = len(self._buffer)
            size = self._lib.llama_token_to_piece(self.native, token, self._buffer, room, 0, False)
            if size >= 0:
                return self._buffer.raw[:size]
            self._buffer = ctypes.create_string_buffer(-size)

    def _name(self, token: int) -> str:
        raw = self._lib.llama_vocab_get_text(self.native, token) if token >= 0 else None
        return raw.decode("utf-8", "replace") if raw else ""

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise ClosedError
            self._readers += 1
            self._unused.clear()
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1
                if not self._readers:
                    self._unused.set()


def _pieces(text: str) -> Iterator[str]:
    """The text with each long run cut into pieces; what is between them stays together."""
    start = 0
    for found in _RUN.finditer(text):
        for cut in range(found.start() + LONGEST_RUN, found.end(), LONGEST_RUN):
            yield text[start:cut]
            start = cut
    yield text[start:]
