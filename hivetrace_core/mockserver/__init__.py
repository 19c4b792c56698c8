"""A loopback HTTP server that plays a provider by script: answers, blocks, errors, faults on the wire.

    with MockServer({"rules": [{"match": "bomb", "outcome": "blocked"}]}, dialects=[AcmeDialect()]) as server:
        model = AcmeModel(base_url=server.url("acme"))
        ...
        assert len(server.log) == 10

How a vendor spells an answer, a stream, a block and an error is its plugin's business: a `Dialect`. The server itself
knows HTTP and the script. Needs the extra `mock` (httptools), which is imported when a server starts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .dialect import Dialect, Turn, WireReply, WireRequest, json_reply, wait_headers
    from .expectation import Expected, expected
    from .loading import load_script
    from .records import RequestRecord
    from .script import Script
    from .server import MockServer
    from .signals import (
        Build,
        Signal,
        asks_to_stream,
        constant,
        final_variants_of,
        last_user_message,
        payload_reply,
        prompt_in,
        rough_tokens,
        variants_of,
        words_of,
    )

__all__ = [
    "Build",
    "Dialect",
    "Expected",
    "MockServer",
    "RequestRecord",
    "Script",
    "Signal",
    "Turn",
    "WireReply",
    "WireRequest",
    "asks_to_stream",
    "constant",
    "expected",
    "final_variants_of",
    "json_reply",
    "last_user_message",
    "load_script",
    "payload_reply",
    "prompt_in",
    "rough_tokens",
    "variants_of",
    "wait_headers",
    "words_of",
]

_HOMES: Final = {
    "Build": "signals",
    "Dialect": "dialect",
    "Expected": "expectation",
    "MockServer": "server",
    "RequestRecord": "records",
    "Script": "script",
    "Signal": "signals",
    "Turn": "dialect",
    "WireReply": "dialect",
    "WireRequest": "dialect",
    "asks_to_stream": "signals",
    "constant": "signals",
    "expected": "expectation",
    "final_variants_of": "signals",
    "json_reply": "dialect",
    "last_user_message": "signals",
    "load_script": "loading",
    "payload_reply": "signals",
    "prompt_in": "signals",
    "rough_tokens": "signals",
    "variants_of": "signals",
    "wait_headers": "dialect",
    "words_of": "signals",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
