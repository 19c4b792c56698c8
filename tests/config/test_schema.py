"""What a config may say: every mistake with its line and key, all of them at once."""

from pathlib import Path

import pytest

from hivetrace_core import ConfigError, RunConfig, load_config
from hivetrace_core.config import ModelEntry, PromptSource

GOOD = "models: [{name: simulated}]\nprompts: [a]\n"


def test_the_config_of_the_manual_is_read_whole(write):
    config = load_config(
        write(
            """
name: leak-ru
models:
  - {name: simulated, params: {seed: 1}}
  - {model: acme, name: acme-1, label: baseline, params: {temperature: 0, max_tokens: 256}}
system_prompt: "..."
prompts: {file: prompts.csv, column: prompt}
run: {batch_size: 32, rpm: 600, tpm: 200000, timeout: 60, max_attempts: 5, deadline: 600, max_failure_rate: 0.5}
output: {dir: runs, formats: [jsonl, csv]}
plugins: {modules: [./my_models.py], allow: [hivetrace-core]}
observers: [metrics]
""",
            "configs/run.yaml",
        )
    )

    here = Path.cwd() / "configs"
    assert config.name == "leak-ru"
    assert config.models == [
        ModelEntry(name="simulated", params={"seed": 1}),
        ModelEntry(model="acme", name="acme-1", label="baseline", params={"temperature": 0, "max_tokens": 256}),
    ]
    assert config.system_prompt == "..."
    assert config.prompts == PromptSource(file=here / "prompts.csv", column="prompt")
    assert config.run.model_dump() == {
        "batch_size": 32,
        "rpm": 600,
        "tpm": 200_000,
        "timeout": 60,
        "max_attempts": 5,
        "deadline": 600,
        "max_failure_rate": 0.5,
    }
    assert (config.output.dir, config.output.formats) == (here / "runs", ["jsonl", "csv"])
    assert (config.plugins.modules, config.plugins.allow) == ([here / "my_models.py"], ["hivetrace-core"])
    assert config.observers == ["metrics"]
    assert config.source_path == here / "run.yaml"


def test_what_is_left_out_has_defaults(write):
    config = load_config(write(GOOD, "leak-ru.yaml"))

    assert config.name == "leak-ru"
    assert config.system_prompt is None
    assert set(config.run.model_dump(exclude={"max_failure_rate"}).values()) == {None}
    assert config.run.max_failure_rate == 0.5
    assert config.output.dir == Path.cwd() / "runs"
    assert config.output.formats == ["jsonl", "csv"]
    assert config.plugins.allow is None


def test_sections_left_empty_are_as_if_left_out(write):
    empty = "run:\noutput:\nplugins:\nobservers:\nsystem_prompt:\n"
    config = load_config(write("models:\n  - name: simulated\n    params:\nprompts: [a]\n" + empty))

    bare = load_config({"models": [{"name": "simulated"}], "prompts": ["a"]})
    assert config.model_dump() == bare.model_dump()


def test_a_mapping_says_the_same_as_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config({"models": [{"name": "simulated"}], "prompts": {"file": "p.csv"}, "output": {"dir": "/out"}})

    assert config.name == "run"
    assert config.prompts.file == tmp_path / "p.csv"
    assert config.output.dir == Path("/out")
    assert config.source_path is None


def test_a_config_made_in_python_gets_its_paths_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = RunConfig(models=[ModelEntry(name="simulated")], prompts=PromptSource(file=Path("p.csv")))

    config = load_config(made)

    assert config.prompts.file == tmp_path / "p.csv"
    assert made.prompts.file == Path("p.csv")


def test_a_loaded_config_is_passed_through_unchanged(write, tmp_path, monkeypatch):
    config = load_config(write(GOOD + "plugins: {modules: [m.py]}\n"))
    monkeypatch.chdir("/")

    again = load_config(config)

    assert again == config
    assert again.source_path == tmp_path / "run.yaml"


def test_a_path_may_begin_in_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")

    config = load_config({"models": [{"name": "x"}], "prompts": {"file": "~/p.csv"}, "output": {"dir": "a~/b"}})

    assert config.prompts.file == Path("/home/me/p.csv")
    assert config.output.dir == Path.cwd() / "a~/b"


def test_response_model_is_the_short_form_for_one_model(write):
    config = load_config(write("response_model: {model: acme, name: a/b, params: {x: 1}}\nprompts: [a]\n"))

    assert config.models == [ModelEntry(model="acme", name="a/b", params={"x": 1})]


def test_both_forms_at_once_are_an_error(refused):
    message = refused(GOOD + "response_model: {name: x}\n")

    assert message == (
        "run.yaml:3: response_model: give `models` or `response_model` (its short form for one model), not both."
    )


def test_neither_form_is_an_error_beside_the_others(refused):
    assert refused("\nname: x\nrun: {rpm: 0}\n") == (
        "2 problems in run.yaml:\n"
        "  run.yaml:2: `models` is missing: give a list of models, or `response_model` for one; `prompts` is missing.\n"
        "  run.yaml:3: run.rpm: must be greater than 0."
    )


def test_mistakes_in_the_short_form_are_told_in_its_own_words(refused):
    message = refused("response_model:\n  name: x\n  labl: y\nprompts: [a]\n")

    assert message == "run.yaml:3: response_model.labl: unknown key; did you mean 'label'?"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nmae: x", "nmae: unknown key; did you mean 'name'?"),
        ("response_modle: {name: x}", "response_modle: unknown key; did you mean 'response_model'?"),
        (
            "zzz: x",
            "zzz: unknown key; known are models, name, observers, output, plugins, prompts, response_model, run",
        ),
        ("batch_size: 3", "batch_size: unknown key; it belongs under `run`."),
        ("formats: [csv]", "formats: unknown key; it belongs under `output`."),
        ("file: x", "file: unknown key; it belongs under `prompts`."),
        ("run: {bacth_size: 3}", "run.bacth_size: unknown key; did you mean 'batch_size'?"),
        ("run: {max-attempts: 3}", "run.max-attempts: unknown key; did you mean 'max_attempts'?"),
        ("output: {format: [csv]}", "output.format: unknown key; did you mean 'formats'?"),
        ('"a b\\n": x', '["a b\\n"]: unknown key'),
        ('"a.b": x', '["a.b"]: unknown key'),
        (
            "name: on",
            "name: must be text, not true or false (YAML reads yes, no, on and off as true and false); put it in",
        ),
        ("name: 1.0", "name: must be text, not a number; put it in quotes."),
        ("name: [a]", "name: must be text, not a list."),
        ("name: ''", "name: must not be empty."),
        ("name: ' '", "name: must not be empty."),
        ('name: "a\\nb"', "name: must be one line of printable text."),
        ('name: "a\\e[31mb"', "name: must be one line of printable text."),
        ("system_prompt: 5", "system_prompt: must be text, not a number; put it in quotes."),
        ("run: [3]", "run: must be a mapping (`key: value`), not a list."),
        ("run: fast", "run: must be a mapping (`key: value`), not text."),
        ("run: {batch_size: true}", "run.batch_size: must be a whole number, not true or false."),
        ("run: {batch_size: '3'}", "run.batch_size: must be a whole number, not text."),
        ("run: {batch_size: 3.5}", "run.batch_size: must be a whole number."),
        ("run: {batch_size: 0}", "run.batch_size: must be greater than or equal to 1."),
        ("run: {batch_size: 100001}", "run.batch_size: must be less than or equal to 100000."),
        ("run: {max_attempts: 0}", "run.max_attempts: must be greater than or equal to 1."),
        ("run: {max_attempts: 101}", "run.max_attempts: must be less than or equal to 100."),
        ("run: {rpm: true}", "run.rpm: must be a number, not true or false."),
        ("run: {rpm: fast}", "run.rpm: must be a number, not text."),
        ("run: {rpm: '${RPM}'}", "run.rpm: must be a number, not text."),
        ("run: {rpm: 0}", "run.rpm: must be greater than 0."),
        ("run: {tpm: -1}", "run.tpm: must be greater than 0."),
        ("run: {timeout: 0}", "run.timeout: must be greater than 0."),
        ("run: {deadline: 0}", "run.deadline: must be greater than 0."),
        ("run: {max_failure_rate: 1.01}", "run.max_failure_rate: must be less than or equal to 1."),
        ("run: {max_failure_rate: -0.01}", "run.max_failure_rate: must be greater than or equal to 0."),
        ("run: {max_failure_rate: true}", "run.max_failure_rate: must be a number, not true or false."),
        ("output: {formats: csv}", "output.formats: must be a list, not text."),
        ("output: {formats: [cvs]}", "output.formats[0]: must be 'jsonl' or 'csv'; did you mean 'csv'?"),
        ("output: {formats: [xlsx]}", "output.formats[0]: must be 'jsonl' or 'csv'."),
        ("output: {formats: [1]}", "output.formats[0]: must be 'jsonl' or 'csv'."),
        ("output: {dir: 5}", "output.dir: must be text, the path of a file or folder."),
        ("output: {dir: ''}", "output.dir: must not be empty."),
        (
            "output: {dir: '${HOME}/runs'}",
            "output.dir: `${...}` is expanded in params only; write the value itself here.",
        ),
        ('output: {dir: "a\\0b"}', "output.dir: holds a NUL character, which no file name can have."),
        ('output: {dir: "a\\ud800b"}', "output.dir: holds a character that no file name can have."),
        ("plugins: {modules: ./m.py}", "plugins.modules: must be a list, not text."),
        ("plugins: {modules: [{a: b}]}", "plugins.modules[0]: must be text, the path of a file or folder."),
        ("plugins: {allow: acme}", "plugins.allow: must be a list, not text."),
        ("plugins: {allow: [on]}", "plugins.allow[0]: must be text, not true or false"),
        ("observers: metrics", "observers: must be a list, not text."),
    ],
)
def test_each_mistake_is_named_with_line_key_and_remedy(refused, line, said):
    message = refused(GOOD + line + "\n")

    assert message.startswith(f"run.yaml:3: {said}")
    assert "\n" not in message


@pytest.mark.parametrize(
    "value", ["batch_size: 1", "batch_size: 100000", "max_failure_rate: 0", "max_failure_rate: 1", "rpm: 0.5"]
)
def test_limits_may_be_as_wide_as_their_range(write, value):
    assert load_config(write(GOOD + f"run: {{{value}}}\n")).run.model_fields_set == {value.partition(":")[0]}


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ("[]", "models: must have at least one."),
        ("simulated", "models: must be a list, not text."),
        ("{name: simulated}", "models: must be a list, not a mapping."),
        ("[simulated]", "models[0]: must be a mapping (`key: value`), not text; write `name: ...` in it."),
        ("[{}]", "models[0]: a model needs `name`, or `model` (the plugin) with or without `name`."),
        ("[{params: {}}]", "models[0]: a model needs `name`"),
        ("[{name: 4}]", "models[0].name: must be text, not a number; put it in quotes."),
        ("[{name: '${MODEL}'}]", "models[0].name: `${...}` is expanded in params only"),
        ("[{name: x, model: ''}]", "models[0].model: must not be empty."),
        ("[{name: x, label: no}]", "models[0].label: must be text, not true or false"),
        (
            "[{name: x, temperature: 1}]",
            "models[0].temperature: unknown key; options of a model go under its `params`.",
        ),
        ("[{name: x, parms: {}}]", "models[0].parms: unknown key; did you mean 'params'?"),
        ("[{name: x, params: [a]}]", "models[0].params: must be a mapping (`key: value`), not a list."),
    ],
)
def test_each_mistake_in_a_model_is_named(refused, models, said):
    message = refused(f"prompts: [a]\nmodels: {models}\n")

    assert message.startswith(f"run.yaml:2: {said}")


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        ("", "prompts: must be a mapping (`key: value`), not empty."),
        ("[]", "prompts: the list of prompts is empty."),
        ("prompts.csv", "prompts: must be a list of prompts, or {file: ..., column: ...}."),
        ("5", "prompts: must be a mapping (`key: value`), not a number."),
        (
            "[a, 5]",
            "prompts[1]: must be text or a list of messages (`role`, `content`), not a number; put it in quotes.",
        ),
        ("[~]", "prompts[0]: must be text or a list of messages (`role`, `content`), not empty."),
        ("[[hello]]", "prompts[0]: must be text or a list of messages (`role`, `content`), not a list."),
        ("{items: a}", "prompts.items: must be a list, not text."),
        (
            "{items: [yes]}",
            "prompts.items[0]: must be text or a list of messages (`role`, `content`), not true or false",
        ),
        ("{}", "prompts: give `file`, or the prompts as a list."),
        ("{column: a}", "prompts: give `file`, or the prompts as a list."),
        ("{file: a, items: [b]}", "prompts: give `file` or `items`, not both."),
        ("{items: [b], format: csv}", "prompts: `format` belongs to a `file`."),
        ("{file: a, format: xlsx}", "prompts.format: must be 'csv', 'jsonl', 'txt' or 'yaml'."),
        ("{file: a, format: json}", "prompts.format: must be 'csv', 'jsonl', 'txt' or 'yaml'; did you mean 'jsonl'?"),
        ("{file: [a]}", "prompts.file: must be text, the path of a file or folder."),
        ("{file: a, colunm: b}", "prompts.colunm: unknown key; did you mean 'column'?"),
        ("{file: a, column: 5}", "prompts.column: must be text, not a number; put it in quotes."),
        (
            "{stored: {count: 3, sha256: ab}}",
            "prompts.stored: these prompts are in the journal of a run; resume that run",
        ),
    ],
)
def test_each_mistake_in_the_prompts_is_named(refused, prompts, said):
    message = refused(f"models: [{{name: simulated}}]\nprompts: {prompts}\n")

    assert message.startswith(f"run.yaml:2: {said}")
    assert "\n" not in message


def test_prompts_may_be_texts_messages_and_rows(write):
    config = load_config(
        write(
            """
models: [{name: simulated}]
prompts:
  - "Hello"
  - [{role: user, content: Hi}]
  - {prompt: Hey, topic: greeting}
  - "\\ud800 lone"
  - ""
"""
        )
    )

    assert config.prompts.items == [
        "Hello",
        [{"role": "user", "content": "Hi"}],
        {"prompt": "Hey", "topic": "greeting"},
        "\ud800 lone",
        "",
    ]


def test_lone_surrogates_survive_in_the_system_prompt(write):
    assert load_config(write(GOOD + 'system_prompt: "a\\ud800b"\n')).system_prompt == "a\ud800b"


def test_every_problem_is_listed_in_the_order_of_the_file(refused):
    message = refused(
        """
models:
  - nmae: simulated
    params: {a: 1, a: 2}
  - name: 4
prompts: {fil: x}
run:
  batch_size: lots
  rpm: 0
"""
    )

    assert message.splitlines() == [
        "6 problems in run.yaml:",
        "  run.yaml:3: models[0].nmae: unknown key; did you mean 'name'?",
        "  run.yaml:4: models[0].params.a: the key is given twice, first on line 4; keep one of them.",
        "  run.yaml:5: models[1].name: must be text, not a number; put it in quotes.",
        "  run.yaml:6: prompts.fil: unknown key; did you mean 'file'?",
        "  run.yaml:8: run.batch_size: must be a whole number, not text.",
        "  run.yaml:9: run.rpm: must be greater than 0.",
    ]


def test_of_very_many_problems_the_first_are_listed_and_the_rest_counted(refused):
    message = refused("models: [{name: x}]\nprompts:\n" + "  - 1\n" * 500)

    lines = message.splitlines()
    assert lines[0] == "500 problems in run.yaml:"
    assert lines[1].startswith("  run.yaml:3: prompts[0]: ")
    assert lines[-1] == "  ... and 480 more."
    assert len(lines) == 22


def test_twenty_problems_are_all_listed(refused):
    message = refused("models: [{name: x}]\nprompts:\n" + "  - 1\n" * 20)

    assert len(message.splitlines()) == 21
    assert "more" not in message


def test_problems_of_a_mapping_have_keys_and_no_lines():
    with pytest.raises(ConfigError) as caught:
        load_config({"models": [{"name": 4, "params": {1: 2}}], "prompts": ("a", 3)})

    assert str(caught.value).splitlines() == [
        "3 problems in config:",
        "  config: models[0].name: must be text, not a number; put it in quotes.",
        "  config: models[0].params[1]: a key must be text, not a number.",
        "  config: prompts[1]: must be text or a list of messages (`role`, `content`), not a number; put it in quotes.",
    ]


@pytest.mark.parametrize("deep", ["list", "dict", "cycle"])
def test_params_from_python_that_nest_without_end_are_refused(deep):
    value: list = []
    if deep == "cycle":
        value += [value, value, value]
    else:
        for _ in range(60):
            value = [value] if deep == "list" else {"a": value}

    with pytest.raises(ConfigError, match=r"models\[0\].params: nested more than 50 levels deep"):
        load_config({"models": [{"name": "x", "params": {"a": value}}], "prompts": ["a"]})


def test_a_config_cannot_be_changed_and_does_not_show_its_params():
    config = load_config({"models": [{"name": "x", "params": {"api_key": "sk-secret"}}], "prompts": ["a"]})

    with pytest.raises(ValueError, match="frozen"):
        config.name = "other"  # type: ignore[misc]
    assert "sk-secret" not in repr(config)


def test_formats_named_twice_are_written_once(write):
    assert load_config(write(GOOD + "output: {formats: [csv, jsonl, csv]}\n")).output.formats == ["csv", "jsonl"]
    assert load_config(write(GOOD + "output: {formats: []}\n")).output.formats == []
