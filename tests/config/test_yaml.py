"""YAML: syntax errors in plain words, lines for everything, bombs refused, no surprises in values."""

import pytest
import yaml

from hivetrace_core import ConfigError, load_config
from hivetrace_core.config import yaml_tree
from hivetrace_core.config.limits import DEEPEST, MOST_TEXT, MOST_VALUES
from hivetrace_core.config.yaml_tree import parse_yaml
from hivetrace_core.config.yaml_words import explain

SECRET = "Sup3rSecretKey"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\n\tb: c", "2:1: a tab; YAML wants spaces"),
        ("name: a: b", "1:8: a `:` where none can be"),
        ("name: a\n  b: c", "2:4: a `:` where none can be"),
        ("a:\n  - b\n - c", "3:2: the indentation does not fit"),
        ("a: 'b' c", "1:8: the indentation does not fit the lines above, or a text goes on after its closing quote"),
        ("a: - b", "1:4: a `- ` where no list item can be"),
        ("a: b\nc\nd: e", "2:1: this is neither `key: value` nor a list item"),
        ("a: ? b", "1:4: a `? ` where no key can be"),
        ("a: [b\nc: d", "2:2: a `,` or the closing `]` of a list is missing"),
        ("a: {b: c\nd", "2:2: a `,` or the closing `}` is missing"),
        ("a: ]", "1:4: a value is missing, or a sign"),
        ("\na: 'b", "2:4: a quoted text that begins here is never closed"),
        ('a: "b\n---\n', "1:4: a quoted text that begins here is not closed before"),
        ('a: "C:\\qath"', "1:8: a `\\` that means nothing"),
        ('a: "\\xZZ"', "1:7: a `\\` that means nothing"),
        ('a: "\\U99999999"', "1:7: an escape that stands for no character"),
        ("%YAML 1." + "9" * 5_000 + "\n---\na: b", "an escape that stands for no character, or a number"),
        ("a: @b", "1:4: a text cannot begin with this character; put it in quotes"),
        ("a: `b`", "1:4: a text cannot begin with this character; put it in quotes"),
        ("a: %b", "1:4: a text cannot begin with this character; put it in quotes"),
        ("%b\na: c", "2:1: the document has ended before this; check the indentation, or a `...` or `%` line above"),
        ("%YAML 3.0\n---\na: c", "1:1: a `%` line that YAML does not know"),
        ("%YAML x\n---\na: c", "a `%` line that YAML does not know"),
        ("a: *b", "1:4: an alias (`*name`) of an anchor that does not exist"),
        ("a: * b", "1:5: a text that begins with `&` or `*` needs quotes"),
        ("a: &b c\nd: &b e", "2:4: an anchor (`&name`) of a name that is taken"),
        ("a: |b\n  c", "1:5: `|` and `>` begin a text of several lines"),
        ("a: b\n---\nc: d", "2:1: a second document (`---`) begins; a config is one document"),
        ("a: b\n...\nc: d", "the document has ended before this"),
        ("a: !b! c", "tags (`!...`) are refused"),
        ("a: !<b c", "tags (`!...`) are refused"),
        ("%TAG ! a\n%TAG ! b\n---\na: b", "tags (`!...`) are refused"),
    ],
)
def test_invalid_yaml_is_told_in_plain_words_with_line_and_column(text, said):
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, name="run.yaml")

    place, _, words = said.rpartition(": ") if said[0].isdigit() else ("", "", said)
    assert str(caught.value).startswith(f"run.yaml:{place}")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "*{0}",
        "!{0} x",
        "!!{0} x",
        "&{0} &x y",
        "'{0}",
        '"{0}',
        '"{0}\\q"',
        "{0}: {0}: {0}",
        "[{0}",
        "@{0}",
        "%{0}",
        "|{0}",
    ],
)
def test_a_syntax_error_never_repeats_the_text_that_it_is_in(refused, value):
    message = refused("models: [{name: simulated}]\nprompts: [a]\napi_key: " + value.format(SECRET) + "\n")

    assert SECRET not in message


def test_words_that_a_later_yaml_library_may_use_are_not_repeated():
    unknown = yaml.MarkedYAMLError(problem=f"new words about {SECRET!r}", problem_mark=yaml.Mark("", 0, 4, 2, "", 0))

    assert explain(unknown, "") == "5:3: not YAML from here on; check the indentation, quotes and brackets"
    assert explain(yaml.MarkedYAMLError(), "").startswith("1:1: not YAML")
    assert explain(yaml.YAMLError(SECRET), "") == "1:1: not YAML"


def test_the_same_key_twice_names_both_lines(refused):
    message = refused("models:\n  - name: simulated\n    params:\n      a: 1\n      b: 2\n      a: 3\nprompts: [x]\n")

    assert message == "run.yaml:6: models[0].params.a: the key is given twice, first on line 4; keep one of them."


def test_keys_that_differ_in_writing_only_are_the_same_key(refused):
    assert "first on line 3" in refused('models: [{name: simulated}]\nprompts: [x]\nname: a\n"name": b\n')


def test_an_anchor_that_contains_itself_is_refused(refused):
    assert refused("a: 1\nb: &b\n  c: [*b]\n") == (
        "run.yaml:2:4: this anchor (`&name`) contains an alias (`*name`) of itself, so it would never end."
    )
    assert "contains an alias" in refused("a: &a\n  <<: *a\n")
    assert "contains an alias" in refused("a: &a\n  <<: [{b: *a}]\n")


def _bomb(item: str) -> str:
    lines = [f"a0: &a0 {item}"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        _bomb("[lol]"),
        _bomb("{}"),
        f"a: &a [{'x, ' * 300}]\nb: [{'*a, ' * 200}]",
        f"a: &a {'x' * 200_000}\nb: [{'*a, ' * 100}]",
        "a0: &a0 {k: v}\n" + "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 10)),
    ],
)
def test_aliases_that_stand_for_too_much_are_refused(text):
    with pytest.raises(
        ConfigError, match="more than 50,000 values or 8 MiB of text; put long lists of prompts into a file"
    ):
        parse_yaml(text, name="bomb.yaml")


@pytest.mark.parametrize("length", [1_001, 2_001, 300_000])
def test_a_list_that_is_too_long_is_refused_before_all_of_it_is_held(monkeypatch, length):
    monkeypatch.setattr(yaml_tree, "MOST_VALUES", 1_000)

    with pytest.raises(ConfigError, match=r"long\.yaml:\d+:\d+: with its aliases expanded") as caught:
        parse_yaml("- a\n" * length, name="long.yaml")
    assert int(str(caught.value).split(":")[1]) <= 2_001


def test_the_limits_are_what_the_message_says():
    within = parse_yaml("\n".join(["- a"] * 20), name="x")

    assert len(within.value) == 20
    assert (MOST_VALUES, MOST_TEXT, DEEPEST) == (50_000, 8 * 1024 * 1024, 50)


def test_nesting_beyond_the_limit_is_refused_and_up_to_it_is_read():
    assert parse_yaml("[" * DEEPEST + "]" * DEEPEST, name="x").value is not None
    for text in ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "[" * 100_000, "{a: " * 5_000, "- " * 20_000, "? " * 5_000):
        with pytest.raises(ConfigError, match="nested more than 50 levels deep"):
            parse_yaml(text, name="x")


def test_aliases_cannot_nest_what_the_file_does_not():
    deep = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, DEEPEST)]

    # The mapping is a level, too: the last but one stands for exactly as many as there may be.
    assert parse_yaml("\n".join(deep[:-1]), name="x").value["a0"] == ["x"]
    with pytest.raises(ConfigError, match="nested more than 50 levels deep"):
        parse_yaml("\n".join(deep), name="x")


def test_anchors_and_merge_keys_share_params(write):
    config = load_config(
        write(
            """
models:
  - {name: simulated, label: a, params: &common {seed: 1, stop: [x]}}
  - {name: simulated, label: b, params: {<<: *common, seed: 2}}
  - {name: simulated, label: c, params: {<<: [{seed: 3, other: 4}, *common], stop: *none}}
prompts: [a]
observers: &none []
""".replace("stop: *none", "stop: []")
        )
    )

    assert [entry.params for entry in config.models] == [
        {"seed": 1, "stop": ["x"]},
        {"seed": 2, "stop": ["x"]},
        {"seed": 3, "other": 4, "stop": []},
    ]


def test_a_merge_key_takes_mappings_only(refused):
    assert refused("models:\n  - {<<: simulated}\nprompts: [a]\n").startswith(
        "run.yaml:2: models[0]: `<<` takes an alias of a mapping, or a list of such"
    )


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system [echo]",
        "!!python/name:os.system ''",
        "!custom x",
        "!!binary aGk=",
        "!!set {a}",
        "!!omap [a: b]",
        "!!timestamp 2024-01-01",
        "!!bool maybe",
    ],
)
def test_tags_are_refused(refused, value):
    message = refused(f"models: [{{name: simulated}}]\nprompts: [a]\nsystem_prompt: {value}\n")

    assert message == (
        "run.yaml:3: system_prompt: tags (`!...`) are refused; a text that begins with `!` needs quotes."
    )


def test_the_tags_of_plain_values_are_read():
    tree = parse_yaml("a: !!str 1\nb: !!int '2'\nc: !!float '3'\nd: !!map {}\nf: !!null x\n", name="x")

    assert tree.value == {"a": "1", "b": 2, "c": 3.0, "d": {}, "f": None}
    assert not tree.problems


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2024-06-01", "2024-06-01"),
        ("2024-06-01 10:00:00", "2024-06-01 10:00:00"),
        ("1:30", "1:30"),
        ("010", "010"),
        ("1e-3", 0.001),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("-1", -1),
        ("+1", 1),
        ("0", 0),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0o17", 15),
        ("0b11", 3),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("nil", "nil"),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\ud83d"', "\ud83d"),
        ('"\\ude00\\ud83d"', "\ude00\ud83d"),
        ('"\\0"', "\0"),
        ("<<", "<<"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_plain_values_mean_what_they_look_like(written, value):
    read = parse_yaml(f"a: {written}", name="x").value["a"]

    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "written", [".inf", "-.INF", ".nan", "1e999", "0x", "0x_", "1" * 5_000, "!!int x", "!!float x"]
)
def test_numbers_that_no_one_can_use_are_refused(refused, written):
    assert refused(f"models: [{{name: simulated}}]\nprompts: [a]\nrun: {{rpm: {written}}}\n").startswith(
        "run.yaml:3: run.rpm: "
    )


@pytest.mark.parametrize("key", ["on", "no", "1", "1.0", "2024-01-01"])
def test_keys_are_text_as_written(key):
    assert parse_yaml(f"{key}: x", name="x").value == {key: "x"}


@pytest.mark.parametrize("key", ["~", "null", "''", "? [a]\n", "? {a: b}\n"])
def test_keys_that_are_no_text_are_refused(refused, key):
    assert "a key must be text, not empty and not a collection" in refused(f"models: [{{name: simulated}}]\n{key}: x\n")


def test_every_key_and_item_knows_its_line():
    tree = parse_yaml("# comment\na:\n  - b: 1\n    c:\n      - d\n\n      - e\n'f': {g: h}\n", name="x")

    assert tree.lines == {
        (): 2,
        ("a",): 2,
        ("a", 0): 3,
        ("a", 0, "b"): 3,
        ("a", 0, "c"): 4,
        ("a", 0, "c", 0): 5,
        ("a", 0, "c", 1): 7,
        ("f",): 8,
        ("f", "g"): 8,
    }


def test_a_mistake_in_an_alias_is_shown_where_its_text_is(refused):
    message = refused(
        "models:\n  - {name: simulated, label: &l [x]}\n  - name: simulated\n    label: *l\nprompts: [a]\n"
    )

    assert "run.yaml:2: models[0].label: must be text, not a list" in message
    assert "run.yaml:4: models[1].label: must be text, not a list" in message
