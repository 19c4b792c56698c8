"""From a YAML file, a mapping or a `RunConfig` to a checked `RunConfig` with absolute paths."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import ConfigError
from .limits import LARGEST_FILE
from .problems import KeyPath, Problems, Source
from .schema import RunConfig, kind_of
from .text_file import read_text, shown
from .validation import SHORT_FORM, add_problems
from .yaml_tree import Tree, parse_yaml


def load_config(
    source: str | os.PathLike[str] | Mapping[str, Any] | RunConfig,
    *,
    stored_prompts: bool = False,
    base: Path | None = None,
) -> RunConfig:
    """Read and check a config. Opens no file but the config's own, and resolves no model.

    Args:
        source: The path of a YAML file, the same content as a mapping, or a `RunConfig`. Relative paths in it start at
            the file's folder, or at the current one.
        stored_prompts: Whether the config may say that its prompts are in a run's journal, as a run folder's own does.
        base: The folder where relative paths in a file start, in place of the file's own.

    Raises:
        ConfigError: the file cannot be read or is not YAML; or something in it is wrong: each problem is named, with
            file, line and key where they are known.
    """
    here = Path.cwd()
    if isinstance(source, RunConfig):
        return _anchored(source, here)
    if isinstance(source, Mapping):
        origin = Source(base=str(here))
        return _checked(Tree(dict(source)), origin, here, default_name="run", stored_prompts=stored_prompts)
    if not isinstance(source, (str, os.PathLike)):
        raise ConfigError(f"A config is a path, a mapping or a RunConfig, not {kind_of(source)}.")
    path = Path(os.fspath(source))
    name = shown(path)
    text = read_text(
        path,
        what="config file",
        largest=LARGEST_FILE,
        advice="Put the prompts into a file of their own: `prompts: {file: ...}`.",
    )
    tree = parse_yaml(text, name=name)
    if tree.value is None:
        raise ConfigError(f"{name} is empty. A config needs at least `models` and `prompts`.")
    if not isinstance(tree.value, dict):
        what = kind_of(tree.value)
        raise ConfigError(
            f"{name}:{tree.lines[()]}: a config is a mapping (`models: ...`, `prompts: ...`), not {what}."
        )
    absolute = path.absolute()
    folder = base or absolute.parent
    return _checked(
        tree,
        Source(name, str(absolute), str(folder), tree.lines),
        folder,
        default_name=path.stem if path.stem.strip() and path.stem.isprintable() else "run",
        stored_prompts=stored_prompts,
    )


def _checked(tree: Tree, source: Source, base: Path, *, default_name: str, stored_prompts: bool) -> RunConfig:
    data, renamed = _unfolded(tree.value)
    source = replace(source, renamed=renamed)
    problems = Problems(source)
    problems.extend(tree.problems)
    if SHORT_FORM in data:
        problems.add((SHORT_FORM,), f"give `models` or `{SHORT_FORM}` (its short form for one model), not both")
        del data[SHORT_FORM]
    elif "models" not in data:
        problems.add((), f"`models` is missing: give a list of models, or `{SHORT_FORM}` for one")
        data["models"] = [{"name": "-"}]  # stands in, so that the rest is checked, too
    data.setdefault("name", default_name)
    try:
        config = RunConfig.model_validate(data)
    except ValidationError as exc:
        add_problems(problems, exc, at=(), schema=RunConfig, data=data)
        raise problems.error() from None
    if config.prompts.stored is not None and not stored_prompts:
        problems.add(
            ("prompts", "stored"), "these prompts are in the journal of a run; resume that run, or name a `file`"
        )
    problems.raise_if_any()
    config._source = source
    return _anchored(config, base)


def _unfolded(data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[KeyPath, KeyPath]]:
    """The config with `response_model` as the only one of `models`."""
    full = dict(data)
    if SHORT_FORM not in full or "models" in full:
        return full, {}
    full["models"] = [full.pop(SHORT_FORM)]
    return full, {("models", 0): (SHORT_FORM,)}


def _anchored(config: RunConfig, base: Path) -> RunConfig:
    """The config with absolute paths; absolute ones stay as they are."""
    prompts, output, plugins = config.prompts, config.output, config.plugins
    if prompts.file is not None:
        prompts = prompts.model_copy(update={"file": base / prompts.file})
    output = output.model_copy(update={"dir": base / output.dir})
    plugins = plugins.model_copy(update={"modules": [base / module for module in plugins.modules]})
    done = config.model_copy(update={"prompts": prompts, "output": output, "plugins": plugins})
    done._source = replace(config._source, base=config._source.base or str(base))
    return done
