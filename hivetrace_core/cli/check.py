"""`hivetrace check`: everything about a config that can be known without importing a model or sending anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ..errors import ConfigError, HiveTraceError
from ..runs.visible import visible
from .environment import env_file_option
from .terminal import one_line

if TYPE_CHECKING:
    from ..config.models import ConfiguredModel, UncheckedModel
    from ..config.schema import PromptSource

_T = TypeVar("_T")


@click.command
@click.argument("config", type=click.Path(path_type=Path))
@env_file_option
def command(config: Path) -> int:
    """Validate CONFIG: its keys, every model's name and params, the prompts. Nothing is sent.

    No model class is imported, and the files under `plugins.modules` are not executed.
    """
    from ..config.loader import load_config
    from ..config.models import configure

    loaded = load_config(config)
    problems: list[str] = []
    models = _attempt(lambda: configure(loaded, execute_modules=False), problems)
    prompts = _attempt(lambda: _describe_prompts(loaded.prompts), problems)
    if models is None or prompts is None:
        raise ConfigError("\n".join(problems))
    click.echo(visible(f"{config} is valid; nothing was sent."))
    for model in models:
        click.echo(_describe_model(model))
    click.echo(f"prompts: {prompts}")
    click.echo(visible(f"results: a folder in {loaded.output.dir}"))
    return 0


def _attempt(step: Callable[[], _T], problems: list[str]) -> _T | None:
    """The step's result, or None where it has a problem: the next step may have one as well, and both are shown."""
    try:
        return step()
    except HiveTraceError as error:
        problems.append(str(error))
        return None


def _describe_model(model: ConfiguredModel | UncheckedModel) -> str:
    from ..config.models import UncheckedModel

    if isinstance(model, UncheckedModel):
        return f"{one_line(model.label)}: {one_line(model.reason, 300)}"
    return f"{one_line(model.label)}: {one_line(model.resolved.how, 300)}"


def _describe_prompts(source: PromptSource) -> str:
    from ..runs.prompts import read_prompts

    count, columns = 0, dict[str, None]()
    for row in read_prompts(source):
        count += 1
        columns.update(dict.fromkeys(row.extra))
    where = f" in {source.file}" if source.file is not None else ""
    others = f"; other columns: {', '.join(columns)}" if columns else ""
    return one_line(f"{count:,}{where}{others}", 300)
