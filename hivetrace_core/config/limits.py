"""What a config may hold at most. A list of prompts that does not fit belongs in a file of its own."""

from typing import Final

LARGEST_FILE: Final = 1024 * 1024
"""Bytes of a config file. Reading one of this size takes seconds, and no person wrote it."""

MOST_VALUES: Final = 50_000
"""Values in a file, its aliases expanded."""

MOST_TEXT: Final = 8 * 1024 * 1024
"""Characters in a file, its aliases expanded."""

DEEPEST: Final = 50
"""Levels of nesting."""
