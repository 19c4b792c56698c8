"""The vendor's SDK, for what is not chat: files, embeddings, balance. Imported when it is asked for."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from hivetrace_core import ConfigError, MissingDependencyError, SecretStr

from .options import GigaChatOptions

if TYPE_CHECKING:
    from gigachat import GigaChat


def sdk_client(options: GigaChatOptions) -> GigaChat:
    """A client for the same service with the same credential and TLS. See `GigaChatModel.sdk_client`."""
    try:
        import gigachat
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "The GigaChat SDK is not installed. Run: pip install 'hivetrace-gigachat[sdk]'"
        ) from None
    if options.proxy is not None:
        raise ConfigError(
            "The GigaChat SDK takes no proxy as an option: make the client without the model, with HTTPS_PROXY set."
        )
    trust = None
    if options.ca_bundle is not None:
        trust = ssl.create_default_context(cafile=str(options.ca_bundle))
    # An empty text is not "unset" to the SDK: it keeps the environment's value out.
    return gigachat.GigaChat(
        base_url=options.base_url,
        auth_url=options.auth_url,
        credentials=_plain(options.credentials),
        scope=options.scope,
        user=options.user or "",
        password=_plain(options.password),
        access_token=_plain(options.access_token),
        model=options.model,
        profanity_check=options.profanity_check,
        flags=options.flags,
        timeout=options.timeout or options.auth_timeout,
        verify_ssl_certs=options.verify_tls,
        ssl_context=trust,
        ca_bundle_file="",
        cert_file="",
        max_retries=0,
    )


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""
