"""The corpus: raw replies as eight providers document them, and what each one means.

It is written from the vendors' documentation, not from any program's rules, so that it can judge all of them.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hivetrace_core import ErrorKind, Outcome

FOLDER: Final = Path(__file__).with_name("data")


class CorpusError(Exception):
    """A file of the corpus is wrong; the text says which one and where."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expected(_Strict):
    """What a reply means. Only what is named counts.

    Attributes:
        outcome: How the prompt ended.
        also: Readings that others may have, where the vendor's words leave more than one open.
        stage: Where a filter stepped in.
        categories: What the filter named as its reasons.
        content: The text that the user gets.
        kind: Of the error, where the outcome is `failed`.
        retryable: Whether another attempt may help.
        wait: Seconds that the provider asks for; None where it must not be heeded.
    """

    outcome: Outcome
    also: tuple[Outcome, ...] = ()
    stage: Literal["prompt", "response", "unspecified"] | None = None
    categories: tuple[str, ...] | None = None
    content: str | None = None
    kind: ErrorKind | None = None
    retryable: bool | None = None
    wait: float | None = None

    @property
    def named(self) -> dict[str, Any]:
        """What counts, by name."""
        return {name: getattr(self, name) for name in self.model_fields_set - {"also"}}

    @model_validator(mode="after")
    def _belongs_together(self) -> Expected:
        given = self.model_fields_set
        if self.outcome != "failed" and given & {"kind", "retryable", "wait"}:
            raise ValueError("kind, retryable and wait belong to the outcome failed")
        if self.outcome not in ("blocked", "refused") and given & {"stage", "categories"}:
            raise ValueError("stage and categories belong to blocked and refused")
        return self


class Case(_Strict):
    """One raw reply.

    Attributes:
        id: Unique; the vendor first: `gemini/finish-safety`.
        vendor: The plugin that speaks this format.
        source: Where the signal is documented.
        service: Which of the vendor's services sends it, where it is not the usual one.
        status: HTTP status.
        headers: Names in lower case.
        body: Decoded JSON; left out where there is none.
        text: A body that is no JSON.
        stream: A body in pieces, one for each time the server sends, after a request for a stream.
        expect: What it means.
    """

    id: str = Field(pattern=r"^[a-z]+/[a-z0-9]+(-[a-z0-9]+)*$")
    vendor: str
    source: str = Field(min_length=10)
    service: Literal["azure", "v2", "oauth", "operation"] | None = None
    status: int = Field(default=200, ge=200, le=599)
    headers: dict[str, str] = {}
    body: Any = None
    text: str | None = None
    stream: tuple[str, ...] | None = None
    expect: Expected

    @model_validator(mode="after")
    def _is_one_reply(self) -> Case:
        if len(self.model_fields_set & {"body", "text", "stream"}) > 1:
            raise ValueError("of body, text and stream only one can be there")
        if any(name != name.lower() for name in self.headers):
            raise ValueError("headers are written in lower case")
        return self

    @property
    def payload(self) -> Any:
        """The body as a client decodes it."""
        return self.body if self.text is None else self.text

    @property
    def raw(self) -> bytes:
        """The body as it stands on the wire."""
        if self.text is not None:
            return self.text.encode()
        if self.stream is not None:
            return "".join(self.stream).encode()
        return b"" if self.body is None else json.dumps(self.body, ensure_ascii=False).encode()


def load(path: Path) -> tuple[Case, ...]:
    """The cases of one file.

    Raises:
        CorpusError: it does not say what a corpus file says, or says it twice.
    """
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        vendor, sources = told["vendor"], told["sources"]
        cases = tuple(
            Case(**{**entry, "id": f"{vendor}/{entry['id']}", "vendor": vendor, "source": sources[entry["source"]]})
            for entry in told["cases"]
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as exc:
        raise CorpusError(f"{path.name}: {type(exc).__name__}: {exc}") from exc
    ids = [case.id for case in cases]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise CorpusError(f"{path.name}: two cases have the id {', '.join(twice)}")
    if unused := sorted({*sources} - {entry["source"] for entry in told["cases"]}):
        raise CorpusError(f"{path.name}: no case names the source {', '.join(unused)}")
    if vendor != path.stem:
        raise CorpusError(f"{path.name}: the vendor is {vendor}")
    return cases


@cache
def corpus(folder: Path = FOLDER) -> tuple[Case, ...]:
    """All cases, by vendor.

    Raises:
        CorpusError: a file is wrong.
    """
    return tuple(case for path in sorted(folder.glob("*.yaml")) for case in load(path))
