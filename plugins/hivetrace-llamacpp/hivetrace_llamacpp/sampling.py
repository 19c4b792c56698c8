"""How the next token is chosen: one sampler per sequence, made when the sequence begins."""

from __future__ import annotations

import ctypes
import secrets
from typing import Any, Final, Protocol

import numpy as np

from .requests import Sampling

COLDEST: Final = 1e-6
"""Temperatures below are taken as 0: logits divided by them could overflow, and the likeliest token wins anyway."""

_CANDIDATE: Final = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)], align=True)


class GrammarError(ValueError):
    """A grammar that llama.cpp does not take, or that admits no token of this vocabulary."""


class Sampler(Protocol):
    """Chooses tokens for one sequence."""

    def sample(self, context: Any, row: int) -> int:
        """The next token, from the logits of that row of the last batch."""

    def close(self) -> None:
        """Free what is llama.cpp's."""


def make_sampler(lib: Any, vocab: Any, size: int, sampling: Sampling) -> Sampler:
    """The sampler that these settings amount to.

    Raises:
        GrammarError: llama.cpp does not take the grammar.
    """
    penalties = sampling.repeat_penalty != 1 or sampling.frequency_penalty or sampling.presence_penalty
    if sampling.temperature < COLDEST and not penalties and sampling.grammar is None:
        return Greedy(lib, size)
    chain = _Chain(lib)
    try:
        if sampling.penalty_last_n and penalties:
            chain.add(
                lib.llama_sampler_init_penalties(
                    size,
                    sampling.penalty_last_n,
                    sampling.repeat_penalty,
                    sampling.frequency_penalty,
                    sampling.presence_penalty,
                )
            )
        grammar = None
        if sampling.grammar is not None:
            # Its own, not in the chain: whether it leaves any token has to be seen before one is chosen.
            grammar = lib.llama_sampler_init_grammar(vocab, sampling.grammar.encode(), b"root")
            if not grammar:
                raise GrammarError("llama.cpp does not take the grammar")
        if sampling.temperature < COLDEST:
            chain.add(lib.llama_sampler_init_greedy())
        else:
            _add_random(chain, lib, sampling)
    except BaseException:
        chain.close()
        raise
    return chain if grammar is None else Guided(lib, size, chain, grammar)


def _add_random(chain: _Chain, lib: Any, sampling: Sampling) -> None:
    # The order of llama-cpp-python, so that a seed gives the same text there and here.
    if sampling.top_k > 0:
        chain.add(lib.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1:
        chain.add(lib.llama_sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p > 0:
        chain.add(lib.llama_sampler_init_min_p(sampling.min_p, 1))
    if sampling.temperature != 1:
        chain.add(lib.llama_sampler_init_temp(sampling.temperature))
    seed = secrets.randbelow(2**32 - 1) if sampling.seed is None else sampling.seed
    chain.add(lib.llama_sampler_init_dist(seed))


class Greedy:
    """The likeliest token, found by numpy: several times as fast as through a chain."""

    def __init__(self, lib: Any, size: int) -> None:
        self._logits = lib.llama_get_logits_ith
        self._size = size

    def sample(self, context: Any, row: int) -> int:
        """See `Sampler`."""
        return int(np.ctypeslib.as_array(self._logits(context, row), shape=(self._size,)).argmax())

    def close(self) -> None:
        """Nothing to free."""


class _Chain:
    """A chain of llama.cpp's samplers, which it owns."""

    def __init__(self, lib: Any) -> None:
        parameters = lib.llama_sampler_chain_default_params()
        parameters.no_perf = True
        self._lib = lib
        self.native = lib.llama_sampler_chain_init(parameters)

    def add(self, sampler: Any) -> None:
        self._lib.llama_sampler_chain_add(self.native, sampler)

    def sample(self, context: Any, row: int) -> int:
        """See `Sampler`."""
        return int(self._lib.llama_sampler_sample(self.native, context, row))

    def close(self) -> None:
        """See `Sampler`."""
        self._lib.llama_sampler_free(self.native)


class Guided:
    """A grammar before a chain.

    A token that the grammar does not admit ends the process inside llama.cpp, and where it admits none, the chain would
    choose such a token. So the two are applied one after the other.
    """

    def __init__(self, lib: Any, size: int, chain: _Chain, grammar: Any) -> None:
        self._lib = lib
        self._chain = chain
        self._grammar = grammar
        self._candidates = np.zeros(size, _CANDIDATE)
        self._ids = np.arange(size, dtype=np.int32)
        self._array = lib.llama_token_data_array()

    def sample(self, context: Any, row: int) -> int:
        """See `Sampler`.

        Raises:
            GrammarError: no token of the vocabulary goes on as the grammar wants.
        """
        size = len(self._candidates)
        self._candidates["id"] = self._ids
        self._candidates["logit"] = np.ctypeslib.as_array(self._lib.llama_get_logits_ith(context, row), shape=(size,))
        array = self._array
        array.data = ctypes.cast(self._candidates.ctypes.data, type(array.data))
        array.size, array.selected, array.sorted = size, -1, False
        self._lib.llama_sampler_apply(self._grammar, ctypes.byref(array))
        if not np.isfinite(self._candidates["logit"]).any():
            raise GrammarError("the grammar admits no token of this model's vocabulary at this place")
        self._lib.llama_sampler_apply(self._chain.native, ctypes.byref(array))
        token = int(array.data[array.selected].id)
        self._lib.llama_sampler_accept(self._grammar, token)
        self._lib.llama_sampler_accept(self._chain.native, token)
        return token

    def close(self) -> None:
        """See `Sampler`."""
        self._lib.llama_sampler_free(self._grammar)
        self._chain.close()
