"""The tokens of one step, as llama.cpp wants them."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from .requests import Tokens

_INT32_POINTER = ctypes.POINTER(ctypes.c_int32)


class Batch:
    """A `llama_batch` over arrays that are filled by slices: setting it token by token would cost Python time.

    Args:
        lib: `llama_cpp`.
        capacity: Most tokens of a step.
        sequences: How many sequence ids there are.
    """

    def __init__(self, lib: Any, capacity: int, sequences: int) -> None:
        self.capacity = capacity
        self.size = 0
        self.outputs = 0
        """Rows whose logits are wanted."""
        self._tokens = np.zeros(capacity, np.int32)
        self._positions = np.zeros(capacity, np.int32)
        self._counts = np.ones(capacity, np.int32)
        self._owners = np.zeros(capacity, np.uint64)
        self._wanted = np.zeros(capacity, np.int8)
        # Each row points at the cell that holds the id of its only sequence.
        self._ids = np.arange(sequences, dtype=np.int32)
        self._addresses = (self._ids.ctypes.data + 4 * np.arange(sequences)).astype(np.uint64)
        self.native = lib.llama_batch()
        self.native.embd = None
        self.native.token = self._tokens.ctypes.data_as(_INT32_POINTER)
        self.native.pos = self._positions.ctypes.data_as(_INT32_POINTER)
        self.native.n_seq_id = self._counts.ctypes.data_as(_INT32_POINTER)
        self.native.seq_id = ctypes.cast(self._owners.ctypes.data, ctypes.POINTER(_INT32_POINTER))
        self.native.logits = self._wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))

    @property
    def room(self) -> int:
        """Tokens that still fit."""
        return self.capacity - self.size

    def clear(self) -> None:
        """Begin a new step."""
        self.size = self.outputs = self.native.n_tokens = 0

    def add_token(self, token: int, position: int, sequence: int) -> int:
        """Add one token whose logits are wanted; returns its row."""
        row = self.size
        self._tokens[row] = token
        self._positions[row] = position
        self._owners[row] = self._addresses[sequence]
        self._wanted[row] = 1
        self.outputs += 1
        self.size = self.native.n_tokens = row + 1
        return row

    def add_prompt(self, tokens: Tokens, position: int, sequence: int, *, last: bool) -> int:
        """Add a part of a prompt; returns the row of its last token, whose logits are wanted if it is the prompt's."""
        start, end = self.size, self.size + len(tokens)
        self._tokens[start:end] = tokens
        self._positions[start:end] = np.arange(position, position + len(tokens), dtype=np.int32)
        self._owners[start:end] = self._addresses[sequence]
        self._wanted[start:end] = 0
        if last:
            self._wanted[end - 1] = 1
            self.outputs += 1
        self.size = self.native.n_tokens = end
        return end - 1
