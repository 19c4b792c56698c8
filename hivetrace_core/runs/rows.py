"""What one exported row says, in JSON lines and in CSV."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from ..responses import metadata_of, read
from .reader import ModelRow, Recorded
from .visible import spreadsheet_cell

_JSONL = "model index prompt outcome content error attempts in_doubt finished_at response"

_CSV = """
model index prompt outcome content finish_reason native_finish_reason block_stage block_rule block_categories error_kind
error_message error_status model_name provider attempts in_doubt latency_s input_tokens output_tokens total_tokens
request_id finished_at
"""

JSONL_FIELDS: Final = tuple(_JSONL.split())

CSV_FIELDS: Final = tuple(_CSV.split())

_PRINTABLE: Final = bytes(range(0x20, 0x7F))

_AFTER_PROMPT: Final = 3
"""The prompt's other columns stand behind model, index and prompt."""


def column_names(columns: Iterable[str], own: Iterable[str]) -> dict[str, str]:
    """Under which name each of the prompts' other columns goes: its own, or `prompt_...` where that is taken."""
    columns = list(columns)
    taken = {*own, *columns}
    names: dict[str, str] = {}
    for column in columns:
        name = column
        if column in own:
            while name in taken:
                name = f"prompt_{name}"
        names[column] = name
    return names


def jsonl_line(model: ModelRow, row: Recorded, names: Mapping[str, str]) -> str:
    """One row as JSON: the prompt and the whole response, to the letter; ASCII only, so that nothing in it acts."""
    fields: dict[str, Any] = {"model": model.label, "index": row.index, "prompt": row.prompt}
    fields.update((names.get(column, column), value) for column, value in row.extra.items())
    fields["outcome"] = row.outcome
    fields["content"] = row.response.get("content")
    if row.response.get("error"):
        fields["error"] = row.response["error"]
    fields["attempts"] = row.attempts
    fields["in_doubt"] = row.in_doubt
    fields["finished_at"] = _iso(row.finished_at)
    return f'{_ascii_json(fields)[:-1]}, "response": {_response(row)}}}\n'


def _response(row: Recorded) -> str:
    """The response as JSON: mostly as it is stored, which spares writing it anew."""
    only_printable = not row.stored.translate(None, _PRINTABLE)
    return row.stored.decode("ascii") if only_printable else _ascii_json(row.response)


def _ascii_json(value: Any) -> str:
    # DEL is ASCII too, and the one control character that JSON lets stand.
    return json.dumps(value).replace("\x7f", "\\u007f")


def csv_header(names: Mapping[str, str]) -> list[str]:
    """The columns of the CSV file."""
    header = [*CSV_FIELDS[:_AFTER_PROMPT], *names.values(), *CSV_FIELDS[_AFTER_PROMPT:]]
    return [spreadsheet_cell(name) for name in header]


def csv_cells(model: ModelRow, row: Recorded, names: Mapping[str, str]) -> list[Any]:
    """One row of the CSV file, safe to open in a spreadsheet; for reading, not for reading back."""
    metadata = metadata_of(row.response)
    block, error, usage = (
        value if isinstance(value, Mapping) else {}
        for value in (metadata.get("block"), row.response.get("error"), metadata.get("usage"))
    )
    categories = block.get("categories") or ()
    named = (
        [c.get("name") for c in categories if isinstance(c, Mapping)] if isinstance(categories, (list, tuple)) else []
    )
    values = [
        model.label,
        row.index,
        row.prompt,
        *(row.extra.get(column) for column in names),
        row.outcome,
        row.response.get("content"),
        read(row.response, "finish_reason"),
        metadata.get("native_finish_reason"),
        block.get("stage"),
        block.get("rule"),
        ", ".join(map(str, named)),
        row.error_kind,
        error.get("message"),
        error.get("status"),
        read(row.response, "model_name", "model"),
        metadata.get("provider"),
        row.attempts,
        row.in_doubt,
        metadata.get("latency_s"),
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        usage.get("total_tokens"),
        metadata.get("request_id"),
        _iso(row.finished_at),
    ]
    return [_cell(value) for value in values]


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return value
    return spreadsheet_cell(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _iso(timestamp: float) -> str:
    second, rest = divmod(round(timestamp * 1_000_000), 1_000_000)
    return f"{_iso_second(second)}.{rest // 1000:03d}+00:00"


@lru_cache(maxsize=16)
def _iso_second(second: int) -> str:
    # Rows that stand together were recorded together, and to write a date costs as much as the rest of a row.
    return datetime.fromtimestamp(second, UTC).isoformat()[: len("2026-01-31T00:00:00")]
