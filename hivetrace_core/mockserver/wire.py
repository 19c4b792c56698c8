"""HTTP/1.1 replies as bytes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final, TypeAlias

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}

LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

RawHeaders: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Headers(Mapping[str, str]):
    """A request's headers, decoded when somebody looks; names in lower case, of equal ones the last counts.

    Args:
        raw: Names and values as they came.

    Attributes:
        raw: The same.
    """

    __slots__ = ("_decoded", "raw")

    def __init__(self, raw: RawHeaders) -> None:
        self.raw = raw
        self._decoded: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, str]:
        if self._decoded is None:
            self._decoded = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.raw}
        return self._decoded


_BODYLESS: Final = frozenset({204, 304})


class _Clock:
    """The date header, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def date(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True)
        return self._text


_CLOCK: Final = _Clock()


def head(status: int, headers: Mapping[str, str], *, number: int, length: int | None, close: bool) -> bytes:
    """Status line and headers, with the empty line that ends them.

    Args:
        status: HTTP status.
        headers: To be sent as they are.
        number: Of the request; becomes the `x-request-id` where there is none.
        length: Of the body; None for one in chunks, or one that the end of the connection ends (`close`).
        close: Whether to announce that the connection will be closed.
    """
    text, named = _start(status, tuple(headers.items()))
    text += f"Date: {_CLOCK.date()}\r\n" if named else f"Date: {_CLOCK.date()}\r\nx-request-id: mock-{number}\r\n"
    if length is not None:
        if status not in _BODYLESS:
            text += f"Content-Length: {length}\r\n"
    elif not close:
        text += "Transfer-Encoding: chunked\r\n"
    if close:
        text += "Connection: close\r\n"
    return (text + "\r\n").encode("latin-1", "replace")


@lru_cache(maxsize=128)
def _start(status: int, headers: tuple[tuple[str, str], ...]) -> tuple[str, bool]:
    """The status line with the reply's own headers, and whether an `x-request-id` is among them."""
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'Status')}", *(f"{name}: {value}" for name, value in headers)]
    return "".join(f"{line}\r\n" for line in lines), any(name.lower() == "x-request-id" for name, _ in headers)


def chunk(data: bytes) -> bytes:
    """A piece of a body in chunks; nothing for an empty piece, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
