"""What the server remembers of requests: a log of bounded size, and counters."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ..redaction import mask_params
from .wire import Headers

PROMPT_SHOWN: Final = 1000
"""Characters of a prompt that the log keeps."""


class RequestRecord(NamedTuple):
    """One request.

    Attributes:
        number: Counted from 1; the reply has it as `x-request-id: mock-NUMBER`.
        time: When its last byte had come, seconds since the epoch.
        provider: Name of the dialect; empty where the path named none.
        model: Id of the model.
        method: In upper case.
        path: As sent, query included.
        prompt: Text of the last user message, its first `PROMPT_SHOWN` characters.
        attempt: How many requests had this prompt, for this provider and model, this one included.
        in_flight: Requests that were being answered, this one included.
        stream: Whether it wanted a stream.
        said: What it got, in one word: an outcome, an error kind, or a fault.
        rule: Index of the rule that decided; None for the default and for what no rule decides.
        headers: Secrets masked.
    """

    number: int
    time: float
    provider: str
    model: str
    method: str
    path: str
    prompt: str
    attempt: int
    in_flight: int
    stream: bool
    said: str
    rule: int | None
    headers: Mapping[str, str]


class Records:
    """Log and counters of one server.

    Args:
        size: Requests that the log holds.
    """

    def __init__(self, size: int) -> None:
        # Plain tuples: the garbage collector stops looking at those, and there may be very many.
        self._log: deque[tuple[Any, ...]] = deque(maxlen=size)
        self._attempts: dict[int, int] = {}
        self._said: Counter[tuple[str, str]] = Counter()
        self.requests = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.connections = 0
        self.open_connections = 0
        self.abandoned = 0

    def arrived(self) -> int:
        """Count a request that has come; returns its number."""
        self.requests += 1
        self.in_flight += 1
        if self.in_flight > self.most_in_flight:  # noqa: PLR1730  # max() costs more, in every request
            self.most_in_flight = self.in_flight
        return self.requests

    def gone(self, *, answered: bool) -> None:
        """A request has its answer, or the client has not waited for it."""
        self.in_flight -= 1
        if not answered:
            self.abandoned += 1

    def attempt(self, provider: str, model: str, prompt: str) -> int:
        """Count a request for a prompt; returns how many there were."""
        # A hash in place of the text, so that memory does not grow with the length of prompts.
        key = hash((provider, model, prompt))
        number = self._attempts.get(key, 0) + 1
        self._attempts[key] = number
        return number

    def add(self, provider: str, said: str, row: tuple[Any, ...]) -> None:
        """Remember a request.

        Args:
            provider: Name of the dialect.
            said: What it got.
            row: What a `RequestRecord` has; its headers as they came, masked when somebody looks.
        """
        self._log.append(row)
        self._said[provider, said] += 1

    def log(self) -> list[RequestRecord]:
        """The requests, oldest first."""
        return [RequestRecord._make((*row[:-1], mask_params(Headers(row[-1])))) for row in self._log]

    def stats(self) -> dict[str, Any]:
        """The counters, JSON-ready; `said` has, by provider, how often each thing was said."""
        said: dict[str, dict[str, int]] = {}
        for (provider, word), count in sorted(self._said.items()):
            said.setdefault(provider, {})[word] = count
        return {
            "requests": self.requests,
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
            "connections": self.connections,
            "open_connections": self.open_connections,
            "abandoned": self.abandoned,
            "said": said,
        }

    def clear(self) -> None:
        """Start anew; what is open stays counted."""
        self._log.clear()
        self._attempts.clear()
        self._said.clear()
        self.requests = self.abandoned = 0
        self.most_in_flight = self.in_flight
        self.connections = self.open_connections
