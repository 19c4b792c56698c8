"""What a resumed run must have in common with the run, and where two configs differ in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .masking import digest_of_prompts, masked_params, plugin_options
from .problems import KeyPath, dotted
from .schema import LIMIT_OPTIONS, ModelEntry, PromptSource, RunConfig

_ABSENT: Final = object()

_LONGEST_SHOWN: Final = 60


def comparable(config: RunConfig) -> dict[str, Any]:
    """JSON-ready data that is equal for two configs exactly if one can go on with the other's run.

    Everything except what says how fast and where to: `run`, `output`, and each model's limit options
    (`LIMIT_OPTIONS`). Every secret is `***`, so that a changed key is no difference; an inline list of prompts is its
    length and hash.
    """
    return {
        "name": config.name,
        "models": [_entry(entry) for entry in config.models],
        "system_prompt": config.system_prompt,
        "prompts": _prompts(config.prompts),
        "plugins": plugin_options(config),
        "observers": list(config.observers),
    }


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Where two `comparable` configs differ: a sentence per key, without a full stop: `name was "a", is now "b"`."""
    return list(_differences(before, after, ()))


def _entry(entry: ModelEntry) -> dict[str, Any]:
    params = masked_params(entry.params, keep_references=False)
    what = {key: value for key, value in params.items() if key not in LIMIT_OPTIONS}
    plain = {"model": entry.model, "name": entry.name, "label": entry.label, "params": json.loads(json.dumps(what))}
    return {key: value for key, value in plain.items() if value is not None}


def _prompts(source: PromptSource) -> dict[str, Any]:
    stored = source.stored if source.items is None else digest_of_prompts(source.items)
    plain = {
        "file": str(source.file) if source.file is not None else None,
        "list": f"{stored.count} prompts, sha256 {stored.sha256}" if stored is not None else None,
        "column": source.column,
        "format": source.format,
    }
    return {key: value for key, value in plain.items() if value is not None}


def _differences(before: Any, after: Any, path: KeyPath) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            yield from _differences(before.get(key, _ABSENT), after.get(key, _ABSENT), (*path, key))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            yield from _differences(_item(before, index), _item(after, index), (*path, index))
    elif before is _ABSENT:
        yield f"{dotted(path)} is new"
    elif after is _ABSENT:
        yield f"{dotted(path)} is gone"
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield f"{dotted(path)} was {_short(before)}, is now {_short(after)}"


def _item(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else _ABSENT


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
