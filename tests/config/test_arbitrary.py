"""Whatever a file holds: a config or a ConfigError, and lines that are right."""

from __future__ import annotations

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hivetrace_core import ConfigError, RunConfig, load_config
from hivetrace_core.config.yaml_tree import parse_yaml

RELAXED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

GOOD = """\
name: leak-ru
models:
  - {name: simulated, label: a, params: &p {seed: 1, stop: ["x", 'y']}}
  - name: acme/acme-1
    params: {<<: *p, api_key: "${ACME}"}   # comment
prompts:
  - |
    several
    lines
  - [{role: user, content: Hi}]
run: {batch_size: 32, max_failure_rate: 0.5}
output: {dir: runs, formats: [jsonl]}
"""

SIGNS = """- |: |? |{|}|[|]|,|&a |*a|!|!!str |>|'|"|#|%|@|---|...|<<|~|on|1e3|\\|"\\u|"\\U00110000"|!<|0x|.inf|=|${"""
WORDS = ["models", "name", "prompts", "run", "params", "response_model", "é", "%YAML 1.1\n", "%TAG ! x\n"]
SPACES = ["\n", "\n  ", " ", "\t", "|", "\ufeff", "\x07", "\u2028", "\x85"]
PIECES = st.sampled_from([*SIGNS.split("|"), *WORDS, *SPACES])


def outcome(raw: bytes, folder) -> RunConfig | str:
    path = folder / "run.yaml"
    path.write_bytes(raw)
    try:
        config = load_config(path)
    except ConfigError as error:
        return str(error)
    assert isinstance(config, RunConfig)
    return config


@RELAXED
@given(raw=st.binary(max_size=300))
def test_any_bytes_are_a_config_or_a_config_error(tmp_path_factory, raw):
    outcome(raw, tmp_path_factory.getbasetemp())


@RELAXED
@given(pieces=st.lists(PIECES, max_size=25))
@example(pieces=["? ", "? ", "? "])
def test_any_text_made_of_yaml_signs_is_a_config_or_a_config_error(tmp_path_factory, pieces):
    outcome("".join(pieces).encode(), tmp_path_factory.getbasetemp())


@RELAXED
@given(position=st.integers(0, len(GOOD)), dropped=st.integers(0, 12), inserted=st.lists(PIECES, max_size=3))
def test_a_config_with_any_slip_of_the_hand_is_a_config_or_an_error_with_a_line(
    tmp_path_factory, position, dropped, inserted
):
    text = GOOD[:position] + "".join(inserted) + GOOD[position + dropped :]

    said = outcome(text.encode(), tmp_path_factory.getbasetemp())

    assert isinstance(said, RunConfig) or "run.yaml:" in said


NAMES = st.text(alphabet="abcdefgh", min_size=1, max_size=6)
TREES = st.recursive(
    st.integers(0, 9) | st.text(alphabet="xyz ", min_size=1, max_size=5),
    lambda inner: st.lists(inner, min_size=1, max_size=4) | st.dictionaries(NAMES, inner, min_size=1, max_size=4),
    max_leaves=20,
)


def lines_by_reading(text: str) -> dict[str, int]:
    """The line on which each marker stands, found without a YAML parser."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        for word in line.replace(":", " ").replace("-", " ").split():
            if word.startswith("marker"):
                found[word] = number
    return found


@RELAXED
@given(tree=TREES, comments=st.lists(st.integers(0, 30), max_size=5))
def test_every_key_has_the_line_that_it_is_written_on(tree, comments):
    marked, markers = mark(tree)
    lines = yaml.safe_dump(marked, sort_keys=False, allow_unicode=True, width=10_000).splitlines()
    for at in comments:
        lines.insert(min(at, len(lines)), "# a comment, and an empty line\n")
    text = "\n".join(lines) + "\n"
    by_reading = lines_by_reading(text)

    read = parse_yaml(text, name="x")

    assert read.value == marked
    for path, marker in markers.items():
        assert read.lines[path] == by_reading[marker]


def mark(tree: object) -> tuple[object, dict[tuple[str | int, ...], str]]:
    """The tree with every key made unique, and the path of each."""
    markers: dict[tuple[str | int, ...], str] = {}

    def walk(value: object, path: tuple[str | int, ...]) -> object:
        if isinstance(value, dict):
            result = {}
            for inner in value.values():
                marker = f"marker{len(markers)}"
                markers[(*path, marker)] = marker
                result[marker] = walk(inner, (*path, marker))
            return result
        if isinstance(value, list):
            return [walk(inner, (*path, index)) for index, inner in enumerate(value)]
        return value

    return walk(tree, ()), markers
