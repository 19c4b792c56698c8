"""Pydantic, made ready in spite of other people's broken metadata.

Before its first schema pydantic reads the entry points of every installed distribution, to find plugins of its own,
and one malformed `entry_points.txt` makes it raise. It asks only once, so the next attempt works, without its plugins.
"""

from __future__ import annotations

import logging

from pydantic import TypeAdapter

try:
    TypeAdapter(int)
except Exception as exc:  # whatever that metadata makes it raise
    logging.getLogger("hivetrace_core").debug("Pydantic could not look for its plugins", exc_info=exc)
