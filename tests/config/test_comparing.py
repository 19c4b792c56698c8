"""What may differ between a run and its resume, and how a difference is named."""

import json

import pytest

from hivetrace_core import load_config
from hivetrace_core.config import comparable, differences

BASE = {
    "name": "leak",
    "models": [{"name": "acme/x", "label": "l", "params": {"temperature": 0, "api_key": "old", "stop": ["a"]}}],
    "system_prompt": "s",
    "prompts": ["one", "two"],
    "run": {"rpm": 5},
    "output": {"dir": "/runs", "formats": ["csv"]},
    "plugins": {"allow": ["acme"]},
    "observers": ["o"],
}


def changed(**changes):
    return comparable(load_config({**BASE, **changes}))


def model(**changes):
    return {"models": [{**BASE["models"][0], **changes}]}


def params(**changes):
    return model(params={**BASE["models"][0]["params"], **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"run": {"batch_size": 3, "max_failure_rate": 1}},
        {"output": {"dir": "/elsewhere", "formats": []}},
        params(api_key="new"),
        params(api_key="${KEY}"),
        params(temperature=0.0),
        params(batch_size=1, max_concurrency=2, rpm=3, tpm=4, timeout=5, max_attempts=6, deadline=7),
    ],
)
def test_limits_output_and_secrets_may_differ(changes):
    assert changed(**changes) == changed()
    assert differences(changed(), changed(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "other"}, 'name was "leak", is now "other"'),
        (model(name="acme/y"), 'models[0].name was "acme/x", is now "acme/y"'),
        (model(label="m"), 'models[0].label was "l", is now "m"'),
        (model(label=None), "models[0].label is gone"),
        (model(model="acme"), "models[0].model is new"),
        (params(temperature=1), "models[0].params.temperature was 0, is now 1"),
        (params(temperature=False), "models[0].params.temperature was 0, is now false"),
        (params(seed=1), "models[0].params.seed is new"),
        (params(stop=[]), "models[0].params.stop[0] is gone"),
        (params(stop=["a", "b"]), "models[0].params.stop[1] is new"),
        ({"models": [*BASE["models"], {"name": "b"}]}, "models[1] is new"),
        ({"system_prompt": None}, 'system_prompt was "s", is now null'),
        ({"system_prompt": "x" * 58}, f'system_prompt was "s", is now "{"x" * 58}"'),
        ({"system_prompt": "x" * 100}, f'system_prompt was "s", is now "{"x" * 59}...'),
        ({"plugins": {}}, "plugins.allow is gone"),
        ({"observers": []}, "observers[0] is gone"),
    ],
)
def test_everything_else_is_a_difference_that_is_named(changes, said):
    assert differences(changed(), changed(**changes)) == [said]


@pytest.mark.parametrize(
    "prompts",
    [["one"], ["two", "one"], ["one", "twO"], ["one", "two", "three"], ["one", [{"role": "user", "content": "two"}]]],
)
def test_another_list_of_prompts_is_a_difference(prompts):
    [said] = differences(changed(), changed(prompts=prompts))

    assert said.startswith('prompts.list was "2 prompts, sha256 ')


def test_prompts_from_a_file_differ_by_its_path():
    said = differences(changed(), changed(prompts={"file": "/p.csv", "column": "c"}))

    assert said == ["prompts.list is gone", "prompts.file is new", "prompts.column is new"]


def test_several_differences_are_all_named():
    said = differences(changed(), changed(name="x", **params(temperature=1, stop=["b"])))

    assert [text.split()[0] for text in said] == ["name", "models[0].params.temperature", "models[0].params.stop[0]"]


def test_it_survives_json():
    config = changed(**params(path=("a", 1)))

    assert json.loads(json.dumps(config)) == config
