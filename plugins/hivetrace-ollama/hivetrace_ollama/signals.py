"""The wire's vocabulary: which words in a payload mean which finish reason or error.

Sources: the server's API reference and source (0.33: routes, scheduler, runner), the official client (0.6.3), and, for
the hosted service, messages quoted in issue trackers. The README says what was not verified against a live server.
"""

from __future__ import annotations

import re
from typing import Final

from hivetrace_core import FinishReason

RULES_VERSION: Final = 1
"""Raised whenever the same payload would be classified differently than before."""

FINISH_REASONS: Final[dict[str, FinishReason]] = {"stop": "stop", "length": "length"}

NO_ANSWER_REASONS: Final[dict[str, str]] = {
    "load": "it has loaded the model",
    "unload": "it has unloaded the model",
}
"""What the server says to a request without messages. Ours have some: something on the way has lost them."""

BROKEN_OFF: Final = ""
"""The reason of an answer whose generation was broken off because a connection closed."""

QUOTA: Final = re.compile(r"usage limit|add extra usage|ollama\.com/upgrade", re.IGNORECASE)
"""The hosted service's limits per session, hour and week; its other 429s pass by themselves."""

CONTEXT: Final = re.compile(
    r"longer than the context|context (?:length|size|window)|exceed_context_size|exceeds? the (?:available )?context",
    re.IGNORECASE,
)

BUSY: Final = re.compile(r"server busy|maximum pending requests", re.IGNORECASE)
"""The local queue (OLLAMA_MAX_QUEUE) is full."""

CANCELED: Final = re.compile(r"request cancell?ed|context canceled", re.IGNORECASE)

INVALID: Final = re.compile(r"^invalid (?:format|options?|think)|does not support \w+|^option \"", re.IGNORECASE)
"""Wrong requests that the runner finds out, so that they arrive as a 500."""

LASTING: Final = re.compile(
    r"requires more system memory|unknown model architecture|unsupported model|unable to load model"
    r"|error loading model|llama-server binary not found",
    re.IGNORECASE,
)
"""Faults of the server's that the next attempt would meet as well."""

MODEL_NOT_FOUND: Final = re.compile(r"model ['\"]?([\w./:@-]+)['\"]? not found", re.IGNORECASE)

REFERENCE: Final = re.compile(r"\(ref: ([0-9A-Za-z-]{8,64})\)")
"""The hosted service's id of a request, inside its messages."""
