"""`hivetrace resume`: the rest of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from .environment import env_file_option
from .following import follow


@click.command
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Config with the keys and limits; by default the one that the run was started with. Only limits may differ.",
)
@click.option("--retry-failed", is_flag=True, help="Also send again what has failed.")
@click.option(
    "--in-doubt",
    type=click.Choice(["resend", "skip"]),
    default="resend",
    show_default=True,
    help="Prompts that were under way when the run was ended: the model may have answered them already.",
)
@env_file_option
@click.pass_context
def command(
    ctx: click.Context, run: Path, config: Path | None, retry_failed: bool, in_doubt: Literal["resend", "skip"]
) -> int:
    """Go on with RUN, a run's folder: send what has no outcome yet."""
    from ..runs.runner import resume

    return follow(
        ctx,
        lambda listener: resume(run, config=config, retry_failed=retry_failed, in_doubt=in_doubt, listener=listener),
        config=config,
        retry_failed=retry_failed,
    )
