"""`hivetrace run`: the main job."""

from __future__ import annotations

from pathlib import Path

import click

from .environment import env_file_option
from .following import follow


@click.command
@click.argument("config", type=click.Path(path_type=Path))
@env_file_option
@click.pass_context
def command(ctx: click.Context, config: Path) -> int:
    """Send every prompt of CONFIG to every model of it, and record what became of each.

    Ctrl-C stops it; `hivetrace resume` goes on from there.
    """
    from ..runs.runner import run

    return follow(ctx, lambda listener: run(config, listener=listener))
