"""A config as it may be written down: everything that is set, and no secret."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final

from ..redaction import MASK, Redactor, is_secret_name, secret_values
from .expand import REFERENCE
from .schema import ModelEntry, PromptSource, RunConfig, StoredPrompts

MOST_INLINE_PROMPTS: Final = 1_000
"""Prompts that a masked config repeats; a longer list is only counted, because the run's journal holds it."""

MOST_INLINE_TEXT: Final = 256 * 1024
"""The same in characters of JSON."""

_USERINFO = re.compile(r"(?<=://)[^/\s?#@'\"]+(?=@)")


def masked(config: RunConfig) -> dict[str, Any]:
    """The config as JSON-ready data without secrets: what a run folder keeps as its `config.yaml`.

    Literal secrets become `***`; a `${VAR}` stays, because it names a secret and holds none. Paths are absolute, apart
    from those among params, which stay as written. A long inline list of prompts is only counted and hashed (`stored`).
    What is not set is left out.
    """
    redactor = Redactor(secret for entry in config.models for secret in _literal_secrets(entry.params))
    plain: dict[str, Any] = {
        "name": config.name,
        "models": [_entry(entry, redactor) for entry in config.models],
        "system_prompt": config.system_prompt,
        "prompts": _prompts(config.prompts),
        "run": config.run.model_dump(mode="json", exclude_none=True),
        "output": {"dir": str(config.output.dir), "formats": config.output.formats},
        "plugins": plugin_options(config),
        "observers": config.observers,
    }
    # Through JSON: subclasses of str and int (enums) become plain, keys become text.
    ready: dict[str, Any] = json.loads(
        json.dumps({key: value for key, value in plain.items() if value not in (None, {}, [])})
    )
    return ready


def masked_yaml(config: RunConfig) -> str:
    """`masked(config)` as YAML that `load_config(..., stored_prompts=True)` reads back to the same."""
    import yaml

    from .yaml_tree import add_plain_values

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    # The loader's own rules, or text that only the loader takes for a number would come back as one.
    add_plain_values(Dumper)
    return yaml.dump(masked(config), Dumper=Dumper, sort_keys=False, allow_unicode=False, width=120)


def digest_of_prompts(items: list[Any]) -> StoredPrompts:
    """How many prompts a list has, and a hash of them in their order."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(json.dumps(item, sort_keys=True, default=repr).encode("ascii") + b"\n")
    return StoredPrompts(count=len(items), sha256=digest.hexdigest())


def plugin_options(config: RunConfig) -> dict[str, Any]:
    """The `plugins` section as plain data, without what is not set."""
    options: dict[str, Any] = {"modules": [str(module) for module in config.plugins.modules]}
    if not config.plugins.modules:
        del options["modules"]
    if config.plugins.allow is not None:
        options["allow"] = config.plugins.allow
    return options


def masked_params(params: Mapping[str, Any], *, keep_references: bool) -> dict[str, Any]:
    """Params without literal secrets.

    Args:
        params: As written in the config.
        keep_references: Whether a secret that is only a `${VAR}` stays as it is; otherwise it becomes `***`, too.
    """
    return {
        str(key): _value(value, secret=is_secret_name(str(key)), keep=keep_references) for key, value in params.items()
    }


def _entry(entry: ModelEntry, redactor: Redactor) -> dict[str, Any]:
    plain = {
        "model": entry.model,
        "name": entry.name,
        "label": entry.label,
        # A key that is also written where its name does not tell (a header in `extra_body`) goes with the first one.
        "params": redactor.data(masked_params(entry.params, keep_references=True)),
    }
    return {key: value for key, value in plain.items() if value}


def _prompts(source: PromptSource) -> dict[str, Any]:
    plain: dict[str, Any] = {"column": source.column, "format": source.format}
    if source.file is not None:
        plain = {"file": str(source.file), **plain}
    elif source.stored is not None:
        plain["stored"] = source.stored.model_dump()
    elif source.items is not None:
        short = (
            len(source.items) <= MOST_INLINE_PROMPTS and len(json.dumps(source.items, default=repr)) <= MOST_INLINE_TEXT
        )
        plain.update({"items": source.items} if short else {"stored": digest_of_prompts(source.items).model_dump()})
    return {key: value for key, value in plain.items() if value is not None}


def _value(value: Any, *, secret: bool, keep: bool) -> Any:
    if isinstance(value, Mapping):
        return {
            str(key): _value(item, secret=secret or is_secret_name(str(key)), keep=keep) for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_value(item, secret=secret, keep=keep) for item in value]
    if isinstance(value, str):
        if secret:
            return value if keep and REFERENCE.fullmatch(value) else MASK
        return _USERINFO.sub(lambda found: found[0] if keep and _only_references(found[0]) else MASK, value)
    if value is None or isinstance(value, bool):
        return value
    if secret or hasattr(value, "get_secret_value"):
        return MASK
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, (int, float)):
        return value
    # An object's own text may hold anything, and an address that is another one next time.
    return str(value) if isinstance(value, PurePath) else f"<{type(value).__qualname__}>"


def _only_references(userinfo: str) -> bool:
    return REFERENCE.sub("", userinfo) in {"", ":"}


def _literal_secrets(params: Mapping[str, Any]) -> Iterator[str]:
    for secret in secret_values(params):
        if "${" not in secret:
            yield secret
