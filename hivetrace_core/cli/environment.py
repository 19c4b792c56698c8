"""`--env-file`: variables from a file, for this process only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

_META = "hivetrace.env_file"


def env_file_of(ctx: click.Context) -> Path | None:
    """The file that the command was given."""
    path = ctx.meta.get(_META)
    return path if isinstance(path, Path) else None


def _load(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    ctx.meta[_META] = path
    from ..config.env_file import load_env_file

    for name, value in load_env_file(path).items():
        # The caller's own environment has priority; a variable that is set to nothing counts as not set everywhere.
        if not os.environ.get(name):
            os.environ[name] = value


def env_file_option(command: Any) -> Any:
    """Add `--env-file` to a command; the variables are set before the command starts."""
    option = click.option(
        "--env-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        expose_value=False,
        callback=_load,
        help="Take variables (keys) from a .env file; those that are set already stay.",
    )
    return option(command)
