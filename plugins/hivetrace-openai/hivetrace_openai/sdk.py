"""The official SDK's client, for what is not chat: files, batches, embeddings. Imported when it is asked for."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from hivetrace_core import MissingDependencyError

from .options import OpenAIOptions

if TYPE_CHECKING:
    from openai import AsyncOpenAI


def sdk_client(options: OpenAIOptions) -> AsyncOpenAI:
    """A client for the same server with the same credential and TLS. See `OpenAIModel.sdk_client`."""
    try:
        import openai
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "The OpenAI SDK is not installed. Run: pip install 'hivetrace-openai[sdk]'"
        ) from None
    verify: ssl.SSLContext | bool = options.verify_tls
    if options.ca_bundle is not None:
        verify = ssl.create_default_context(cafile=str(options.ca_bundle))
    transport = openai.DefaultAsyncHttpx2Client(
        verify=verify, proxy=options.proxy, trust_env=False, follow_redirects=False
    )
    key = options.api_key.get_secret_value() if options.api_key is not None else ""
    headers = {**options.auth_headers(), **options.extra_headers}
    if options.is_azure:
        return openai.AsyncAzureOpenAI(
            azure_endpoint=str(options.azure_endpoint),
            api_version=options.api_version,
            api_key=key or None,
            azure_ad_token=options.azure_ad_token.get_secret_value() if options.azure_ad_token else None,
            azure_ad_token_provider=options.azure_ad_token_provider,
            default_headers=headers,
            http_client=transport,
            max_retries=0,
        )
    # What the SDK would add from the environment is taken out again, unless these options have it.
    removed: dict[str, str | openai.Omit] = {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}
    return openai.AsyncOpenAI(
        base_url=options.base_url,
        api_key=key or "none",
        default_headers={**removed, **headers},  # type: ignore[dict-item]  # the SDK takes Omit, its type does not say so
        http_client=transport,
        max_retries=0,
    )
