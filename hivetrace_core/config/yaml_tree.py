"""YAML to plain values with the line of each, within stated limits, and without YAML's surprises.

What differs from `yaml.safe_load`: equal keys are an error; keys are text as written (`on:` stays `on`); dates, times
and numbers with a leading zero stay text; `1e-3` is a number; tags other than those of plain values are refused; and
what aliases and merge keys (`<<`) expand to is counted, because a few lines of them can stand for gigabytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import ConfigError
from .limits import DEEPEST, MOST_TEXT, MOST_VALUES
from .problems import KeyPath, Problem
from .yaml_words import NO_TAGS, RefusedError, explain

_TAG = "tag:yaml.org,2002:"
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_SURROGATES = re.compile("[\ud800-\udfff]")

_PLAIN_VALUES: Final = (
    ("bool", r"(?i:yes|no|true|false|on|off)", list("yYnNtTfFoO")),
    ("int", r"[-+]?(?:0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+|0|[1-9][0-9_]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+|\.(?i:inf))|\.(?i:nan)",
        list("-+.0123456789"),
    ),
    ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("merge", r"<<", ["<"]),
)


def add_plain_values(resolver: Any) -> None:
    """Teach a PyYAML loader or dumper class which unquoted texts are not text, and drop its own rules."""
    resolver.yaml_implicit_resolvers = {}
    for kind, pattern, first in _PLAIN_VALUES:
        resolver.add_implicit_resolver(_TAG + kind, re.compile(rf"(?:{pattern})\Z"), first)


@dataclass
class Tree:
    """A file's content: plain values, the line of each key and item by its path, and what was wrong on the way."""

    value: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def parse_yaml(text: str, *, name: str) -> Tree:
    """Read one YAML document.

    Args:
        text: The document.
        name: What messages call the file.

    Raises:
        ConfigError: it is not YAML, is nested too deeply, expands to too much or contains itself; with line and column.
    """
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        return _Builder().tree(loader.get_single_node())
    except yaml.YAMLError as exc:
        raise ConfigError(f"{name}:{explain(exc, text)}.") from None
    except (ValueError, OverflowError):
        # PyYAML converts escapes such as "\U99999999" and the numbers of %YAML unguarded.
        place = f"{loader.line + 1}:{loader.column + 1}" if loader is not None else "1:1"
        raise ConfigError(f"{name}:{place}: an escape that stands for no character, or a number beyond use.") from None
    finally:
        if loader is not None:
            loader.dispose()


class _Loader(yaml.SafeLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        # Here and not afterwards: PyYAML recurses once per level and keeps an object per value.
        self._depth += 1
        self._nodes += 1
        if self._depth > DEEPEST:
            raise self._refused(_TOO_DEEP)
        if self._nodes > 2 * MOST_VALUES:  # keys are nodes, too
            raise self._refused(_TOO_MUCH)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def _refused(self, problem: str) -> RefusedError:
        parser: Any = self
        return RefusedError(problem=problem, problem_mark=parser.peek_event().start_mark)


add_plain_values(_Loader)


class _Builder:
    """Turns PyYAML's graph of nodes into values; in the graph an alias is the same node again."""

    def __init__(self) -> None:
        self._tree = Tree()
        self._open: set[int] = set()
        self._values = 0
        self._text = 0

    def tree(self, root: Node | None) -> Tree:
        if root is not None:
            self._tree.lines[()] = _line(root)
            self._tree.value = self._build(root, ())
        return self._tree

    def _build(self, node: Node, path: KeyPath) -> Any:
        self._spend(node)
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if _kind(node) not in {"map", "seq"}:
            self._problem(path, NO_TAGS, node)
            return None
        if len(path) >= DEEPEST:  # aliases can nest what the file does not
            raise RefusedError(problem=_TOO_DEEP, problem_mark=node.start_mark)
        self._enter(node)
        value = self._mapping(node, path) if isinstance(node, MappingNode) else self._list(node, path)
        self._open.discard(id(node))
        return value

    def _enter(self, node: Node) -> None:
        if id(node) in self._open:
            raise RefusedError(
                problem="this anchor (`&name`) contains an alias (`*name`) of itself, so it would never end",
                problem_mark=node.start_mark,
            )
        self._open.add(id(node))

    def _list(self, node: Node, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        for index, item in enumerate(node.value):
            self._tree.lines[*path, index] = _line(item)
            items.append(self._build(item, (*path, index)))
        return items

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key, key_node, value in self._pairs(node, path):
            self._tree.lines[*path, key] = _line(key_node)
            mapping[key] = self._build(value, (*path, key))
        return mapping

    def _pairs(self, node: MappingNode, path: KeyPath) -> Iterator[tuple[str, Node, Node]]:
        """A mapping's own pairs, then those of `<<` that it does not have itself."""
        seen: dict[str, Node] = {}
        merged: list[Node] = []
        for key_node, value in node.value:
            if _kind(key_node) == "merge":
                merged.extend(value.value if isinstance(value, SequenceNode) else [value])
            elif not isinstance(key_node, ScalarNode) or _kind(key_node) == "null" or not key_node.value:
                self._problem(path, "a key must be text, not empty and not a collection", key_node)
            elif (key := _whole_characters(key_node.value)) in seen:
                first = _line(seen[key])
                self._problem(
                    (*path, key), f"the key is given twice, first on line {first}; keep one of them", key_node
                )
            else:
                seen[key] = key_node
                yield key, key_node, value
        for source in merged:
            self._spend(source)
            if not isinstance(source, MappingNode):
                self._problem(path, "`<<` takes an alias of a mapping, or a list of such", source)
                continue
            self._enter(source)
            for key, key_node, value in self._pairs(source, path):
                self._spend(key_node)
                if key not in seen:
                    seen[key] = key_node
                    yield key, key_node, value
            self._open.discard(id(source))

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Any:
        text, kind = node.value, _kind(node)
        if kind in {"str", "merge"}:
            return _whole_characters(text)
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        if kind not in {"int", "float"}:
            self._problem(path, NO_TAGS, node)
            return None
        number = _number(kind, text)
        if number is None:
            self._problem(path, "not a number that can be used; put it in quotes if it is text", node)
        return number

    def _spend(self, node: Node) -> None:
        self._values += 1
        self._text += len(node.value) if isinstance(node, ScalarNode) else 0
        if self._values > MOST_VALUES or self._text > MOST_TEXT:
            raise RefusedError(problem=_TOO_MUCH, problem_mark=node.start_mark)

    def _problem(self, path: KeyPath, text: str, node: Node) -> None:
        self._tree.problems.append(Problem(path, text, _line(node)))


_TOO_DEEP: Final = f"nested more than {DEEPEST} levels deep"

_TOO_MUCH: Final = (
    f"with its aliases expanded the file holds more than {MOST_VALUES:,} values or {MOST_TEXT // 1024**2} MiB of text; "
    "put long lists of prompts into a file of their own (`prompts: {file: ...}`)"
)


def _kind(node: Node) -> str:
    tag = str(node.tag)
    return tag.removeprefix(_TAG) if tag.startswith(_TAG) else "!"


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _number(kind: str, text: str) -> int | float | None:
    plain = text.replace("_", "")
    try:
        if kind == "float":
            number = float(plain)
            return number if math.isfinite(number) else None
        return int(plain, 0) if re.match(r"[-+]?0[xob]", plain) else int(plain)
    except ValueError:
        return None


def _whole_characters(text: str) -> str:
    """One character that JSON writes as two escapes (a surrogate pair) made one; lone halves stay."""
    if not _SURROGATES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
