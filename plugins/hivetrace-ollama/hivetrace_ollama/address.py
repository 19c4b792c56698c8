"""Where the server is: every form in which Ollama's own programs take an address, as one base URL.

Source: the server's `envconfig` and the client's parser of OLLAMA_HOST.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

DEFAULT_BASE_URL: Final = "http://127.0.0.1:11434"

_UNUSABLE: Final = re.compile(r"[\s\x00-\x1f\x7f?#]")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_OWN_PORT: Final = 11434
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what servers listen on, nobody connects to


def base_url_of(value: str, *, source: str) -> str:
    """The base URL that an address means.

    `host`, `host:port`, `:port`, `::1`, `[::1]:port`, with or without `http://` or `https://` and a path. Without a
    scheme the port is 11434 unless it is said; with one it is the scheme's. The addresses that a server listens on for
    everybody (`0.0.0.0`, `::`) mean this machine.

    Args:
        value: The address; quotes and blanks around it do not count, and an empty one is the default.
        source: The option or variable it comes from, for the message.

    Raises:
        ValueError: it is none; the value is not in the message, because it may hold a password.
    """
    text = value.strip().strip("\"'").strip()
    if not text:
        return DEFAULT_BASE_URL
    if _UNUSABLE.search(text):
        raise ValueError(f"{source} must not have blanks, a query (?...) or a fragment (#...)")
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise ValueError(f"{source} must start with http:// or https://, or with the host")
    default = _DEFAULT_PORTS[scheme] if separator else _OWN_PORT
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        raise ValueError(f"{source} must not have a user name or password: pass them in extra_headers")
    if _is_ipv6(authority):
        authority = f"[{authority}]"
    try:
        parts = urlsplit(f"{scheme}://{authority}")
        host, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError:
        raise ValueError(f"{source} has no valid host and port; write it like http://localhost:11434") from None
    if port == 0:
        raise ValueError(f"{source} has no valid host and port; write it like http://localhost:11434")
    host = _EVERYWHERE.get(host, host)
    shown = f"[{host}]" if ":" in host else host
    tail = path.rstrip("/")
    return f"{scheme}://{shown}:{default if port is None else port}{slash + tail if tail else ''}"


def origin(base_url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what decides whether two addresses are one server."""
    parts = urlsplit(base_url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port


def is_hosted(base_url: str) -> bool:
    """Whether it is Ollama's own service, over TLS: the one stranger that its key may go to."""
    scheme, host, _ = origin(base_url)
    return scheme == "https" and (host == "ollama.com" or host.endswith(".ollama.com"))


def is_private(base_url: str) -> bool:
    """Whether nobody on the way can read along: TLS, or this machine."""
    scheme, host, _ = origin(base_url)
    if scheme == "https" or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False
