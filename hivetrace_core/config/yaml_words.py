"""PyYAML's errors in plain words. Nothing of the file's text is repeated: the mistake may be in a line with a key."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml
from yaml.reader import ReaderError

NO_TAGS: Final = "tags (`!...`) are refused; a text that begins with `!` needs quotes"

_NO_DIRECTIVES: Final = "a `%` line that YAML does not know; a text that begins with `%` needs quotes"

# Beginnings of PyYAML's own words -> ours. The context is looked at first where it says more than the problem.
_CONTEXTS: Final = (
    (r"while scanning an (?:anchor|alias)", "a text that begins with `&` or `*` needs quotes"),
    (r"while scanning a directive", _NO_DIRECTIVES),
    (r"while (?:scanning|parsing) a tag", NO_TAGS),
    (
        r"found duplicate anchor",
        "an anchor (`&name`) of a name that is taken; a text that begins with `&` needs quotes",
    ),
    (r"expected a single document", "a second document (`---`) begins; a config is one document"),
)

_PROBLEMS: Final = (
    (r"found character '\\t'", "a tab; YAML wants spaces for indentation"),
    (r"found character", "a text cannot begin with this character; put it in quotes"),
    (
        r"mapping values are not allowed",
        "a `:` where none can be; put a text that contains `: ` in quotes, or mend the indentation",
    ),
    (
        r"sequence entries are not allowed",
        "a `- ` where no list item can be; put it on a line of its own, under its key",
    ),
    (r"mapping keys are not allowed", "a `? ` where no key can be; a text that begins with `? ` needs quotes"),
    (r"could not find expected ':'", "this is neither `key: value` nor a list item; a `:` or a quote is missing"),
    (
        r"expected <block end>",
        "the indentation does not fit the lines above, or a text goes on after its closing quote",
    ),
    (r"expected ',' or '\]'", "a `,` or the closing `]` of a list is missing"),
    (r"expected ',' or '\}'", "a `,` or the closing `}` is missing"),
    (r"expected the node content", "a value is missing, or a sign such as `,` or `]` stands where a value must be"),
    (r"found unexpected end of stream", "a quoted text that begins here is never closed"),
    (
        r"found unexpected document separator",
        "a quoted text that begins here is not closed before the next `---` or `...`",
    ),
    (
        r"found unknown escape|expected escape sequence",
        "a `\\` that means nothing; use 'single quotes', or write `\\\\` for a backslash",
    ),
    (
        r"found undefined alias",
        "an alias (`*name`) of an anchor that does not exist; a text that begins with `*` needs quotes",
    ),
    (
        r"expected '<document start>'",
        "the document has ended before this; check the indentation, or a `...` or `%` line above",
    ),
    (
        r"expected (?:chomping|a comment or a line break|indentation indicator)",
        "`|` and `>` begin a text of several lines, on the next line; a text that begins with one of them needs quotes",
    ),
    (r"found (?:duplicate YAML|incompatible YAML)", _NO_DIRECTIVES),
    (r"found undefined tag handle|duplicate tag handle", NO_TAGS),
)

_BEGINS_EARLIER = re.compile(r"found unexpected (?:end of stream|document separator)|could not find expected ':'")


class RefusedError(yaml.MarkedYAMLError):
    """A limit of ours was passed; `problem` is already in our words."""


def explain(error: yaml.YAMLError, text: str) -> str:
    """`line:column: what is wrong`, lines and columns counted from 1, without a full stop."""
    if isinstance(error, ReaderError):
        before = text[: error.position]
        column = error.position - before.rfind("\n")
        character = error.character if isinstance(error.character, int) else ord(error.character)
        return (
            f"{before.count(chr(10)) + 1}:{column}: the character U+{character:04X} cannot stand in YAML; "
            "write it as an escape in double quotes"
        )
    if not isinstance(error, yaml.MarkedYAMLError):
        return "1:1: not YAML"
    problem, context = error.problem or "", error.context or ""
    mark: Any = error.problem_mark or error.context_mark
    if _BEGINS_EARLIER.match(problem):
        mark = error.context_mark or mark
    words = problem if isinstance(error, RefusedError) else _words(problem, context)
    return f"{mark.line + 1}:{mark.column + 1}: {words}" if mark is not None else f"1:1: {words}"


def _words(problem: str, context: str) -> str:
    for said, table in ((context, _CONTEXTS), (problem, _PROBLEMS)):
        for pattern, words in table:
            if re.match(pattern, said):
                return words
    return "not YAML from here on; check the indentation, quotes and brackets"
