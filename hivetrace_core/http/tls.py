"""Whom to trust: the system's CAs, a bundle of one's own, or, when told so and with a warning, anybody."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

_log = logging.getLogger("hivetrace_core.http")

_warned: set[str] = set()


def trust_only(ca_bundle: Path) -> ssl.SSLContext:
    """A context that verifies certificates against the CAs of this file and no others.

    Raises:
        ValueError: the file is missing, unreadable or no PEM; the message names it.
    """
    import ssl

    if ca_bundle.is_dir():
        raise ValueError(f"ca_bundle: {ca_bundle} is a folder; it has to be one PEM file")
    try:
        return ssl.create_default_context(cafile=str(ca_bundle))
    except ssl.SSLError:
        raise ValueError(f"ca_bundle: {ca_bundle} holds no certificate in PEM form") from None
    except OSError as exc:
        raise ValueError(f"ca_bundle: {ca_bundle} cannot be read ({exc.strerror})") from None


def warn_unverified(host: str) -> None:
    """Say, once per host and process, that certificates are not verified."""
    if host not in _warned:
        _warned.add(host)
        _log.warning(
            "TLS certificates of %s are not verified (verify_tls=False): anybody on the path can read the key and "
            "change the answers. Set ca_bundle to the PEM file of the CA instead.",
            host,
        )
