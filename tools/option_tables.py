"""Writes the tables of options into the READMEs, between `<!-- options: NAME -->` and `<!-- end -->`.

    python tools/option_tables.py              # rewrite them
    python tools/option_tables.py --check      # exit code 1 if one is out of date; nothing is written

NAME is that of an installed plugin (its own options), or `shared`: those of every provider over HTTP.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import distributions
from pathlib import Path

from hivetrace_core.http import HttpOptions
from hivetrace_core.option_docs import describe_options, markdown_table
from hivetrace_core.registry import default_registry

ROOT = Path(__file__).resolve().parents[1]
INSTALLED = {found.metadata["Name"] for found in distributions()}
READMES = [
    ROOT / "README.md",
    *(path for path in sorted(ROOT.glob("*/hivetrace-*/README.md")) if path.parent.name in INSTALLED),
]

_MARKED = re.compile(r"(<!-- options: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled_in(text: str) -> str:
    """The text with every table as it should be now."""
    return _MARKED.sub(lambda found: f"{found[1]}\n{_table(found['name'])}\n{found[3]}", text)


def _table(name: str) -> str:
    shared = [doc for doc in describe_options(HttpOptions) if doc.name != "model"]
    if name == "shared":
        return markdown_table([doc for doc in shared if doc.name != "base_url"])
    resolved = default_registry().named(name)
    options = resolved.options_class() if resolved is not None else None
    if options is None:
        raise SystemExit(f"No plugin named {name!r} with options is installed here.")
    return markdown_table([doc for doc in describe_options(options) if doc not in shared])


def main(arguments: list[str]) -> int:
    """Rewrite or check all READMEs; returns the exit code."""
    stale = [path for path in READMES if filled_in(path.read_text("utf-8")) != path.read_text("utf-8")]
    for path in stale:
        if "--check" not in arguments:
            path.write_text(filled_in(path.read_text("utf-8")), "utf-8")
        print(f"{path.relative_to(ROOT)}: {'out of date' if '--check' in arguments else 'rewritten'}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
