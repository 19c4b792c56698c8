"""Whether a config can go on with a run: it must mean the same models and the same prompts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config.comparing import comparable, differences
from ..config.loader import load_config
from ..config.models import ConfiguredModel
from ..config.schema import LIMIT_OPTIONS, RunConfig
from ..config.text_file import shown
from ..errors import ConfigError
from ..redaction import MASK, Redactor, mask_params, secret_values
from .folder import CONFIG_NAME
from .reader import ModelRow

_MOST_SHOWN = 10


def config_of(
    folder: Path, meta: Mapping[str, Any], given: str | os.PathLike[str] | Mapping[str, Any] | RunConfig | None
) -> RunConfig:
    """The config to resume with: the given one, else the file that the run was started with, else the run's own copy.

    Raises:
        ConfigError: it cannot be read, or only the copy is left and a secret in it is masked.
    """
    if given is not None:
        return load_config(given, stored_prompts=True)
    original = meta.get("config_path")
    if isinstance(original, str) and Path(original).is_file():
        return load_config(original, stored_prompts=True)
    # Paths among its params are as they were written: they start where they did then.
    base = meta.get("config_base")
    config = load_config(folder / CONFIG_NAME, stored_prompts=True, base=Path(base) if isinstance(base, str) else None)
    masked = [index for index, entry in enumerate(config.models) if MASK in set(secret_values(entry.params))]
    if masked:
        gone = (
            f"The config {shown(Path(original))} is gone" if isinstance(original, str) else "The run had no config file"
        )
        raise ConfigError(
            f"{gone}, and in the run's own copy the keys of models[{masked[0]}] are masked. Give the config: "
            f"hivetrace resume {folder} --config FILE"
        )
    return config


def rows_of(
    known: Sequence[ModelRow],
    configured: Sequence[ConfiguredModel],
    meta: Mapping[str, Any],
    config: RunConfig,
    redactor: Redactor,
) -> list[ModelRow]:
    """The journal's row of each configured model.

    Raises:
        ConfigError: the config is not that of the run, or a name in it means another model now.
    """
    before, after = meta.get("config"), redactor.data(comparable(config))
    found = differences(before if isinstance(before, Mapping) else {}, after)
    if found:
        more = f"; and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        raise ConfigError(
            f"This config is not the one of the run: {'; '.join(found[:_MOST_SHOWN])}{more}. Only limits may change "
            "(`run`, `output`, and the models' own limits). Undo that, or start a new run."
        )
    by_label = {row.label: row for row in known}
    rows: list[ModelRow] = []
    for one in configured:
        row = by_label.get(one.label)
        now = (one.resolved.qualified, one.resolved.id_for(one.params))
        if row is None or (row.qualified, row.model_id) != now:
            was = f"{row.qualified} {row.model_id}" if row else f"one of {', '.join(by_label)}"
            raise ConfigError(
                f"{one.label!r} meant {was} when the run began, and means {now[0]} {now[1]} now. Install what it meant "
                "then, or start a new run."
            )
        if changed := _changed(row.params, redactor.data(params_of(one))):
            raise ConfigError(
                f"{one.label!r} is not what it was when the run began: {'; '.join(changed[:_MOST_SHOWN])}. Its config "
                "is the same, so an environment variable has changed. Undo that, or start a new run."
            )
        rows.append(row)
    return rows


def params_of(one: ConfiguredModel) -> dict[str, Any]:
    """What the journal keeps of a model's params: environment variables resolved, secrets masked."""
    shown: dict[str, Any] = one.options.public() if one.options is not None else mask_params(one.params)
    return shown


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    # What only one of the two has is a new version's option: what a config says was compared before.
    shared = [key for key in before if key in after and key not in LIMIT_OPTIONS]
    now = json.loads(json.dumps({key: after[key] for key in shared}, default=str))
    return differences({key: before[key] for key in shared}, now)
