"""JSON over HTTP for providers: one well-made transport (extra `http`, on aiohttp).

    class AcmeModel(ProviderModel[AcmeOptions]):            # AcmeOptions(HttpOptions)
        def make_client(self) -> JsonHttp:
            key = self.options.api_key.get_secret_value()
            return JsonHttp(self.options, headers={"Authorization": f"Bearer {key}"})

        async def complete(self, client: JsonHttp, messages: Messages) -> Reply:
            return await client.post("/chat/completions", {"model": self.options.model, "messages": [...]})

What arrives is an exact raw `Reply`, whatever its status; blocks, errors and waits are read from it by pure functions.
What does not arrive is a `ModelError` that says why. aiohttp is imported when the first client is made, never before.
"""

from __future__ import annotations

from .client import JsonHttp
from .failures import UNREACHABLE, UNTRUSTED, transport_error
from .options import HttpOptions
from .params import HttpParams
from .statuses import error_kind_for_status
from .streams import ReplyStream, ServerEvent
from .waits import MAX_WAIT_S, duration, wait_seconds

__all__ = [
    "MAX_WAIT_S",
    "UNREACHABLE",
    "UNTRUSTED",
    "HttpOptions",
    "HttpParams",
    "JsonHttp",
    "ReplyStream",
    "ServerEvent",
    "duration",
    "error_kind_for_status",
    "transport_error",
    "wait_seconds",
]
