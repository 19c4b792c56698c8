"""What goes into the engine and what comes out of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from hivetrace_core import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Tokens: TypeAlias = "NDArray[np.int32]"
Finish: TypeAlias = Literal["eos", "stop", "max_tokens", "context", "memory"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; see `LlamaCppOptions`."""

    temperature: float = 0.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    penalty_last_n: int = 64
    seed: int | None = None
    grammar: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer.

    Attributes:
        text: All of it.
        finish: How it ended.
        tokens: What was generated, the end mark not included.
        input_tokens: Length of the prompt.
        cached_tokens: How many of those had been read before.
    """

    text: str
    finish: Finish
    tokens: list[int]
    input_tokens: int
    cached_tokens: int


Event: TypeAlias = str | Answer | ModelError
"""A piece of text (only where the request streams), and at the end an answer or an error."""


@dataclass(eq=False, slots=True)
class Request:
    """One prompt on its way through the engine.

    Attributes:
        tokens: The prompt.
        max_tokens: Longest answer; None for no limit but the window.
        sampling: How tokens are chosen.
        stops: Texts that end the answer.
        streams: Whether pieces of text are delivered before the end.
        loop: Where `deliver` is called.
        deliver: Takes each event.
        cancelled: Set from any thread; the engine then forgets the request at its next step, without an event.
    """

    tokens: Tokens
    max_tokens: int | None
    sampling: Sampling
    stops: tuple[str, ...]
    streams: bool
    loop: asyncio.AbstractEventLoop
    deliver: Callable[[Event], None]
    cancelled: bool = field(default=False)
