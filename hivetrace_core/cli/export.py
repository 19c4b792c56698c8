"""`hivetrace export`: the results of a run as files."""

from __future__ import annotations

from pathlib import Path

import click

from ..runs.visible import visible

FORMATS = ("jsonl", "csv")


@click.command
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--format", "formats", multiple=True, type=click.Choice(FORMATS), help="Several are possible; by default both."
)
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR", help="Folder; by default that of the run.")
def command(run: Path, formats: tuple[str, ...], output: Path | None) -> int:
    """Write the results of RUN, a run's folder, as files. The run may still be going on."""
    from ..runs.export import export

    for path in export(run, formats=formats or FORMATS, output_dir=output):
        click.echo(visible(str(path)))
    return 0
