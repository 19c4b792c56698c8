"""What an HTTP status means where the body says nothing better."""

from __future__ import annotations

from typing import Final

from ..errors import ErrorKind

_KINDS: Final[dict[int, ErrorKind]] = {
    401: "authentication",
    402: "quota",
    403: "permission",
    404: "not_found",
    405: "not_found",
    407: "authentication",
    408: "timeout",
    409: "server",
    410: "not_found",
    425: "server",
    429: "rate_limit",
    451: "permission",
    499: "server",
    501: "bad_request",
    504: "timeout",
    522: "timeout",
    524: "timeout",
}
"""Where the class of a status (4xx bad_request, 5xx server) is not the answer.

A 405 comes from a wrong address and a 409 or 425 goes away by itself; 499 is a gateway's "cancelled", 522 and 524 are
Cloudflare's timeouts between it and the server.
"""


def error_kind_for_status(status: int) -> ErrorKind:
    """The default kind of an error with this status; a provider's own table comes first.

    Total: a redirect is `not_found` (base_url points elsewhere), and a status that promises success, or is none at all,
    is `response_format`: whoever asks has found no usable answer in it.
    """
    kind = _KINDS.get(status)
    if kind is not None:
        return kind
    if 300 <= status < 400:
        return "not_found"
    if 400 <= status < 500:
        return "bad_request"
    if 500 <= status < 600:
        return "server"
    return "response_format"
