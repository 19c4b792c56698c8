"""From a credential to an access token: the request, and what its reply means."""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

from hivetrace_core import ErrorKind, ModelError, Reply
from hivetrace_core.http import JsonHttp, error_kind_for_status, wait_seconds

from .failures import error_of, message_of, unreadable
from .options import GigaChatOptions
from .payloads import mapping
from .tokens import AccessToken

_MILLISECONDS: Final = 1e11  # seconds reach this in the year 5138

_SCOPE_CODES: Final = frozenset({"5", "7"})
"""Codes of the token endpoint: 5 says that the scope is empty, 7 that it does not belong to the key."""

_ADVICE: Final[dict[str, str]] = {
    "authentication": "check credentials: the authorization key from the project's settings, "
    "which is base64 of client_id:client_secret",
    "permission": "check credentials, scope and auth_url",
    "not_found": "check auth_url",
    "response_format": "check auth_url",
    "rate_limit": "the endpoint takes about 10 requests a second",
}


class Login:
    """Fetches tokens for one model.

    Args:
        options: Of the model; with `credentials`, or with `user` and `password`.
    """

    def __init__(self, options: GigaChatOptions) -> None:
        self._options = options
        # Within one attempt's time, so that it is the token endpoint that is named when it does not answer.
        self.timeout = min(options.auth_timeout, 0.9 * (options.timeout or options.auth_timeout))
        self._by_key = options.credentials is not None
        self.where = options.auth_url if self._by_key else f"{options.base_url.rstrip('/')}/token"
        self._basic = f"Basic {_basic(options)}"

    def make_client(self) -> JsonHttp:
        """Connections to the token endpoint, for one event loop; the user's extra headers do not go there."""
        base_url = self._options.auth_url if self._by_key else self._options.base_url
        return JsonHttp(self._options, base_url=base_url, extras=False)

    async def fetch(self, client: JsonHttp) -> AccessToken:
        """Exactly one request.

        Raises:
            ModelError: there is no token; the message names the endpoint and what to do.
        """
        headers = {"Authorization": self._basic}
        fields: dict[str, str] = {}
        if self._by_key:
            headers["RqUID"] = str(uuid.uuid4())
            fields["scope"] = self._options.scope
        try:
            async with asyncio.timeout(self.timeout):
                reply = await client.post_form("" if self._by_key else "token", fields, headers=headers)
        except TimeoutError:
            raise ModelError(
                f"No access token: {self.where} gave no answer within {self.timeout:.3g} s", kind="timeout"
            ) from None
        except ModelError as error:
            name = "auth_url" if self._by_key else "base_url"
            error.message = f"No access token: {error.message.replace('base_url', name)}"
            error.args = (error.message,)
            raise
        return token_of(reply, self.where, buffer=self._options.token_expiry_buffer_ms / 1000)


def token_of(reply: Reply, where: str, *, buffer: float) -> AccessToken:
    """The token in a reply of the token endpoint.

    Args:
        reply: The reply.
        where: The endpoint's address, for messages.
        buffer: Seconds before its expiry at which a token is renewed.

    Raises:
        ModelError: there is none. A 400 is about the credential as a 401 is.
    """
    payload = mapping(reply.payload)
    value = payload.get("access_token") or payload.get("tok")
    if 200 <= reply.status < 300 and isinstance(value, str) and _sendable(value):
        return AccessToken.lasting(value, lifetime_of(payload, reply.headers), buffer=buffer)
    kind = _kind(reply.status)
    found = error_of(payload) if kind != "response_format" else {}
    code = found.get("code")
    if found:
        said = f"{reply.status}: {message_of(found) or 'no message'}"
    elif payload:
        said = f"{reply.status} with JSON that holds no token"
    else:
        said = f"{reply.status} {unreadable(reply.payload)}"
    raise ModelError(
        f"No access token: {where} answered {said}{_advice(kind, str(code))}",
        kind=kind,
        status=reply.status,
        code=str(code) if isinstance(code, str | int) else None,
        retry_after=wait_seconds(reply.headers) if kind in ("rate_limit", "server") else None,
        request_id=reply.headers.get("x-request-id"),
    )


def lifetime_of(payload: Mapping[str, Any], headers: Mapping[str, str]) -> float | None:
    """Seconds that a token lives by what the reply says; None where it says nothing usable.

    Its expiry is compared with the reply's own date, so that a wrong clock on this machine changes nothing; where the
    reply has none, with this machine's.
    """
    expiry = payload.get("expires_at") or payload.get("exp")
    if isinstance(expiry, bool) or not isinstance(expiry, int | float):
        return None
    seconds = expiry / 1000 if expiry > _MILLISECONDS else float(expiry)
    try:
        now = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        now = time.time()
    return seconds - now


def _basic(options: GigaChatOptions) -> str:
    if options.credentials is not None:
        return options.credentials.get_secret_value()
    password = options.password.get_secret_value() if options.password is not None else ""
    return base64.b64encode(f"{options.user}:{password}".encode()).decode("ascii")


def _sendable(value: str) -> bool:
    return bool(value) and all("!" <= character <= "~" for character in value)


def _kind(status: int) -> ErrorKind:
    if status in (400, 401, 422):
        return "authentication"
    return error_kind_for_status(status)


def _advice(kind: ErrorKind, code: str) -> str:
    if kind == "authentication" and code in _SCOPE_CODES:
        return " (check scope: GIGACHAT_API_PERS for individuals, GIGACHAT_API_B2B or GIGACHAT_API_CORP for companies)"
    text = _ADVICE.get(kind)
    return f" ({text})" if text else ""
