"""`Dialect`: how one vendor spells on the wire what the script decides. Plugins implement it; it imports little."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from ..errors import ErrorKind
from ..responses import Outcome

WaitForm: TypeAlias = Literal["seconds", "ms", "date"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What the script decided for one request, in neutral words.

    Attributes:
        outcome: How the prompt ends.
        text: The answer's text; with `after`, what a stream says before its error.
        stage: Where a block happens.
        categories: What the filter names.
        error: Kind of the failure; set exactly when the outcome is `failed`.
        status: HTTP status, where the script insists on one.
        retry_after: Seconds that the client is asked to wait.
        retry_after_form: How that is written.
        variant: One of the dialect's own named signals; says how, the outcome or error says what.
        after: In a stream, the error comes after so many pieces of the text; None for an error in place of the stream.
    """

    outcome: Outcome
    text: str = ""
    stage: Literal["prompt", "response"] = "prompt"
    categories: tuple[str, ...] = ()
    error: ErrorKind | None = None
    status: int | None = None
    retry_after: float | None = None
    retry_after_form: WaitForm = "seconds"
    variant: str | None = None
    after: int | None = None


class WireRequest(NamedTuple):
    """One request as it came.

    Attributes:
        method: In upper case.
        path: Below the dialect's prefix, percent-encoded as sent: `/v1/chat/completions`.
        query: What follows the question mark.
        headers: Names in lower case.
        body: Decoded JSON; None where there is none.
        raw: The bytes of the body.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Any
    raw: bytes


class WireReply(NamedTuple):
    """One whole reply. The server adds the length, the date, and an `x-request-id` where there is none."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Dialect(Protocol):
    """One vendor's wire format. Implementations inherit, for the defaults; they do no I/O and keep no state.

    Attributes:
        name: The first segment of the path under which the server speaks it; the plugin's name.
        base_path: What the vendor's `base_url` has after the host: `/v1`.
        other_urls: Options beside `base_url` that take an address of the vendor's, and what each has after the host.
        stream_type: Content type of its streams.
        variants: Every named signal that it can spell, and the outcome or error kind that the signal means.
        final_variants: Those whose error is not worth another attempt although its kind usually is.
        cannot_say: Outcomes for which the vendor has no sign, and why; rules that ask for them pass this dialect by.
    """

    name: str
    base_path: str = ""
    other_urls: Mapping[str, str] = {}
    stream_type: str = "text/event-stream"
    variants: Mapping[str, str] = {}
    final_variants: frozenset[str] = frozenset()
    cannot_say: Mapping[str, str] = {}

    def matches(self, request: WireRequest) -> bool:
        """Whether the request asks a model for an answer."""
        ...

    def prompt_of(self, request: WireRequest) -> str:
        """The text of the last user message; empty where there is none, whatever the body is."""
        ...

    def wants_stream(self, request: WireRequest) -> bool:
        """Whether the answer shall come in pieces."""
        ...

    def reply(self, request: WireRequest, turn: Turn) -> WireReply:
        """The whole reply that says this; also for requests that do not match (404) or have no readable body (400)."""
        ...

    def stream(self, request: WireRequest, turn: Turn) -> Iterable[bytes] | None:
        """The pieces of a stream after the head; None where the vendor says this with a whole reply instead."""
        ...

    def side(self, request: WireRequest) -> WireReply | None:
        """The reply of another endpoint (a list of models, a token); None where the vendor has no such endpoint."""
        return None

    def model_of(self, request: WireRequest) -> str:
        """The id of the model that is asked; empty where the request has none."""
        model = request.body.get("model") if isinstance(request.body, dict) else None
        return model if isinstance(model, str) else ""

    def key_of(self, request: WireRequest) -> str | None:
        """The credential that the request carries."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" and key.strip() else None


# ASCII, so that lone surrogates survive as escapes. Built once: json.dumps with options builds an encoder per call.
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


def json_bytes(payload: Any) -> bytes:
    """JSON as servers write it: compact, in ASCII."""
    return _encode(payload).encode("ascii")


def json_reply(payload: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> WireReply:
    """A reply with a JSON body."""
    return WireReply(status, {"Content-Type": "application/json", **(headers or {})}, json_bytes(payload))


def wait_headers(turn: Turn) -> dict[str, str]:
    """The `retry-after` that a turn asks for, in its form; nothing where it asks for none."""
    wait = turn.retry_after
    if wait is None:
        return {}
    # Rounded up in every form: whoever waits as told must not come too early.
    milliseconds = math.ceil(wait * 1000)
    if turn.retry_after_form == "ms":
        return {"retry-after-ms": str(milliseconds)}
    if turn.retry_after_form == "date":
        from email.utils import formatdate

        return {"retry-after": formatdate(math.ceil(time.time() + wait), usegmt=True)}
    return {"retry-after": f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".")}
