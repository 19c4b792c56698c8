"""The simulated target itself: a prompt in, a raw reply out, the same one every time."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator
from statistics import NormalDist
from typing import Any, Final, Unpack

from ..engine.tokens import estimate_tokens
from ..messages import Messages, text_of
from ..provider import ProviderModel
from ..responses import ModelResponse, Reply, ResponseChunk
from . import outcomes
from .options import RateLimit, Rule, SimulatedOptions
from .params import SimulatedParams

_WINDOW_S: Final = 60.0
_NORMAL: Final = NormalDist()
_PIECE: Final = re.compile(r"\s*\S+\s*|^\s+$")

_TEXTS: Final[dict[str, str]] = {
    "answered": "This is a simulated answer; no model was called. The prompt had {length} characters.",
    "truncated": "This is a simulated answer that was cut off after a few",
    "refused": "I can't help with that. (Simulated refusal; no model was called.)",
    "unknown": "This simulated answer ended in a way that nobody documented.",
}

_FINISH: Final[dict[str, str]] = {
    "answered": "stop",
    "empty": "stop",
    "truncated": "length",
    "tool_calls": "tool_calls",
    "refused": "refusal",
    "blocked": "filter",
    "unknown": "unheard_of",
}


class SimulatedModel(ProviderModel[SimulatedOptions]):
    """Answers by the rules in its options."""

    provider = "simulated"

    def __init__(self, model: str | None = None, **options: Unpack[SimulatedParams]) -> None:
        super().__init__(model, **options)
        self._rules = [(rule, re.compile(rule.match) if rule.match else None) for rule in self.options.rules]
        self._tries: dict[tuple[int, bytes], int] = {}
        self._gate = _Gate(self.options.rate_limit) if self.options.rate_limit else None

    async def complete(self, client: Any, messages: Messages) -> Reply:
        """One simulated request."""
        reply, _ = await self._request(messages)
        return reply

    async def stream_complete(self, client: Any, messages: Messages) -> AsyncGenerator[str | ResponseChunk, None]:
        """The same answer word by word, the latency spread over the words."""
        reply, latency = await self._request(messages, wait=False)
        response = outcomes.classify(reply)
        pieces = _PIECE.findall(response["content"])
        for piece in pieces:
            await asyncio.sleep(latency / len(pieces))
            yield piece
        if not pieces:
            await asyncio.sleep(latency)
        yield {"content": "", "response_metadata": response["response_metadata"]}

    def classify(self, reply: Reply) -> ModelResponse:
        """See `outcomes.classify`."""
        return outcomes.classify(reply)

    def latency_of(self, prompt: str) -> float:
        """Seconds that a request for this prompt takes, by seed and text."""
        return self._latency(_digest(self.options.seed, prompt))

    async def _request(self, messages: Messages, *, wait: bool = True) -> tuple[Reply, float]:
        prompt = _last_user_text(messages)
        digest = _digest(self.options.seed, prompt)
        number = self._rule_for(prompt, digest)
        rule = None if number is None else self._rules[number][0]
        latency = self._latency(digest) if rule is None or rule.latency is None else rule.latency
        payload = self._payload(messages, prompt, digest, rule)
        if self._gate is not None and (refused := self._gate.refuse(payload["usage"]["total_tokens"])) is not None:
            return refused, 0.0
        if number is not None and rule is not None and rule.times is not None:
            self._tries[number, digest] = self._tries.get((number, digest), 0) + 1
        if rule is not None and rule.hang:
            await asyncio.get_running_loop().create_future()
        fails = rule is not None and rule.fails
        if latency > 0 and (wait or fails):
            await asyncio.sleep(latency)
        return (_failure(rule) if rule is not None and fails else Reply(payload)), latency

    def _rule_for(self, prompt: str, digest: bytes) -> int | None:
        """Number of the first rule that applies."""
        for number, (rule, pattern) in enumerate(self._rules):
            if pattern is not None and pattern.search(prompt) is None:
                continue
            if rule.share < 1 and _fraction(digest, number + 1) >= rule.share:
                continue
            if rule.times is not None and self._tries.get((number, digest), 0) >= rule.times:
                continue
            return number
        return None

    def _latency(self, digest: bytes) -> float:
        options = self.options
        if not options.latency or not options.latency_sigma:
            return options.latency
        quantile = min(max(_fraction(digest, 0), 1e-9), 1 - 1e-9)
        return options.latency * math.exp(options.latency_sigma * _NORMAL.inv_cdf(quantile))

    def _payload(self, messages: Messages, prompt: str, digest: bytes, rule: Rule | None) -> dict[str, Any]:
        outcome = rule.outcome if rule is not None else "answered"
        text = rule.text if rule is not None and rule.text is not None else _TEXTS.get(outcome, "")
        text = text.replace("{length}", str(len(prompt))).replace("{prompt}", prompt)
        finish = _FINISH.get(outcome, "stop")
        limit = self.options.max_tokens
        words = text.split()
        if limit is not None and len(words) > limit and outcome == "answered":
            text, finish, words = " ".join(words[:limit]), "length", words[:limit]
        read = estimate_tokens(messages, answer=0)
        payload: dict[str, Any] = {
            "id": f"sim-{digest[:8].hex()}",
            "model": self.options.model,
            "finish": finish,
            "text": text,
            "usage": {"input_tokens": read, "output_tokens": len(words), "total_tokens": read + len(words)},
        }
        if rule is not None and outcome == "blocked":
            categories = [category.model_dump() for category in rule.categories]
            payload["filter"] = {"stage": rule.stage, "categories": categories}
        if outcome == "tool_calls":
            call = {"name": "simulated_tool", "arguments": "{}"}
            payload["tool_calls"] = [{"id": "call-1", "type": "function", "function": call}]
        return payload


class _Gate:
    """Counts what arrived in the last minute."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._arrivals: deque[tuple[float, int]] = deque()
        self._tokens = 0

    def refuse(self, tokens: int) -> Reply | None:
        """A 429 where the limit is exceeded; None where the request is let in."""
        limit = self._limit
        with self._lock:
            now = time.monotonic()
            while self._arrivals and self._arrivals[0][0] <= now - _WINDOW_S:
                self._tokens -= self._arrivals.popleft()[1]
            over = (limit.rpm is not None and len(self._arrivals) >= limit.rpm) or (
                limit.tpm is not None and self._tokens + tokens > limit.tpm
            )
            if not over:
                self._arrivals.append((now, tokens))
                self._tokens += tokens
                return None
            wait = self._arrivals[0][0] + _WINDOW_S - now if self._arrivals else _WINDOW_S
        error = {"code": "rate_limit", "message": "The simulated target's limit per minute is reached"}
        return Reply({"error": error}, 429, {"retry-after": f"{wait:.3f}"})


def _failure(rule: Rule) -> Reply:
    kind = rule.error or "server"
    headers = {"retry-after": str(rule.retry_after)} if rule.retry_after is not None else {}
    message = rule.text or f"Simulated {kind.replace('_', ' ')} error"
    return Reply({"error": {"code": kind, "message": message}}, outcomes.status_of(kind), headers)


def _last_user_text(messages: Messages) -> str:
    for message in reversed(messages):
        if message["role"] == "user":
            return text_of([message])
    return text_of(messages)


def _digest(seed: int, prompt: str) -> bytes:
    return hashlib.blake2b(
        prompt.encode("utf-8", "surrogatepass"), digest_size=16, key=str(seed).encode()[:64]
    ).digest()


def _fraction(digest: bytes, salt: int) -> float:
    """A number in [0, 1) that depends on the digest and the salt only."""
    mixed = hashlib.blake2b(digest, digest_size=8, salt=salt.to_bytes(8, "little")).digest()
    return int.from_bytes(mixed, "little") / 2**64
