"""`hivetrace models`: which models can be named here, and what one of them takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from .terminal import console, one_line

if TYPE_CHECKING:
    from ..registry.registry import Registry

WRONG: Final = 1

_STYLES: Final = {"ok": "green", "installed": "", "registered": "", "not allowed": "dim"}


@click.command
@click.argument("name", required=False)
@click.option("--check", is_flag=True, help="Load each plugin and let it check itself. Exit code 1 if one is unusable.")
def command(name: str | None, check: bool) -> int:
    """List the installed models, or with NAME the options that this one takes as `params`.

    No plugin is imported for the list, and no SDK for the options.
    """
    from ..registry import default_registry

    registry = default_registry()
    if name is None:
        return _list(registry, check=check)
    if check:
        raise click.UsageError("--check is for the list of all models; leave out NAME")
    return _describe(registry, name)


def _list(registry: Registry, *, check: bool) -> int:
    from rich.table import Table
    from rich.text import Text

    lines = registry.check() if check else registry.plugins()
    table = Table(box=None, pad_edge=False, header_style="bold")
    # Only what is not to be cut off may not wrap.
    for column, wraps in (("NAME", False), ("DISTRIBUTION", False), ("VERSION", False), ("STATUS", False), ("", True)):
        table.add_column(column, no_wrap=not wraps, overflow="fold")
    for line in lines:
        remark = line.detail or line.summary
        table.add_row(
            one_line(line.name),
            one_line(line.distribution or "-"),
            one_line(line.version or "-"),
            Text(line.status, style=_STYLES.get(line.status, "red")),
            one_line(remark, 1000),
        )
    console().print(table)
    return WRONG if check and any(line.status not in _STYLES for line in lines) else 0


def _describe(registry: Registry, name: str) -> int:
    from rich.table import Table

    from ..option_docs import describe_options

    found = registry.resolve(model=name)
    options = found.options_class()
    click.echo(one_line(f"{found.qualified}: {found.spec.summary or found.spec.class_name}", 1000))
    if options is None:
        click.echo("Its options are the arguments of its constructor; it does not describe them.")
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("OPTION", "TYPE", "RANGE", "DEFAULT", ""):
        table.add_column(column, overflow="fold", no_wrap=column == "OPTION")
    for doc in describe_options(options):
        table.add_row(*(one_line(cell, 1000) for cell in (doc.name, doc.type, doc.range, doc.default, doc.meaning)))
    console().print(table)
    return 0
