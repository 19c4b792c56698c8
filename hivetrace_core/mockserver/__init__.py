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

__all__ = [
    "Dialect",
    "Expected",
    "MockServer",
    "RequestRecord",
    "Script",
    "Turn",
    "WireReply",
    "WireRequest",
    "expected",
    "json_reply",
    "load_script",
    "wait_headers",
]

_HOMES: Final = {
    "Dialect": "dialect",
    "Expected": "expectation",
    "MockServer": "server",
    "RequestRecord": "records",
    "Script": "script",
    "Turn": "dialect",
    "WireReply": "dialect",
    "WireRequest": "dialect",
    "expected": "expectation",
    "json_reply": "dialect",
    "load_script": "loading",
    "wait_headers": "dialect",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
