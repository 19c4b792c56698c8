"""`hivetrace mock-server`: a loopback server that plays the installed providers by a script."""

from __future__ import annotations

import threading
from pathlib import Path

import click

from ..runs.visible import visible
from .terminal import complain, one_line


@click.command
@click.option("--script", type=click.Path(path_type=Path), metavar="FILE", help="Rules: what to answer. YAML or JSON.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="a free one", help="Where to listen.")
def command(script: Path | None, port: int) -> int:
    """Answer like the installed providers do, on this machine only, until Ctrl-C.

    Without a script every prompt is answered. Give a model's `base_url` the address that is printed for its provider.
    GET /_log has the requests, /_stats the counters; POST /_reset forgets both.
    """
    from ..mockserver.server import MockServer

    server = MockServer(script, port=port)
    for problem in server.problems:
        complain(f"not served: {problem}")
    with server:
        width = max(len(name) for name in server.providers)
        try:
            click.echo(f"mock server on {server.address} (Ctrl-C stops it)")
            for name in server.providers:
                urls = server.urls(name)
                others = "".join(f"  {option}: {url}" for option, url in urls.items() if option != "base_url")
                click.echo(f"{one_line(name):<{width}}  {visible(urls['base_url'] + others)}")
            threading.Event().wait()
        except KeyboardInterrupt:
            click.echo()
    return 0
