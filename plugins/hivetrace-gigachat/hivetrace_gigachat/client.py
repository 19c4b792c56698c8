"""Connections of one event loop, and the requests that go over them with a token."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from hivetrace_core import ModelError, Reply
from hivetrace_core.http import JsonHttp, ReplyStream, ServerEvent

from . import failures
from .login import Login
from .options import GigaChatOptions
from .redaction import without
from .tokens import Held, TokenStore

CHAT: Final = "chat/completions"


class Session:
    """What a model keeps beyond one event loop: the credential, and the token that it gave.

    Args:
        options: Of the model.
    """

    def __init__(self, options: GigaChatOptions) -> None:
        self.options = options
        self.login = Login(options) if options.access_token is None else None
        # Longer than any fetch can take that is still alive.
        self.tokens = TokenStore(patience=self.login.timeout + 5 if self.login is not None else 5)


class GigaChatClient:
    """Connections to the chat service and to the token endpoint, for one event loop.

    Args:
        session: Of the model.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._chat = JsonHttp(session.options)
        self._auth = session.login.make_client() if session.login is not None else None

    async def chat(self, body: Mapping[str, Any]) -> Reply:
        """Exactly one request for an answer, after one for a token where there is none.

        Raises:
            ModelError: there is no reply, or no token; or the service refuses a token that it took before, and the next
                attempt will bring a new one.
        """
        held = await self._token()
        reply = await self._chat.post(CHAT, body, headers=_bearer(held))
        return reply if reply.status < 400 else self._checked(reply, held)

    @asynccontextmanager
    async def stream(self, body: Mapping[str, Any]) -> AsyncGenerator[ReplyStream[ServerEvent], None]:
        """As `chat`, for an answer in pieces."""
        held = await self._token()
        async with self._chat.sse(CHAT, body, headers=_bearer(held)) as stream:
            if stream.reply is not None and stream.status >= 400:
                stream.reply = self._checked(stream.reply, held)
            yield stream

    async def aclose(self) -> None:
        """Close all connections; may be called again."""
        try:
            await self._chat.aclose()
        finally:
            if self._auth is not None:
                await self._auth.aclose()

    async def _token(self) -> Held:
        session, auth = self._session, self._auth
        login = session.login
        if login is None or auth is None:
            token = session.options.access_token
            return Held(token.get_secret_value() if token is not None else "", new=True)
        return await session.tokens.get(lambda: login.fetch(auth))

    def _checked(self, reply: Reply, held: Held) -> Reply:
        """A refusal, without the token in it."""
        reply.payload = without(reply.payload, held.value)
        if reply.status == 401:
            self._session.tokens.discard(held.value)
            if not held.new:
                raise _expired(reply)
        return reply


def _bearer(held: Held) -> dict[str, str]:
    return {"Authorization": f"Bearer {held.value}"}


def _expired(reply: Reply) -> ModelError:
    """The service took this token before: another one may help, and one that does not is the credential's fault."""
    error = failures.model_error(reply)
    error.message = f"{error.message}; the access token was in use before, so the next attempt takes a new one"
    error.args = (error.message,)
    error.retryable = True
    return error
