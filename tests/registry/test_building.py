"""From a resolved name to an instance: ids, arguments and what goes wrong with them."""

from typing import Any, ClassVar

import pytest

from hivetrace_core import ConfigError, Model, ModelOptions, ModelSpec, ProviderModel, SecretStr, create_model
from hivetrace_core.registry import Registry, Resolved


class Base(Model):
    def invoke(self, prompt: Any) -> dict[str, Any]:
        return {"content": str(prompt)}


class Bare(Base):
    """No constructor of its own."""


class TakesModel(Base):
    def __init__(self, model: str = "unset", api_key: str = "", temperature: float = 1.0) -> None:
        self.given = model
        self.temperature = temperature


class TakesAnything(Base):
    def __init__(self, **options: Any) -> None:
        self.given = options


class TakesKey(Base):
    def __init__(self, api_key: str, custom_param: int = 0) -> None:
        self.given = (api_key, custom_param)


class Fails(Base):
    def __init__(self, api_key: str, model: str = "") -> None:
        raise RuntimeError(f"cannot log in\nwith {api_key}")


class StubOptions(ModelOptions):
    model: str = ""
    api_key: SecretStr = SecretStr("none")


class Stub(ProviderModel[StubOptions]):
    async def complete(self, client: Any, messages: Any) -> dict[str, Any]:
        return {"content": self.options.model}


class DefaultedOptions(ModelOptions):
    model: str = "stub-1"


class Defaulted(ProviderModel[DefaultedOptions]):
    async def complete(self, client: Any, messages: Any) -> dict[str, Any]:
        return {"content": self.options.model}


@pytest.fixture
def registry() -> Registry:
    registry = Registry(allow=[])
    for model_class in (Bare, TakesModel, TakesAnything, TakesKey, Fails, Stub, Defaulted):
        registry.register(model_class.__name__, model_class)
    return registry


def make(registry: Registry, params: dict[str, Any] | None = None, **entry: Any) -> Any:
    return registry.resolve(**entry).build(params)


def test_a_custom_class_gets_its_name_as_model_if_it_takes_one(registry: Registry) -> None:
    assert make(registry, name="takesmodel").given == "takesmodel"
    assert make(registry, name="TakesModel").given == "TakesModel"
    assert make(registry, {"api_key": "k", "temperature": 0}, name="takesmodel").temperature == 0


def test_a_custom_class_that_takes_none_gets_none(registry: Registry) -> None:
    assert make(registry, {"api_key": "k", "custom_param": 2}, name="takeskey").given == ("k", 2)
    assert make(registry, name="takesanything").given == {}
    assert isinstance(make(registry, name="bare"), Bare)


def test_an_explicit_id_reaches_a_custom_class_that_can_take_it(registry: Registry) -> None:
    assert make(registry, model="TakesModel", name="x").given == "x"
    assert make(registry, name="takesmodel/x").given == "x"
    assert make(registry, model="TakesAnything", name="x").given == {"model": "x"}


def test_an_explicit_id_that_cannot_be_passed_is_an_error(registry: Registry) -> None:
    for model_class in ("TakesKey", "Bare"):
        with pytest.raises(ConfigError, match=f"{model_class}, registered as .* takes no argument 'model'"):
            make(registry, {"api_key": "k"}, model=model_class, name="x")

    assert isinstance(make(registry, model="bare", name="Bare"), Bare)


def test_the_id_may_come_from_the_params(registry: Registry) -> None:
    assert make(registry, {"model": "x"}, name="takesmodel").given == "x"
    assert make(registry, {"model": "x"}, model="takesmodel", name="x").given == "x"
    assert make(registry, {"model": None}, name="takesmodel").given == "takesmodel"


def test_two_different_ids_are_an_error(registry: Registry) -> None:
    with pytest.raises(ConfigError, match="got two ids: 'y' from the name and 'x' from the param 'model'"):
        make(registry, {"model": "x"}, model="takesmodel", name="y")


def test_an_argument_that_a_custom_class_does_not_take_is_an_error_with_a_suggestion(registry: Registry) -> None:
    with pytest.raises(ConfigError, match=r"unexpected keyword argument 'temprature'; did you mean 'temperature'\?"):
        make(registry, {"temprature": 0}, name="takesmodel")
    with pytest.raises(ConfigError, match=r"missing a required argument: 'api_key'\. It takes api_key, custom_param\."):
        make(registry, name="takeskey")
    with pytest.raises(ConfigError, match=r"unexpected keyword argument 'x'\. It takes no arguments\."):
        make(registry, {"x": 1}, name="bare")


def test_a_bare_class_stays_right_after_its_first_instance(registry: Registry) -> None:
    """A protocol's constructor changes its signature when it is first called."""
    for _ in range(2):
        assert isinstance(make(registry, name="bare"), Bare)
        with pytest.raises(ConfigError, match="takes no arguments"):
            make(registry, {"x": 1}, name="bare")


def test_a_constructor_that_fails_is_a_config_error_without_the_key(registry: Registry) -> None:
    with pytest.raises(ConfigError) as caught:
        make(registry, {"api_key": "sk-1234567890"}, name="fails")

    assert str(caught.value) == (
        "Fails of 'fails', registered by this process as Fails could not be created: "
        "RuntimeError: cannot log in with ***."
    )


def test_a_registered_provider_gets_its_name_as_id_unless_its_options_have_one(registry: Registry) -> None:
    assert make(registry, name="stub").options.model == "stub"
    assert make(registry, name="stub/x").options.model == "x"
    assert make(registry, name="defaulted").options.model == "stub-1"
    assert make(registry, name="defaulted/x").options.model == "x"


def test_a_provider_knows_the_name_it_was_found_by(registry: Registry) -> None:
    registry.register("another-name", Stub)

    assert make(registry, name="another-name").provider == "another-name"
    assert make(registry, name="stub").provider == "stub"


def test_a_registered_provider_has_options_and_a_custom_class_has_none(registry: Registry) -> None:
    assert registry.resolve(name="stub").options_class() is StubOptions
    assert registry.resolve(name="takesmodel").options_class() is None


def test_wrong_options_are_a_config_error(registry: Registry) -> None:
    with pytest.raises(ConfigError, match="did you mean 'api_key'"):
        create_model("stub", registry=registry, api_kee="x")


def plugin(**fields: Any) -> Resolved:
    spec = ModelSpec(name="acme", model="acme.model:AcmeModel", **fields)
    return Resolved(spec=spec, distribution="hivetrace-acme", version="1.0")


def test_a_plugins_id_goes_under_its_option_for_it() -> None:
    from dataclasses import replace

    found = replace(plugin(id_option="model_path"), id="a.gguf", id_given=True)

    assert found.params_with_id({"n_ctx": 1, "model": "x"}) == {"model_path": "a.gguf", "n_ctx": 1, "model": "x"}
    assert found.id_for({}) == "a.gguf"
    assert found.id_for({"model_path": "b.gguf"}) == "b.gguf"
    assert [found.id_for({"model_path": value}) for value in ("", None, 5)] == ["a.gguf"] * 3


def test_params_with_id_leaves_the_callers_dict_alone_and_may_be_repeated() -> None:
    from dataclasses import replace

    found = replace(plugin(default_id="a"), id="a")
    params: dict[str, Any] = {"temperature": 0}
    once = found.params_with_id(params)

    assert params == {"temperature": 0}
    assert found.params_with_id(once) == once == {"model": "a", "temperature": 0}


def test_a_param_beats_the_plugins_default_id() -> None:
    from dataclasses import replace

    found = replace(plugin(default_id="a"), id="a")

    assert found.params_with_id({"model": "b"}) == {"model": "b"}
    assert found.id_for({"model": "b"}) == "b"


def test_a_plugin_without_an_id_says_how_to_write_one() -> None:
    with pytest.raises(ConfigError) as caught:
        plugin().params_with_id({})

    assert str(caught.value) == (
        "Plugin 'acme' of hivetrace-acme 1.0 has no default model, so the name must say which: write 'name: acme/ID' "
        "(or 'model: acme' and 'name: ID') with the provider's own id."
    )
    assert plugin().params_with_id({"model": "x"}) == {"model": "x"}


class Odd:
    """A class whose constructor has no signature to read."""

    __signature__: ClassVar[str] = "unreadable"

    def invoke(self, prompt: Any) -> dict[str, Any]:
        return {"content": "odd"}


def test_a_class_without_a_readable_signature_is_simply_called() -> None:
    registry = Registry(allow=[])
    registry.register("odd", Odd)

    assert make(registry, name="odd").invoke("x") == {"content": "odd"}
    with pytest.raises(ConfigError, match="could not be created: TypeError"):
        make(registry, {"x": 1}, name="odd")


def test_a_constructor_that_exits_does_not_end_the_process() -> None:
    class Exits(Base):
        def __init__(self) -> None:
            raise SystemExit(0)

    registry = Registry()
    registry.register("exits", Exits)

    with pytest.raises(ConfigError, match=r"Exits of .* could not be created"):
        registry.resolve(model=None, name="exits").build()
