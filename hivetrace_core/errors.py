"""Every exception a user can meet.

HiveTraceError
├── ConfigError                 the caller's input is wrong: config, options, arguments
├── RunError                    a run folder cannot be used: locked, corrupt, full, too new
├── PluginError
│   ├── UnknownModelError       no plugin has that name
│   ├── NameConflictError       two distributions have that name
│   ├── PluginLoadError         the plugin is broken
│   ├── IncompatiblePluginError the plugin wants another plugin API
│   └── MissingDependencyError  the plugin needs a package that is not installed
└── ModelError                  a request got no usable answer
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Final, Literal, TypeAlias

ErrorKind: TypeAlias = Literal[
    "authentication",
    "permission",
    "rate_limit",
    "quota",
    "context_length",
    "bad_request",
    "not_found",
    "timeout",
    "connection",
    "server",
    "response_format",
    "unexpected",
    "not_sent",
]

ERROR_KINDS: Final[frozenset[str]] = frozenset(ErrorKind.__args__)  # type: ignore[attr-defined]  # typing has no name for it

RETRYABLE_KINDS: Final[frozenset[str]] = frozenset({"rate_limit", "timeout", "connection", "server"})
"""Kinds that another attempt may cure. A single error can say otherwise (`ModelError.retryable`)."""

MAX_CAUSE: Final = 2000
"""Characters of an unforeseen exception's text that go into an error message."""


class HiveTraceError(Exception):
    """Base of all errors that HiveTrace raises on purpose. The message is fit for a user to read."""


class ConfigError(HiveTraceError):
    """A config, an option or an argument is wrong; nothing was sent."""


class RunError(HiveTraceError):
    """A run folder cannot be created, read or written; what it already holds is untouched."""


class PluginError(HiveTraceError):
    """Base of what can go wrong between a name and a model class."""


class UnknownModelError(PluginError):
    """No installed plugin and no registered model answers to the name."""


class NameConflictError(PluginError):
    """Several distributions, or several plugins' patterns, claim the same name."""


class PluginLoadError(PluginError):
    """A plugin was found but could not be loaded, or does not keep its side of the contract."""


class IncompatiblePluginError(PluginError):
    """A plugin was written for another version of the plugin API."""


class MissingDependencyError(PluginError):
    """A plugin needs a package that is not installed; the message has the install line."""


class ModelError(HiveTraceError):
    """A request that ended without a usable answer.

    Raised by single calls; in batch calls it becomes the `error` of that prompt's response. A safety block is never a
    `ModelError`.

    Args:
        message: What happened, where, and what to do next; without keys, headers or tracebacks.
        kind: One of `ErrorKind`; another word counts as `unexpected`.
        provider: Name of the plugin.
        model: The provider's model id.
        status: HTTP status, where there was one.
        code: The provider's own error code, or the transport's (`hivetrace_core.http.UNREACHABLE`, ...).
        retry_after: Seconds that the provider asked to wait; a negative or endless wait counts as none.
        retryable: Whether another attempt may help; by default decided by `kind` (`RETRYABLE_KINDS`).
        attempts: Requests that were sent, this one included; 0 when nothing was.
        request_id: The provider's id of the request.
        response: What was received before the failure (a partial answer), or None.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind = "unexpected",
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
        attempts: int = 0,
        request_id: str | None = None,
        response: Mapping[str, Any] | None = None,
    ) -> None:
        # Plugins hand on what an SDK or a server gave them; what leaves here is of the promised types, JSON-ready.
        super().__init__(str(message))
        self.message = str(message)
        self.kind: ErrorKind = kind if kind in ERROR_KINDS else "unexpected"
        self.provider = provider
        self.model = model
        self.status = status
        self.code = None if code is None else str(code)
        self.retry_after = retry_after if retry_after is not None and 0 <= retry_after < inf else None
        self.retryable = self.kind in RETRYABLE_KINDS if retryable is None else retryable
        self.attempts = attempts
        self.request_id = request_id
        self.response = response

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only arguments are invisible to the default pickling of exceptions.
        return _rebuild, (type(self), self.message, {**self.__dict__})


def _rebuild(cls: type[ModelError], message: str, state: dict[str, Any]) -> ModelError:
    error = cls.__new__(cls, message)  # a subclass's own constructor may want other arguments
    error.__dict__.update(state)
    return error


def unexpected(exc: BaseException) -> ModelError:
    """The error for an exception that nobody foresaw."""
    try:
        text = str(exc)
    except Exception:  # noqa: BLE001  # even __str__ may raise
        text = ""
    name = type(exc).__name__
    # Some exceptions repeat all that was sent; the log has the whole of it.
    short = text if len(text) <= MAX_CAUSE else f"{text[:MAX_CAUSE]}..."
    return ModelError(f"{name}: {short}" if short else name, kind="unexpected")


def meaning_of(exc: Exception) -> ModelError:
    """What an exception of Python's own says about a request: a timeout, a lost connection, or nothing foreseen."""
    from ssl import SSLCertVerificationError

    causes: list[BaseException] = []
    cause: BaseException | None = exc
    while cause is not None and cause not in causes:
        if isinstance(cause, SSLCertVerificationError):
            reason = cause.verify_message
            return ModelError(f"TLS certificate not trusted: {reason}", kind="connection", retryable=False)
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if isinstance(exc, TimeoutError):
        return ModelError("The request timed out", kind="timeout")
    if isinstance(exc, OSError) and exc.filename is None:  # with a name it is about a file
        return ModelError(f"The connection failed ({type(exc).__name__}: {exc})", kind="connection")
    return unexpected(exc)
