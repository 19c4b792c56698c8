"""Mistakes in a script: where they are, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hivetrace_core import ConfigError
from hivetrace_core.mockserver import MockServer, load_script


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("{outcom: blocked}", "rules[1].outcom: unknown key; did you mean 'outcome'?"),
        ("{outcome: bloked}", "rules[1].outcome: must be"),
        ("{match: '('}", "rules[1].match: is not a regular expression"),
        ("{share: 2}", "rules[1].share: must be less than or equal to 1"),
        ("{times: 0}", "rules[1].times: must be greater than or equal to 1"),
        ("{times: true}", "rules[1].times: must be a whole number, not true or false"),
        ("{outcome: blocked, error: server}", "`outcome` and `error` both say how the request ends"),
        ("{variant: plain.filter, error: server}", "`error` and `variant` both say how the request ends"),
        ("{outcome: failed}", "`outcome: failed` needs the kind"),
        ("{error: connection}", "no server says `connection`; give a `fault`"),
        ("{fault: reset, outcome: blocked}", "`fault: reset` leaves no answer"),
        ("{fault: reset, status: 500}", "`fault: reset` has no status"),
        ("{fault: explode}", "rules[1].fault: must be"),
        ("{retry_after: 3}", "`retry_after` needs an error"),
        ("{categories: [x]}", "`categories` describe a block"),
        ("{after: 2}", "`after` needs an error, or a fault out of cut, half, hang, reset"),
        ("{fault: trickle, after: 2}", "`after` needs an error"),
        ("{status: 99}", "rules[1].status: must be greater than or equal to 200"),
        ("{delay: -1}", "rules[1].delay"),
        ("{delay: true}", "rules[1].delay: must be a mapping"),
        ("{pace: 0}", "rules[1].pace: must be greater than 0"),
        ("{headers: {'a b': x}}", "'a b' is no name of a header"),
        ('{headers: {a: "x\\r\\nSet-Cookie: y"}}', "characters that a header cannot carry"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_key(tmp_path: Path, rule: str, told: str) -> None:
    file = tmp_path / "script.yaml"
    file.write_text(f"text: hello\nrules:\n  - {{outcome: blocked}}\n  - {rule}\n")

    with pytest.raises(ConfigError) as caught:
        load_script(file)

    assert f"{file}:4: rules[1]" in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"variant": "plain.fitler"}, "rules[0].variant: no such variant; did you mean 'plain.filter'?"),
        ({"variant": "zzz"}, "known are other.filter, plain.broke, plain.busy, plain.filter"),
        ({"variant": "other.filter", "provider": "plain"}, "rules[0].variant: no such variant"),
        ({"provider": "plane"}, "rules[0].provider: no such provider here; did you mean 'plain'?"),
    ],
)
def test_names_that_no_dialect_knows_are_mistakes(wire: Any, rule: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MockServer({"rules": [rule]}, dialects=[wire.plain, wire.other])

    assert told in str(caught.value)


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "script.json"
    file.write_text('{"rate_limit": {},\n "rules": [{"fault": "no"}],\n "seed": "x"}')

    with pytest.raises(ConfigError) as caught:
        load_script(file)

    assert "3 problems" in str(caught.value)
    assert f"{file}:1: rate_limit: needs `rpm`, `tpm` or both" in str(caught.value)
    assert f"{file}:3: seed: must be a whole number, not text" in str(caught.value)


@pytest.mark.parametrize("text", ["", "rules: []", "{}"])
def test_a_script_may_be_empty(tmp_path: Path, text: str) -> None:
    file = tmp_path / "script.yaml"
    file.write_text(text)

    assert load_script(file).model_dump() == load_script(None).model_dump() == load_script({}).model_dump()


def test_a_script_is_a_mapping(tmp_path: Path) -> None:
    file = tmp_path / "script.yaml"
    file.write_text("- outcome: blocked\n")

    with pytest.raises(ConfigError, match="a script is a mapping"):
        load_script(file)
    with pytest.raises(ConfigError, match="a path, a mapping or a Script"):
        load_script(3)  # type: ignore[arg-type]


def test_a_missing_script_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no script .*nowhere\.yaml"):
        load_script(tmp_path / "nowhere.yaml")
