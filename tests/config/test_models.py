"""From a config to models: names resolved, params checked by the model's own options, nothing heavy imported."""

import sys
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator
from typing_extensions import TypedDict

from hivetrace_core import (
    ConfigError,
    Model,
    ModelOptions,
    ProviderModel,
    SecretStr,
    UnknownModelError,
    from_env,
    load_config,
)
from hivetrace_core.config import ConfiguredModel, UncheckedModel, configure
from hivetrace_core.registry import Registry

PROMPTS = "prompts: [a]\n"


class Rule(BaseModel):
    model_config = {"extra": "forbid"}

    match: str = ""
    share: float = 1.0


class Typed(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")

    a: int


class AcmeOptions(ModelOptions):
    api_key: SecretStr = from_env("ACME_API_KEY")
    base_url: str = "https://api.acme.example"
    temperature: float | None = None
    stop: str | list[str] | None = None
    api_version: str | None = None
    rules: list[Rule] = Field(default_factory=list)
    alias: str | SecretStr | None = None
    flag: bool = False
    typed: Typed | None = None

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if value == "refuse":
            raise ConfigError("no such place")
        if value == "crash":
            raise TypeError("a mistake in the plugin")
        if not value.startswith("http"):
            raise ValueError(f"must begin with http, and {value} does not")
        return value


class AcmeModel(ProviderModel[AcmeOptions]):
    async def complete(self, client: Any, messages: Any) -> dict[str, Any]:
        return {"content": "acme"}


class Custom(Model):
    def __init__(self, **given: Any) -> None:
        self.given = given

    async def ainvoke(self, prompt: Any) -> dict[str, Any]:
        return {"content": "custom"}


class Watcher:
    def hivetrace_request_started(self, event: Any) -> None: ...


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setenv("ACME_API_KEY", "sk-from-environment")
    registry = Registry()
    registry.register("acme", AcmeModel)
    registry.register("my-custom-model", Custom)
    return registry


@pytest.fixture
def configured(write, registry):
    def configured(models: str, rest: str = "") -> list[ConfiguredModel]:
        return configure(load_config(write(f"models:\n{models}\n{PROMPTS}{rest}")), registry)

    return configured


@pytest.fixture
def said(configured):
    def said(models: str, rest: str = "") -> str:
        with pytest.raises(ConfigError) as caught:
            configured(models, rest)
        return str(caught.value)

    return said


def test_a_provider_gets_validated_options_and_its_id(configured):
    [model] = configured("  - {name: acme/acme-1, params: {temperature: 0}}")

    assert model.label == "acme/acme-1"
    assert model.resolved.name == "acme"
    assert model.params == {"model": "acme-1", "temperature": 0}
    assert isinstance(model.options, AcmeOptions)
    assert (model.options.model, model.options.temperature) == ("acme-1", 0.0)


def test_it_can_be_built(configured):
    [model] = configured("  - {name: acme/acme-1}")

    built = model.build()

    assert isinstance(built, AcmeModel)
    assert built.options == model.options
    assert built.provider == "acme"
    assert built.observers is None


def test_a_custom_model_gets_its_params_and_nothing_else(configured):
    [model] = configured(
        "  - {name: my-custom-model, params: {custom_param: 1, batch_size: x}}", "run: {batch_size: 3, rpm: 60}\n"
    )

    assert model.label == "my-custom-model"
    assert model.options is None
    assert "rpm" not in model.params
    assert (model.params["custom_param"], model.params["batch_size"]) == (1, "x")
    assert (model.limits.batch_size, model.limits.rpm) == (3, 60)
    assert model.build().given["custom_param"] == 1


def test_run_limits_are_defaults_of_each_provider_and_its_params_win(configured):
    limits = "run: {batch_size: 3, rpm: 60, tpm: 1000, timeout: 7, max_attempts: 2, deadline: 9}\n"
    first, second, third = configured(
        "  - {name: acme/a}\n"
        "  - {name: acme/b, params: {rpm: 5, timeout: null}}\n"
        "  - {name: acme/c, params: {max_concurrency: 2}}",
        limits,
    )

    assert first.params == {
        "model": "a",
        "batch_size": 3,
        "rpm": 60,
        "tpm": 1000,
        "timeout": 7,
        "max_attempts": 2,
        "deadline": 9,
    }
    assert (second.options.rpm, second.options.timeout, second.options.batch_size) == (5, None, 3)
    assert (third.options.max_concurrency, third.options.batch_size) == (2, 3)


def test_without_run_limits_the_provider_has_its_own_defaults(configured):
    [model] = configured("  - {name: acme/a}")

    assert model.params == {"model": "a"}
    assert model.options.batch_size == ModelOptions.model_fields["batch_size"].default


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ("{temprature: 0}", ".temprature: unknown option; did you mean 'temperature'?"),
        ("{zzz: 0}", ".zzz: unknown option; known are alias, api_key, api_version, base_url, batch_size"),
        ("{temperature: hot}", ".temperature: must be a valid number, unable to parse string as a number."),
        ("{temperature: true}", ".temperature: must be a number, not true or false."),
        ("{batch_size: true}", ".batch_size: must be a number, not true or false."),
        ("{batch_size: 0}", ".batch_size: must be greater than or equal to 1."),
        ("{api_version: 1.0}", ".api_version: must be text, not a number; put it in quotes."),
        ("{api_key: 12345}", ".api_key: must be text, not a number; put it in quotes."),
        ("{stop: 5}", ".stop: must be text, not a number; put it in quotes; must be a list, not a number."),
        ("{stop: [a, 5]}", ".stop[1]: must be text, not a number; put it in quotes."),
        ("{rules: [{macth: x}]}", ".rules[0].macth: unknown key; did you mean 'match'?"),
        ("{rules: [{share: true}]}", ".rules[0].share: must be a number, not true or false."),
        ("{base_url: refuse}", ": no such place."),
        ("{alias: 5}", ".alias: must be text, not a number; put it in quotes."),
        ("{flag: 5}", ".flag: must be a valid boolean, unable to interpret input"),
        ("{typed: {a: 1, b: 1}}", ".typed.b: unknown key; remove it."),
        ("{typed: {}}", ".typed: `a` is missing."),
        ("{rules: 5}", ".rules: must be a list, not a number."),
        ("{base_url: ftp://x}", ".base_url: must begin with http, and ftp://x does not."),
        ("{base_url: crash}", ": AcmeOptions could not check these params (TypeError); report it to its author."),
        ("{base_url: '${NO_SUCH_VARIABLE}'}", ".base_url: the environment variable NO_SUCH_VARIABLE is not set"),
        ("{base_url: 'http://${x'}", ".base_url: `${` begins a variable, as in ${NAME}"),
        ("{model: other}", ""),
    ],
)
def test_each_wrong_param_is_named_with_its_line(said, params, problem):
    message = said(f"  - name: acme/a\n    params: {params}")

    if not problem:
        assert "two ids" in message
    else:
        assert message.startswith(f"run.yaml:3: models[0].params{problem}")


def test_mistakes_of_several_models_come_in_one_error(said):
    message = said(
        """
  - name: acme/a
    params: {temprature: 0, batch_size: 0}
  - name: nobody-has-this
  - {name: acme/b, params: {base_url: "${NO_SUCH_VARIABLE}", zzz: 1}}
  - {name: acme/c, label: x}
  - {name: acme/d, label: x}
""",
        "observers: [nobody]\n",
    )

    places = [line.split(": ")[:2] for line in message.splitlines()]
    assert places == [
        ["7 problems in run.yaml:"],
        ["  run.yaml:4", "models[0].params.temprature"],
        ["  run.yaml:4", "models[0].params.batch_size"],
        ["  run.yaml:5", "models[1].name"],
        ["  run.yaml:6", "models[2].params.base_url"],
        ["  run.yaml:6", "models[2].params.zzz"],
        ["  run.yaml:8", "models[4].label"],
        ["  run.yaml:11", "observers[0]"],
    ]


def test_a_missing_key_names_the_param_and_the_variable_beside_other_mistakes(said, monkeypatch):
    monkeypatch.delenv("ACME_API_KEY")

    message = said("  - name: acme/a\n    params: {temprature: 0}")

    assert message.splitlines()[1:] == [
        "  run.yaml:3: models[0].params.temprature: unknown option; did you mean 'temperature'?",
        "  run.yaml:3: models[0].params: api_key is missing: pass api_key=... or set ACME_API_KEY.",
    ]


def test_a_limit_that_a_provider_refuses_is_shown_under_run(said, registry):
    class Narrow(AcmeModel):
        pass

    class NarrowOptions(AcmeOptions):
        rpm: int | None = None

    Narrow.options_class = NarrowOptions
    registry.register("narrow", Narrow)

    assert said("  - {name: narrow/a}", "run:\n  rpm: 0.5\n").startswith("run.yaml:5: run.rpm: must be a whole number.")
    assert said("  - {name: narrow/a, params: {rpm: 0.5}}", "run:\n  rpm: 1\n").startswith(
        "run.yaml:2: models[0].params.rpm"
    )


def test_an_unknown_model_keeps_its_cause_where_it_is_the_only_problem(configured):
    with pytest.raises(ConfigError, match=r"^run\.yaml:3: models\[0\]\.model: .*'amce'") as caught:
        configured("  - name: a\n    model: amce")

    assert isinstance(caught.value.__cause__, UnknownModelError)


def test_a_name_with_two_readings_is_told_with_its_line(said):
    assert said("  - name: ACME/a").startswith("run.yaml:2: models[0].name: ")


def test_an_options_class_may_take_any_name(configured, registry):
    class OpenOptions(AcmeOptions):
        model_config = ConfigDict(extra="allow")

    class Open(AcmeModel):
        options_class = OpenOptions

    registry.register("open", Open)

    [model] = configured("  - {name: open/a, params: {anything: 1, flag: true}}")

    assert model.options.anything == 1
    assert model.options.flag is True


def test_two_models_of_one_name_need_labels(said, configured):
    assert said("  - {name: acme/a}\n  - {model: acme, name: a}") == (
        "run.yaml:3: models[1]: models[0] is called 'acme/a', too; give one of them a `label`."
    )
    assert said("  - {name: acme/a}\n  - {name: acme/b, label: acme/a}") == (
        "run.yaml:3: models[1].label: models[0] is called 'acme/a', too; a label must be unique."
    )

    models = configured("  - {name: acme/a}\n  - {name: acme/a, label: again}\n  - {name: acme/b}")
    assert [model.label for model in models] == ["acme/a", "again", "acme/b"]


def test_the_id_may_come_from_the_params(configured):
    [model] = configured("  - {model: acme, params: {model: acme-2}}")

    assert model.label == "acme/acme-2"
    assert model.options.model == "acme-2"


def test_variables_reach_the_model_and_become_numbers_where_numbers_are_due(configured, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-from-my-variable")
    monkeypatch.setenv("MY_RPM", "30")

    [model] = configured("  - {name: acme/a, params: {api_key: '${MY_KEY}', rpm: '${MY_RPM}'}}")

    assert model.options.api_key.get_secret_value() == "sk-from-my-variable"
    assert model.options.rpm == 30


def test_secrets_are_collected_from_params_variables_and_the_environment(configured, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "token-0123")

    first, second = configured(
        "  - {name: acme/a, params: {base_url: 'http://me:pa55word@host'}}\n"
        "  - {name: my-custom-model, params: {auth: {token: 'Bearer ${MY_TOKEN}'}}}"
    )

    assert set(first.secrets) == {"sk-from-environment", "pa55word"}
    assert set(second.secrets) == {"Bearer token-0123", "token-0123"}
    for model in (first, second):
        assert not any(secret in repr(model) for secret in model.secrets)


def test_no_message_repeats_a_secret(said):
    message = said("  - {name: acme/a, params: {api_key: verysecretvalue, base_url: verysecretvalue}}")

    assert message.endswith("models[0].params.base_url: must begin with http, and *** does not.")


def test_no_message_repeats_a_secret_of_another_model(said):
    message = said("  - {name: acme/a}\n  - {name: acme/b, params: {base_url: sk-from-environment}}")

    assert message.endswith("models[1].params.base_url: must begin with http, and *** does not.")


def test_observers_are_given_to_providers_only(write, registry, tmp_path):
    module = """
from hivetrace_core import hookimpl

@hookimpl
def hivetrace_request_started(event):
    pass
"""
    write(module, "watcher.py")
    config = load_config(
        write(
            "models: [{name: acme/a}, {name: my-custom-model}]\nprompts: [a]\n"
            "plugins: {modules: [watcher.py]}\nobservers: [watcher]\n"
        )
    )

    provider, custom = configure(config, registry)

    assert len(provider.observers.started) == 1
    assert provider.build().observers is provider.observers
    assert custom.observers is provider.observers
    assert isinstance(custom.build(), Custom)


LIGHT = """
from pathlib import Path
from hivetrace_core import ModelOptions, ModelSpec, hookimpl

Path("executed").write_text("yes")

class Options(ModelOptions):
    colour: str = "red"

@hookimpl
def hivetrace_models():
    yield ModelSpec(
        name="heavy", model="sdk_that_is_not_here.model:HeavyModel", options="my_models:Options", default_id="h1"
    )
"""


def test_params_are_validated_without_importing_the_model(write, registry):
    write(LIGHT, "my_models.py")
    text = "models: [{name: heavy, params: {COLOUR: 1}}]\nprompts: [a]\nplugins: {modules: [./my_models.py]}\n"

    [model] = configure(load_config(write(text.replace("COLOUR: 1", "colour: blue"))), registry)
    with pytest.raises(ConfigError, match=r"models\[0\]\.params\.colou: unknown option; did you mean 'colour'"):
        configure(load_config(write(text.replace("COLOUR", "colou"))), registry)

    assert model.label == "heavy/h1"
    assert model.options.colour == "blue"
    assert "sdk_that_is_not_here" not in sys.modules


def test_a_check_executes_no_module_and_says_what_it_could_not_check(write, registry, tmp_path):
    write(LIGHT, "my_models.py")
    config = load_config(
        write(
            "models: [{name: heavy, params: {x: 1}}, {model: heavy, name: h2}, {name: acme/a}]\nprompts: [a]\n"
            "plugins: {modules: [./my_models.py]}\nobservers: [my_models]\n"
        )
    )

    first, second, third = configure(config, registry, execute_modules=False)

    reason = "Not checked: only my_models.py could define this model, and a check executes no files."
    assert first == UncheckedModel("heavy", reason)
    assert second == UncheckedModel("heavy/h2", reason)
    assert isinstance(third, ConfiguredModel)
    assert not (tmp_path / "executed").exists()


def test_a_check_without_modules_refuses_unknown_names(write, registry):
    config = load_config(write("models: [{name: heavy}]\nprompts: [a]\n"))

    with pytest.raises(ConfigError, match=r"^run\.yaml:1: models\[0\]\.name: "):
        configure(config, registry, execute_modules=False)


def test_a_check_still_finds_other_mistakes_and_equal_labels(write, registry):
    write("", "my_models.py")
    config = load_config(
        write(
            "models: [{name: heavy}, {name: x, label: heavy}, {name: acme/a, params: {zzz: 1}}]\nprompts: [a]\n"
            "plugins: {modules: [./my_models.py, ./absent.py]}\n"
        )
    )

    with pytest.raises(ConfigError) as caught:
        configure(config, registry, execute_modules=False)

    assert [line.split(": ")[1] for line in str(caught.value).splitlines()[1:]] == [
        "models[1].label",
        "models[2].params.zzz",
        "plugins.modules[1]",
    ]


@pytest.mark.parametrize("execute", [True, False])
def test_a_module_that_is_not_there_is_named(write, registry, execute):
    config = load_config(write("models: [{name: acme/a}]\nprompts: [a]\nplugins:\n  modules: [./absent.py]\n"))

    with pytest.raises(ConfigError, match=r"^run\.yaml:4: plugins\.modules\[0\]: there is no file '/.*absent\.py'"):
        configure(config, registry, execute_modules=execute)


def test_a_module_that_fails_is_the_only_thing_reported(write, registry):
    write("raise ValueError('no')", "my_models.py")
    config = load_config(write("models: [{name: heavy}]\nprompts: [a]\nplugins: {modules: [./my_models.py]}\n"))

    with pytest.raises(ConfigError) as caught:
        configure(config, registry)

    assert str(caught.value).startswith("run.yaml:3: plugins.modules[0]: ")
    assert "\n" not in str(caught.value)


def test_what_a_module_registers_stays_in_its_run(write, registry):
    write(
        "from hivetrace_core import Model, register_model\n"
        "class Mine(Model):\n    def invoke(self, prompt):\n        return {'content': 'mine'}\n"
        "register_model('mine', Mine)\n",
        "my_models.py",
    )
    config = load_config(write("models: [{name: mine}]\nprompts: [a]\nplugins: {modules: [./my_models.py]}\n"))

    [model] = configure(config, registry)
    again = configure(config, registry)

    assert model.build().invoke("x")["content"] == "mine"
    assert again[0].label == "mine"
    with pytest.raises(UnknownModelError):
        registry.resolve(name="mine")


def test_the_allow_list_narrows_what_is_installed(write):
    config = load_config(write("models: [{name: simulated}]\nprompts: [a]\nplugins: {allow: [some-other-plugin]}\n"))

    with pytest.raises(ConfigError, match="allow"):
        configure(config, Registry())


def test_the_registry_of_the_process_is_the_default(write):
    [model] = configure(load_config(write("models: [{name: simulated}]\nprompts: [a]\n")))

    assert model.resolved.qualified == "hivetrace-core:simulated"
    assert model.label == "simulated/simulated"
