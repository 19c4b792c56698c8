"""The official SDK's client, for what is not chat: files, batches, embeddings. Imported when it is asked for."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from hivetrace_core import MissingDependencyError

from .options import GeminiOptions

if TYPE_CHECKING:
    from google.genai import Client

_VERSION: Final = re.compile(r"v\d+\w*")


def sdk_client(options: GeminiOptions) -> Client:
    """A client for the same server with the same key and TLS. See `GeminiNativeModel.sdk_client`."""
    try:
        import httpx2
        from google import genai
        from google.genai import types
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "The Google Gen AI SDK is not installed. Run: pip install 'hivetrace-gemini[sdk]'"
        ) from None
    trust = _trust(options)
    # With a transport of its own the SDK leaves aiohttp alone, over which it repeats requests unasked, and closes it.
    transport: dict[str, Any] = {"verify": trust, "proxy": options.proxy, "trust_env": False}
    client: dict[str, Any] = {"verify": trust, "trust_env": False, "follow_redirects": False}
    host, version = split_version(options.base_url)
    return genai.Client(
        api_key=options.api_key.get_secret_value(),
        # Variables such as GOOGLE_GENAI_USE_VERTEXAI would make it a client of another service.
        enterprise=False,
        http_options=types.HttpOptions(
            base_url=host,
            api_version=version,
            headers=dict(options.extra_headers),
            timeout=None if options.timeout is None else round(options.timeout * 1000),
            client_args={**client, "transport": httpx2.HTTPTransport(**transport)},
            async_client_args={**client, "transport": httpx2.AsyncHTTPTransport(**transport)},
            retry_options=types.HttpRetryOptions(attempts=1),
        ),
    )


def split_version(base_url: str) -> tuple[str, str]:
    """The address without the API version at its end, and the version; empty where there is none."""
    parts = urlsplit(base_url.rstrip("/"))
    before, _, last = parts.path.rpartition("/")
    if not _VERSION.fullmatch(last):
        before, last = parts.path, ""
    return urlunsplit((parts.scheme, parts.netloc, f"{before}/", "", "")), last


def _trust(options: GeminiOptions) -> ssl.SSLContext:
    """Whom to trust, as the requests for answers do."""
    context = ssl.create_default_context(cafile=None if options.ca_bundle is None else str(options.ca_bundle))
    if not options.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
