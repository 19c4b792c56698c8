"""Text that is safe to show: nothing in it moves a cursor, hides text or starts a formula."""

from __future__ import annotations

import re
from typing import Final

# C0 without tab and line feed, DEL, C1, the marks that change the direction of text, lone surrogates.
_HIDDEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_FORMULA: Final = re.compile(r"\s*[=+\-@\uff0b\uff0d\uff1d\uff20]")
"""What a spreadsheet takes for a formula, also in full width (OWASP, "CSV Injection"), also behind white space."""

_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,30}\.?\d{0,30}|\.\d{1,30})(?:[eE][+-]?\d{1,3})?")


def visible(text: str) -> str:
    r"""The text with control characters, direction marks and lone surrogates written out (`\x1b`, `\u202e`).

    Tabs and line ends stay; CR LF becomes LF.
    """
    return _HIDDEN.sub(_written_out, text.replace("\r\n", "\n"))


def spreadsheet_cell(text: str) -> str:
    """The same, with an apostrophe in front of what a spreadsheet would take for a formula; plain numbers stay."""
    shown = visible(text)
    if shown.startswith("\t") or (_FORMULA.match(shown) and not _NUMBER.fullmatch(shown)):
        return "'" + shown
    return shown


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
