"""From a YAML or JSON file or a mapping to a checked `Script`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..config.limits import LARGEST_FILE
from ..config.problems import Problems, Source
from ..config.schema import kind_of
from ..config.text_file import read_text, shown
from ..config.validation import add_problems
from ..config.yaml_tree import Tree, parse_yaml
from ..errors import ConfigError
from .dialect import Dialect
from .script import Script


def load_script(source: str | os.PathLike[str] | Mapping[str, Any] | Script | None) -> Script:
    """Read and check a script.

    Args:
        source: The path of a YAML or JSON file, the same content as a mapping, a `Script`, or None for one without
            rules.

    Raises:
        ConfigError: the file cannot be read, or something in it is wrong: each problem is named, with file, line and
            key where they are known.
    """
    if isinstance(source, Script):
        return source
    if source is None or isinstance(source, Mapping):
        return _checked(Tree(dict(source or {})), Source(name="script"))
    if not isinstance(source, (str, os.PathLike)):
        raise ConfigError(f"A script is a path, a mapping or a Script, not {kind_of(source)}.")
    path = Path(os.fspath(source))
    name = shown(path)
    text = read_text(path, what="script", largest=LARGEST_FILE, advice="A few rules with `match` say as much.")
    tree = parse_yaml(text, name=name)
    if tree.value is None:
        tree.value = {}
    if not isinstance(tree.value, dict):
        raise ConfigError(f"{name}:{tree.lines[()]}: a script is a mapping (`rules: ...`), not {kind_of(tree.value)}.")
    return _checked(tree, Source(name, str(path.absolute()), lines=tree.lines))


def _checked(tree: Tree, source: Source) -> Script:
    problems = Problems(source)
    problems.extend(tree.problems)
    try:
        script = Script.model_validate(tree.value)
    except ValidationError as exc:
        add_problems(problems, exc, at=(), schema=Script, data=tree.value)
        raise problems.error() from None
    problems.raise_if_any()
    script._source = source
    return script


def check_against(script: Script, dialects: Mapping[str, Dialect]) -> None:
    """Check the names that only the dialects know.

    Raises:
        ConfigError: a rule names a provider that is not served, or an outcome or a variant that no provider it applies
            to can spell.
    """
    problems = Problems(script._source)
    for index, rule in enumerate(script.rules):
        if rule.provider is not None and rule.provider not in dialects:
            problems.add(("rules", index, "provider"), f"no such provider here; {_suggestion(rule.provider, dialects)}")
            continue
        asked = list(dialects.values()) if rule.provider is None else [dialects[rule.provider]]
        if rule.outcome is not None and asked and all(rule.outcome in dialect.cannot_say for dialect in asked):
            problems.add(("rules", index, "outcome"), asked[0].cannot_say[rule.outcome])
        elif rule.variant is not None:
            known = {name for dialect in asked for name in dialect.variants}
            if rule.variant not in known:
                problems.add(("rules", index, "variant"), f"no such variant; {_suggestion(rule.variant, known)}")
    problems.raise_if_any()


def _suggestion(name: str, known: Mapping[str, Any] | set[str]) -> str:
    close = get_close_matches(name, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known)) or 'none'}"
