"""What a journal holds, read page by page so that memory does not grow with the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from .blobs import decode, encode
from .database import damaged, open_database, readable

PAGE_ROWS: Final = 256
PAGE_BYTES: Final = 8 * 1024 * 1024
"""A page ends at whichever comes first; a single larger prompt is a page of its own."""

_NO_COLUMNS: Final = encode({})
"""What most prompts have beside themselves."""

_PENDING: Final = """
SELECT p.id, p.prompt,
    (SELECT max(attempt) FROM attempts a WHERE a.model_id = :model AND a.prompt_id = p.id) AS tried,
    EXISTS (SELECT 1 FROM attempts a WHERE a.model_id = :model AND a.prompt_id = p.id AND a.ended_at IS NULL) AS doubt,
    o.prompt_id IS NOT NULL AS failed
FROM prompts p LEFT JOIN outcomes o ON o.model_id = :model AND o.prompt_id = p.id
WHERE p.id > :after AND CASE WHEN o.prompt_id IS NULL THEN :resend OR NOT doubt
    ELSE o.outcome = 'failed' AND o.finished_at < :failed_before END
ORDER BY p.id LIMIT :rows
"""

_COUNT_PENDING: Final = f"SELECT count(*) FROM ({_PENDING})"  # noqa: S608  # nobody's text but ours

_OUTCOMES: Final = """
SELECT p.id, p.prompt, p.extra, o.outcome, o.error_kind, o.attempts, o.in_doubt, o.finished_at, o.response
FROM prompts p CROSS JOIN outcomes o ON o.model_id = :model AND o.prompt_id = p.id
ORDER BY p.id
"""

_IN_DOUBT: Final = """
SELECT count(*) FROM (
    SELECT DISTINCT prompt_id FROM attempts a WHERE model_id = :model AND ended_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.model_id = :model AND o.prompt_id = a.prompt_id)
)
"""

_TALLY: Final = """
SELECT outcome, count(*), total(in_doubt), total(input_tokens), total(output_tokens)
FROM outcomes WHERE model_id = :model GROUP BY outcome
"""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model of a run, as the journal knows it; `params` are without secrets."""

    id: int
    label: str
    qualified: str
    model_id: str | None
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PendingPrompt:
    """A prompt without a (final) outcome.

    Attributes:
        index: Its row number, from 0.
        attempts: Requests already sent for it.
        in_doubt: One of them was under way when the process ended; the provider may have answered it.
        failed: It has an outcome, `failed`, and is to be sent all the same.
    """

    index: int
    prompt: Any
    attempts: int
    in_doubt: bool
    failed: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which prompts are still to be sent, beside those that never were.

    Attributes:
        in_doubt: Whether those that were under way when a process ended.
        failed_before: Those that have failed before this moment (seconds since the epoch); 0 for none.
    """

    in_doubt: bool = True
    failed_before: float = 0.0


@dataclass(slots=True)
class Recorded:
    """A prompt with its outcome.

    Attributes:
        stored: The response as the journal has it: the JSON that `response` was decoded from.
    """

    index: int
    prompt: Any
    extra: dict[str, Any]
    outcome: str
    error_kind: str | None
    attempts: int
    in_doubt: bool
    finished_at: float
    response: dict[str, Any]
    stored: bytes


@dataclass(frozen=True, slots=True)
class Tally:
    """How many prompts of a model have which outcome, and what they used."""

    counts: dict[str, int]
    resent_in_doubt: int
    input_tokens: int
    output_tokens: int


_ALL_PENDING: Final = Wanted()


class JournalReader:
    """Reads a journal, also while another process writes to it.

    Args:
        path: The file `run.db`.

    Raises:
        RunError: as `open_database`; so do all methods for a damaged file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = open_database(path, write=False)
        with readable(path):
            self.meta: dict[str, Any] = {key: decode(value) for key, value in self._rows("SELECT key, value FROM meta")}
            self.models = [
                ModelRow(int(number), str(label), str(qualified), model_id, dict(decode(params)))
                for number, label, qualified, model_id, params in self._rows("SELECT * FROM models ORDER BY id")
            ]
            self.prompts = int(self.meta["prompts"])
            self.columns = [str(column) for column in self.meta["columns"]]
            last = next(self._rows("SELECT max(id) FROM prompts"))[0]
        if last != self.prompts - 1:
            raise damaged(path, f"{self.prompts} prompts were copied into it, and the last one in it is number {last}")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def pending(self, model: ModelRow, wanted: Wanted = _ALL_PENDING) -> Iterator[PendingPrompt]:
        """The prompts still to be sent, in order.

        Between pages nothing is held open, so that the write-ahead log can be cleared.
        """
        after = -1
        while page := self._page(model, after, wanted):
            yield from page
            after = page[-1].index

    def count_pending(self, model: ModelRow, wanted: Wanted = _ALL_PENDING) -> int:
        """How many `pending` would give."""
        with readable(self.path):
            return int(next(self._rows(_COUNT_PENDING, _values(model, wanted)))[0])

    def count_in_doubt(self, model: ModelRow) -> int:
        """Prompts without an outcome that were under way when a process ended."""
        with readable(self.path):
            return int(next(self._rows(_IN_DOUBT, {"model": model.id}))[0])

    def tally(self, model: ModelRow) -> Tally:
        """The outcomes recorded so far."""
        with readable(self.path):
            rows = list(self._rows(_TALLY, {"model": model.id}))
            return Tally(
                counts={str(outcome): int(count) for outcome, count, *_ in rows},
                resent_in_doubt=int(sum(row[2] for row in rows)),
                input_tokens=int(sum(row[3] for row in rows)),
                output_tokens=int(sum(row[4] for row in rows)),
            )

    def outcomes(self, model: ModelRow) -> Iterator[Recorded]:
        """Every recorded outcome of a model with its prompt, in the order of the prompts."""
        with readable(self.path):
            for row in self._rows(_OUTCOMES, {"model": model.id}):
                index, prompt, extra, outcome, error_kind, attempts, in_doubt, finished_at, response = row
                yield Recorded(
                    index=int(index),
                    prompt=decode(prompt),
                    extra={} if extra == _NO_COLUMNS else dict(decode(extra)),
                    outcome=str(outcome),
                    error_kind=error_kind,
                    attempts=int(attempts),
                    in_doubt=bool(in_doubt),
                    finished_at=float(finished_at),
                    response=dict(decode(response)),
                    stored=response,
                )

    def _page(self, model: ModelRow, after: int, wanted: Wanted) -> list[PendingPrompt]:
        values = _values(model, wanted) | {"after": after, "rows": PAGE_ROWS}
        page: list[PendingPrompt] = []
        size = 0
        with readable(self.path):
            rows = self._rows(_PENDING, values)
            for index, prompt, tried, doubt, has_failed in rows:
                page.append(PendingPrompt(int(index), decode(prompt), int(tried or 0), bool(doubt), bool(has_failed)))
                size += len(prompt)
                if size >= PAGE_BYTES:
                    break
            rows.close()
        return page

    def _rows(self, sql: str, values: dict[str, Any] | None = None) -> Any:
        return self._database.execute(sql, values or {})


def _values(model: ModelRow, wanted: Wanted) -> dict[str, Any]:
    every = {"after": -1, "rows": -1}
    return every | {"model": model.id, "resend": wanted.in_doubt, "failed_before": wanted.failed_before}
