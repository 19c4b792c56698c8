"""The items of a YAML list, each with its line; refuses bombs, cycles and duplicate keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConfigError

if TYPE_CHECKING:
    from yaml.nodes import Node

LARGEST_ITEM: Final = 64 * 1024 * 1024
"""Characters that one item may expand to through its aliases."""

LARGEST_FILE: Final = 1024 * 1024 * 1024
"""The same for all items together."""


def read_yaml_items(text: str, *, name: str) -> Iterator[tuple[int, Any]]:
    """Each item of the list that a YAML text consists of, with the line on which it begins.

    Values are read as in a config: dates stay text, `yes` and `no` are true and false.

    Raises:
        ConfigError: not YAML, not a list, a key twice in one mapping, an anchor that contains itself, or aliases that
            expand to more than `LARGEST_ITEM` or `LARGEST_FILE`.
    """
    import yaml

    from ..config.yaml_tree import add_plain_values
    from ..config.yaml_words import explain

    class Loader(yaml.SafeLoader):
        pass

    add_plain_values(Loader)
    line = 1
    loader = None
    try:
        loader = Loader(text)
        root = loader.get_single_node()
        if root is None:
            return
        if not isinstance(root, yaml.SequenceNode):
            raise ConfigError(f"{name} is not a list. Write each prompt as an item of one: `- ...`.")
        for node, line in _weighed(root.value, name):
            yield line, loader.construct_object(node, deep=True)
    except yaml.YAMLError as exc:
        raise ConfigError(f"{name}:{explain(exc, text)}.") from None
    except RecursionError:
        raise ConfigError(f"{name} is nested too deeply.") from None
    except (ValueError, OverflowError) as exc:
        # PyYAML converts numbers and escapes such as "\U99999999" unguarded.
        raise ConfigError(f"{name}:{line}: a value cannot be read ({exc}). Put it in quotes.") from None
    finally:
        if loader is not None:
            loader.dispose()


def _weighed(nodes: list[Node], name: str) -> Iterator[tuple[Node, int]]:
    weights: dict[int, int | None] = {}
    total = 0
    for node in nodes:
        line = node.start_mark.line + 1
        weight = _weight(node, weights, name)
        total += weight
        if weight > LARGEST_ITEM or total > LARGEST_FILE:
            raise ConfigError(f"{name}:{line}: aliases (`*name`) expand to more text than is reasonable. Write it out.")
        yield node, line


def _weight(node: Node, weights: dict[int, int | None], name: str) -> int:
    """Characters of a node with its aliases written out; every node is visited once, so a bomb costs nothing."""
    key = id(node)
    if key in weights:
        known = weights[key]
        if known is None:
            raise ConfigError(f"{name}:{node.start_mark.line + 1}: this anchor (`&name`) contains an alias of itself.")
        return known
    weights[key] = None
    weight = 1
    if isinstance(node.value, str):
        weight += len(node.value)
    else:
        seen: set[str] = set()
        for child in node.value:
            if isinstance(child, tuple):
                _refuse_duplicate(child[0], seen, name)
                weight += _weight(child[0], weights, name) + _weight(child[1], weights, name)
            else:
                weight += _weight(child, weights, name)
    weights[key] = weight
    return weight


def _refuse_duplicate(key: Node, seen: set[str], name: str) -> None:
    if isinstance(key.value, str) and key.tag != "tag:yaml.org,2002:merge":
        if key.value in seen:
            raise ConfigError(
                f"{name}:{key.start_mark.line + 1}: the key {key.value!r} is given twice. Keep one of them."
            )
        seen.add(key.value)
