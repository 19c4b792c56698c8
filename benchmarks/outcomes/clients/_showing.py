"""What clients share: questions come in line by line, and what was seen goes out the same way.

Nothing here imports HiveTrace: this runs beside the library that is looked at.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any, TypedDict

KEY = "key-of-the-corpus"
TIMEOUT_S = 8


class Question(TypedDict):
    """One case, as it is asked for."""

    id: str
    vendor: str
    service: str | None
    stream: bool
    url: str


class Seen(TypedDict, total=False):
    """What a user of the library can look at.

    An answer has `content`, `signals` (every field that tells how it ended), `tool_calls` and `refusal`; what was
    raised has `classes`, `fields` (public attributes), `text`, and `partial`: what a stream had said before.
    """

    content: str
    signals: dict[str, Any]
    tool_calls: bool
    refusal: str
    blocked_by_library: bool
    classes: list[str]
    fields: dict[str, Any]
    text: str
    partial: str
    unsupported: bool


_FIELDS = ("status_code", "code", "status", "type", "param", "body", "details", "error", "retry_after")


def raised(exc: BaseException, partial: str = "") -> Seen:
    """An exception: its classes up to `Exception`, its public fields, its text; the causes' beside its own."""
    classes: list[str] = []
    fields: dict[str, Any] = {}
    texts: list[str] = []
    chain: list[BaseException] = []
    cause: BaseException | None = exc
    while cause is not None and cause not in chain:
        chain.append(cause)
        classes += [kind.__name__ for kind in type(cause).__mro__ if kind not in (Exception, BaseException, object)]
        for name in _FIELDS:
            value = plain(getattr(cause, name, None))
            if value is not None:
                fields.setdefault(name, value)
        # Some libraries append a traceback, with paths of the machine: nothing that a user would read a cause from.
        texts.append(str(cause).partition("Traceback (most recent call last)")[0][:2000])
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return {"classes": classes, "fields": fields, "text": "\n".join(texts), "partial": partial}


def plain(value: Any) -> Any:
    """What of it JSON can say; None for the rest."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str | int | float | bool) else None


def serve(ask: Callable[[Question], Seen], distributions: Iterable[str]) -> None:
    """Answer the questions on the standard input until it ends; first say which versions are at work."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    print(json.dumps({name: version(name) for name in distributions}), file=answers, flush=True)
    for line in sys.stdin:
        question: Question = json.loads(line)
        try:
            seen = ask(question)
        except Exception as exc:  # noqa: BLE001  # whatever a library raises is what it shows
            seen = raised(exc)
        print(json.dumps({"id": question["id"], "seen": seen}, default=str), file=answers, flush=True)
