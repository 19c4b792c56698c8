"""What an engine has done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Statistics:
    """Counts since the engine began.

    Attributes:
        steps: Calls of `llama_decode` that succeeded.
        tokens: Tokens that were computed.
        reused: Prompt tokens that were not, because they had been.
        generated: Tokens of answers.
        decode_s: Seconds inside `llama_decode`.
        fillers: Rows that were computed for nobody, because four are faster than three.
        most_cells: Most cells of the cache that were held or promised at a time.
    """

    steps: int = 0
    tokens: int = 0
    reused: int = 0
    generated: int = 0
    decode_s: float = 0.0
    fillers: int = 0
    most_cells: int = 0
