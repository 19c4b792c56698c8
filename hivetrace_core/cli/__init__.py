"""The `hivetrace` command: one file per subcommand, imported when it is called."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: What follows the command's name; None for those of the process.

    Returns:
        0 done; 1 the config or the command is wrong; 2 more failures than allowed; 3 stopped early, resumable;
        130 interrupted, resumable.
    """
    from .app import execute

    return execute(arguments)
