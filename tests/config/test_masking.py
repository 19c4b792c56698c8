"""A config as it is written into a run folder: no secret in it, and it reads back to the same."""

import enum
import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from hivetrace_core import load_config
from hivetrace_core.config import comparable, masked, masked_yaml

SECRET = "sk-0123456789abcdef"


def config_of(params=None, **rest):
    return load_config({"models": [{"name": "acme/x", "params": params or {}}], "prompts": ["a"], **rest})


def params_of(params):
    return masked(config_of(params))["models"][0]["params"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ({"api_key": SECRET}, {"api_key": "***"}),
        ({"api_key": "short"}, {"api_key": "***"}),
        ({"api_key": 1234}, {"api_key": "***"}),
        ({"api_key": SecretStr(SECRET)}, {"api_key": "***"}),
        ({"client": SecretStr(SECRET)}, {"client": "***"}),
        ({"api_key": "${ACME_API_KEY}"}, {"api_key": "${ACME_API_KEY}"}),
        ({"api_key": "sk-${SUFFIX}"}, {"api_key": "***"}),
        ({"api_key": "$${ACME}"}, {"api_key": "***"}),
        ({"api_key": None}, {"api_key": None}),
        (
            {"headers": {"Authorization": [SECRET, {"x": SECRET}]}},
            {"headers": {"Authorization": ["***", {"x": "***"}]}},
        ),
        ({"proxy": "http://me:pw@host/p"}, {"proxy": "http://***@host/p"}),
        ({"proxy": "http://${USER}:${PW}@host/p"}, {"proxy": "http://${USER}:${PW}@host/p"}),
        ({"proxy": "http://${USER}:pw@host/p"}, {"proxy": "http://***@host/p"}),
        ({"note": "${HOME} $${x}"}, {"note": "${HOME} $${x}"}),
        ({"max_tokens": 5, "n": None, "on": True}, {"max_tokens": 5, "n": None, "on": True}),
        ({"a": (1, {"b": 2.5})}, {"a": [1, {"b": 2.5}]}),
        ({"a": math.inf, "api_key": math.nan}, {"a": "inf", "api_key": "***"}),
        ({"a": Path("/x"), "client": object()}, {"a": "/x", "client": "<object>"}),
        (
            {"api_key": SECRET, "extra_body": {"h": f"Bearer {SECRET}"}},
            {"api_key": "***", "extra_body": {"h": "Bearer ***"}},
        ),
    ],
)
def test_params_are_kept_without_their_secrets(written, kept):
    assert params_of(written) == kept


def test_enums_from_python_become_plain():
    class Colour(enum.StrEnum):
        RED = "red"

    value = params_of({"colour": Colour.RED})["colour"]

    assert (value, type(value)) == ("red", str)


def test_a_secret_of_one_model_is_masked_in_the_params_of_another():
    config = load_config(
        {
            "models": [{"name": "a", "params": {"api_key": SECRET}}, {"name": "b", "params": {"x": SECRET}}],
            "prompts": ["p"],
        }
    )

    assert SECRET not in json.dumps(masked(config))


def test_a_secret_that_reads_like_a_name_spoils_nothing_outside_the_params():
    config = load_config({"models": [{"name": "simulated", "params": {"api_key": "simulated"}}], "prompts": ["p"]})

    assert masked(config)["models"] == [{"name": "simulated", "params": {"api_key": "***"}}]


def test_all_that_is_set_is_kept(write):
    config = load_config(
        write(
            """
name: all
models: [{model: acme, name: x, label: l, params: {a: 1}}]
system_prompt: s
prompts: {file: p.csv, column: c, format: csv}
run: {batch_size: 2, rpm: 1.5, max_failure_rate: 0}
output: {dir: out, formats: [csv]}
plugins: {modules: [m.py], allow: []}
observers: [o]
"""
        )
    )
    here = Path.cwd()

    assert masked(config) == {
        "name": "all",
        "models": [{"model": "acme", "name": "x", "label": "l", "params": {"a": 1}}],
        "system_prompt": "s",
        "prompts": {"file": str(here / "p.csv"), "column": "c", "format": "csv"},
        "run": {"batch_size": 2, "rpm": 1.5, "max_failure_rate": 0},
        "output": {"dir": str(here / "out"), "formats": ["csv"]},
        "plugins": {"modules": [str(here / "m.py")], "allow": []},
        "observers": ["o"],
    }


def test_no_formats_stay_no_formats():
    assert load_config(masked(config_of(output={"formats": []}))).output.formats == []


def test_a_short_list_of_prompts_is_repeated_and_a_long_one_is_counted():
    short = masked(config_of(prompts=["a", [{"role": "user", "content": "b"}]]))
    longest = masked(config_of(prompts=["a"] * 1_000))
    many = masked(config_of(prompts=["a"] * 1_001))
    large = masked(config_of(prompts=["a" * 300_000]))

    assert short["prompts"] == {"items": ["a", [{"role": "user", "content": "b"}]]}
    assert len(longest["prompts"]["items"]) == 1_000
    assert many["prompts"]["stored"]["count"] == 1_001
    assert large["prompts"]["stored"]["count"] == 1
    assert many["prompts"]["stored"]["sha256"] != large["prompts"]["stored"]["sha256"]


def test_a_config_with_counted_prompts_reads_back_for_its_own_run(tmp_path):
    config = config_of(prompts=["a"] * 2_000)
    path = tmp_path / "config.yaml"
    path.write_text(masked_yaml(config), encoding="utf-8")

    again = load_config(path, stored_prompts=True)

    assert again.prompts.stored is not None
    assert comparable(again) == comparable(config)
    assert masked(again) == masked(config)


TEXT = st.text(alphabet=st.characters(), max_size=20) | st.sampled_from(
    [
        "on",
        "No",
        "~",
        "",
        "1e3",
        "0x1",
        "010",
        "1_0",
        "2024-01-01",
        "<<",
        "=",
        "a: b",
        "- a",
        "#",
        "\ud800",
        "x\x85y",
        " a ",
        "!x",
        "1:30",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT.filter(bool), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(TEXT.filter(bool), VALUES, max_size=4), TEXT, st.lists(TEXT, min_size=1, max_size=3))
def test_what_is_written_reads_back_to_the_same(tmp_path_factory, params, system_prompt, prompts):
    config = config_of(params, system_prompt=system_prompt, prompts=prompts)
    path = tmp_path_factory.getbasetemp() / "config.yaml"
    path.write_text(masked_yaml(config), encoding="ascii")

    again = load_config(path)

    assert masked(again) == masked(config)
    assert comparable(again) == comparable(config)
