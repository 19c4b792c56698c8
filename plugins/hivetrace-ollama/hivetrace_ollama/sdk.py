"""The official client, for what is not chat: pulling, embeddings, model files. Imported when it is asked for."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from hivetrace_core import MissingDependencyError

from .options import OllamaOptions

if TYPE_CHECKING:
    from ollama import AsyncClient


def sdk_client(options: OllamaOptions) -> AsyncClient:
    """A client for the same server with the same credential and TLS. See `OllamaModel.sdk_client`."""
    try:
        import ollama
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "The Ollama client is not installed. Run: pip install 'hivetrace-ollama[sdk]'"
        ) from None
    verify: ssl.SSLContext | bool = options.verify_tls
    if options.ca_bundle is not None:
        verify = ssl.create_default_context(cafile=str(options.ca_bundle))
    headers = {**options.auth_headers(), **options.extra_headers}
    own_credential = any(name.lower() == "authorization" for name in headers)

    async def without_the_environments_key(request: Any) -> None:
        if not own_credential:
            request.headers.pop("Authorization", None)

    return ollama.AsyncClient(
        host=options.base_url,
        headers=headers,
        timeout=options.timeout,
        verify=verify,
        proxy=options.proxy,
        trust_env=False,
        follow_redirects=False,
        event_hooks={"request": [without_the_environments_key]},
    )
