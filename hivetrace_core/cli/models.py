"""`hivetrace models`: which models can be named here."""

from __future__ import annotations

from typing import Final

import click

from .terminal import console, one_line

WRONG: Final = 1

_STYLES: Final = {"ok": "green", "installed": "", "registered": "", "not allowed": "dim"}


@click.command
@click.option("--check", is_flag=True, help="Load each plugin and let it check itself. Exit code 1 if one is unusable.")
def command(check: bool) -> int:
    """List the installed models. No plugin is imported for that."""
    from rich.table import Table

    from ..registry import default_registry

    registry = default_registry()
    lines = registry.check() if check else registry.plugins()
    table = Table(box=None, pad_edge=False, header_style="bold")
    # Only what is not to be cut off may not wrap.
    for name, wraps in (("NAME", False), ("DISTRIBUTION", False), ("VERSION", False), ("STATUS", False), ("", True)):
        table.add_column(name, no_wrap=not wraps, overflow="fold")
    from rich.text import Text

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
