"""What a name in a config means. The plugins come from a config's module, so that one process can try many names."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core import ConfigError, NameConflictError, UnknownModelError
from hivetrace_core.registry import Registry

MODULE = """
from hivetrace_core import Model, ModelSpec, hookimpl, register_model

class AcmeModel(Model):
    async def ainvoke(self, prompt):
        return {"content": prompt}

class RivalModel(AcmeModel): pass
class SoundModel(AcmeModel): pass
class SharedModel(AcmeModel): pass

@hookimpl
def hivetrace_models():
    here = __name__
    claims = ("acme-*", "both-*", "Sound*", "!acme-oss*")
    yield ModelSpec(name="acme", model=f"{here}:AcmeModel", claims=claims, default_id="acme-1")
    yield ModelSpec(name="rival-ai", model=f"{here}:RivalModel", claims=("rival-*", "both-*", "qwen*"))
    yield ModelSpec(name="sound", model=f"{here}:SoundModel", default_id="Sound-2")
    yield ModelSpec(name="shared-1", model=f"{here}:SharedModel")
    yield ModelSpec(name="shared-2", model=f"{here}:SharedModel")

register_model("my-custom-model", AcmeModel)
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    file = tmp_path_factory.mktemp("names") / "some_models.py"
    file.write_text(MODULE)
    registry = Registry(allow=[])
    registry.load_module(file)
    return registry


def meaning(registry: Registry, **entry: Any) -> tuple[str, str | None]:
    found = registry.resolve(**entry)
    return found.name, found.id


def test_a_plugin_and_an_id(registry: Registry) -> None:
    assert meaning(registry, model="acme", name="anything at all/:x") == ("acme", "anything at all/:x")


def test_a_plugin_alone_uses_its_default(registry: Registry) -> None:
    assert meaning(registry, model="acme") == ("acme", "acme-1")
    assert meaning(registry, name="acme") == ("acme", "acme-1")
    assert not registry.resolve(name="acme").id_given


def test_a_plugin_without_a_default_has_no_id(registry: Registry) -> None:
    assert meaning(registry, name="rival-ai") == ("rival-ai", None)


def test_plugin_names_fold_case_and_underscores(registry: Registry) -> None:
    assert meaning(registry, model="Rival_AI", name="x") == ("rival-ai", "x")
    assert meaning(registry, name="ACME") == ("acme", "acme-1")
    assert meaning(registry, name="rival_ai/x") == ("rival-ai", "x")


def test_a_qualified_name(registry: Registry) -> None:
    assert meaning(registry, model="registered:acme", name="x") == ("acme", "x")
    assert meaning(registry, name="registered:acme/x") == ("acme", "x")
    assert meaning(registry, name="Registered:Acme/x") == ("acme", "x")
    assert registry.resolve(name="acme").qualified == "registered:acme"


def test_what_is_qualified_can_be_resolved_again(registry: Registry) -> None:
    for name in ("acme", "rival-ai", "my-custom-model"):
        qualified = registry.resolve(name=name).qualified

        assert registry.resolve(model=qualified).name == name
        assert registry.resolve(name=qualified).name == name


def test_a_class_name(registry: Registry) -> None:
    found = registry.resolve(model="RivalModel", name="x")

    assert (found.name, found.id) == ("rival-ai", "x")
    assert "class 'RivalModel' is plugin 'rival-ai' of some_models.py" in found.how


def test_class_names_are_exact(registry: Registry) -> None:
    with pytest.raises(UnknownModelError, match="Did you mean 'RivalModel'"):
        registry.resolve(model="rivalmodel")


def test_a_plugins_class_that_was_also_registered_by_hand_is_still_the_plugins(registry: Registry) -> None:
    assert meaning(registry, model="AcmeModel", name="x") == ("acme", "x")


def test_a_class_of_two_plugins_is_a_conflict(registry: Registry) -> None:
    with pytest.raises(NameConflictError) as caught:
        registry.resolve(model="SharedModel")

    assert str(caught.value) == (
        "The class 'SharedModel' is offered by plugin 'shared-1' of some_models.py and plugin 'shared-2' of "
        "some_models.py. Say which one is meant: write 'registered:shared-1' or 'registered:shared-2' instead."
    )


def test_a_class_name_is_read_in_model_only(registry: Registry) -> None:
    with pytest.raises(UnknownModelError):
        registry.resolve(name="RivalModel")
    with pytest.raises(UnknownModelError):
        registry.resolve(name="RivalModel/x")


def test_an_id_that_one_plugin_claims(registry: Registry) -> None:
    found = registry.resolve(name="acme-7")

    assert (found.name, found.id, found.id_given) == ("acme", "acme-7", True)
    assert found.how == "'acme-7' is claimed by plugin 'acme' of some_models.py (acme-*)"


def test_an_id_that_two_plugins_claim_names_both(registry: Registry) -> None:
    with pytest.raises(NameConflictError) as caught:
        registry.resolve(name="both-1")

    assert str(caught.value) == (
        "The model id 'both-1' is claimed by plugin 'acme' of some_models.py and plugin 'rival-ai' of some_models.py. "
        "Say which one is meant: write 'acme/both-1' or 'rival-ai/both-1'."
    )


def test_an_id_that_nobody_claims(registry: Registry) -> None:
    with pytest.raises(UnknownModelError) as caught:
        registry.resolve(name="gamma-3")

    message = str(caught.value)
    assert (
        "No installed plugin or registered model is called 'gamma-3', and no plugin claims it as a model id." in message
    )
    assert "If it is a provider's own id, write the provider before it: 'PROVIDER/gamma-3'." in message


def test_an_excluded_family_is_not_claimed(registry: Registry) -> None:
    with pytest.raises(UnknownModelError):
        registry.resolve(name="acme-oss-20b")


def test_ids_keep_their_case_and_a_wrong_one_is_hinted_at(registry: Registry) -> None:
    with pytest.raises(UnknownModelError, match="'acme-7' would be claimed by plugin 'acme'"):
        registry.resolve(name="Acme-7")


def test_an_id_with_a_colon_stays_whole(registry: Registry) -> None:
    assert meaning(registry, name="qwen3:0.6b") == ("rival-ai", "qwen3:0.6b")
    assert meaning(registry, name="acme/qwen3:0.6b") == ("acme", "qwen3:0.6b")


def test_the_first_segment_is_the_plugin_and_the_rest_is_its_id(registry: Registry) -> None:
    assert meaning(registry, name="acme/openish/x-1") == ("acme", "openish/x-1")
    assert meaning(registry, name="acme//x") == ("acme", "/x")


def test_a_name_with_a_slash_never_reaches_claims(registry: Registry) -> None:
    with pytest.raises(UnknownModelError) as caught:
        registry.resolve(name="acme-9/x")

    message = str(caught.value)
    assert (
        "The name 'acme-9/x' starts with 'acme-9', and no installed plugin or registered model is called that."
        in message
    )
    assert "Did you mean 'acme'?" in message
    assert "'PROVIDER/acme-9/x'" in message


def test_a_first_segment_that_fits_but_for_case_offers_both_readings(registry: Registry) -> None:
    with pytest.raises(NameConflictError) as caught:
        registry.resolve(name="Acme/Acme-2-Max")

    assert str(caught.value) == (
        "The name 'Acme/Acme-2-Max' can be read in two ways. If 'acme' is the plugin and 'Acme-2-Max' its model, write "
        "'acme/Acme-2-Max'. If the whole of 'Acme/Acme-2-Max' is some provider's own id, write that provider before "
        "it: 'PROVIDER/Acme/Acme-2-Max'."
    )


def test_both_readings_work_as_offered(registry: Registry) -> None:
    assert meaning(registry, name="acme/Acme-2-Max") == ("acme", "Acme-2-Max")
    assert meaning(registry, name="rival-ai/Acme/Acme-2-Max") == ("rival-ai", "Acme/Acme-2-Max")


def test_a_lone_name_that_but_for_case_is_a_plugin_and_is_a_claimed_id_offers_both_readings(registry: Registry) -> None:
    with pytest.raises(NameConflictError) as caught:
        registry.resolve(name="Sound")

    assert str(caught.value) == (
        "The name 'Sound' can be read in two ways. For the default model (Sound-2) of plugin 'sound' of "
        "some_models.py, write 'sound'. For the model whose id is 'Sound', write 'acme/Sound'."
    )
    assert meaning(registry, name="sound") == ("sound", "Sound-2")
    assert meaning(registry, name="SOUND") == ("sound", "Sound-2")


def test_a_registered_class_on_its_own_gets_its_name_as_it_was_written(registry: Registry) -> None:
    assert meaning(registry, name="my-custom-model") == ("my-custom-model", "my-custom-model")
    assert meaning(registry, name="My_Custom_Model") == ("my-custom-model", "My_Custom_Model")
    assert meaning(registry, model="my-custom-model", name="x") == ("my-custom-model", "x")
    assert registry.resolve(name="my-custom-model").registered is not None


def test_an_id_after_the_slash_is_required(registry: Registry) -> None:
    with pytest.raises(ConfigError, match="'acme/' ends at the slash: write the model's id after it, as in 'acme/ID'"):
        registry.resolve(name="acme/")


@pytest.mark.parametrize(
    "entry", [{"model": ""}, {"name": " "}, {"model": 4}, {"name": 4.1}, {"model": "acme", "name": ""}]
)
def test_empty_names_and_numbers_are_refused(registry: Registry, entry: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="must be the name of a model"):
        registry.resolve(**entry)


def test_nothing_at_all_is_refused(registry: Registry) -> None:
    with pytest.raises(ConfigError, match=r"'model' .*, 'name' .*, or both"):
        registry.resolve()


def test_a_typo_in_a_plugin_name_is_hinted_at(registry: Registry) -> None:
    with pytest.raises(UnknownModelError, match=r"is called 'acmee'\. Did you mean 'acme' or 'AcmeModel'\?"):
        registry.resolve(model="acmee", name="x")


def test_plugin_and_id_under_model_says_where_they_belong(registry: Registry) -> None:
    with pytest.raises(UnknownModelError, match=r"For 'plugin/id' write 'name: acme/x' without 'model'\."):
        registry.resolve(model="acme/x")


def test_an_unknown_distribution_says_who_has_the_name(registry: Registry) -> None:
    with pytest.raises(UnknownModelError, match="No installed distribution 'nobody' has a plugin 'acme'"):
        registry.resolve(model="nobody:acme", name="x")


def test_each_way_of_resolving_says_how(registry: Registry) -> None:
    assert registry.resolve(model="acme", name="x").how == "'acme' is plugin 'acme' of some_models.py"
    assert registry.resolve(name="acme").how.endswith("with its default model 'acme-1'")
    assert registry.resolve(name="acme/x").how == "'acme/x' is the model 'x' of plugin 'acme' of some_models.py"
    assert registry.resolve(name="my-custom-model").how == (
        "'my-custom-model' is 'my-custom-model', registered by some_models.py as AcmeModel"
    )


def test_spec_takes_names_and_qualified_names_only(registry: Registry) -> None:
    assert registry.spec("Acme").name == registry.spec("registered:acme").name == "acme"
    for other in ("AcmeModel", "acme/x", "acme-1", "other:acme"):
        with pytest.raises(UnknownModelError):
            registry.spec(other)


PLUGINS = ["acme", "rival-ai", "sound", "my-custom-model"]


@given(plugin=st.sampled_from(PLUGINS), rest=st.text(min_size=1))
def test_whatever_follows_the_first_slash_is_the_id_untouched(registry: Registry, plugin: str, rest: str) -> None:
    assert meaning(registry, name=f"{plugin}/{rest}") == (plugin, rest)
    assert meaning(registry, name=f"registered:{plugin}/{rest}") == (plugin, rest)
    if rest.strip():
        assert meaning(registry, model=plugin, name=rest) == (plugin, rest)


@given(plugin=st.sampled_from(PLUGINS), rest=st.text(min_size=1), data=st.data())
def test_case_in_the_first_segment_is_always_an_error_and_underscores_never(
    registry: Registry, plugin: str, rest: str, data: st.DataObject
) -> None:
    spelt = "".join(
        data.draw(st.sampled_from([c, c.upper(), "_" if c == "-" else c]), label="character") for c in plugin
    )
    if spelt == spelt.lower():
        assert meaning(registry, name=f"{spelt}/{rest}") == (plugin, rest)
    else:
        with pytest.raises(NameConflictError):
            registry.resolve(name=f"{spelt}/{rest}")
    assert meaning(registry, model=spelt, name="x") == (plugin, "x")


@given(st.text(alphabet="aAcCmMeE-_:/.1 ", min_size=1))
def test_any_name_resolves_or_raises_an_error_meant_for_the_user(registry: Registry, name: str) -> None:
    for entry in ({"name": name}, {"model": name}, {"model": name, "name": "x"}):
        try:
            found = registry.resolve(**entry)
        except (ConfigError, NameConflictError, UnknownModelError):
            continue
        assert found.name in {*PLUGINS, "shared-1", "shared-2"}
        assert "/" not in name or found.id == name.partition("/")[2]


def test_the_module_may_sit_anywhere(tmp_path: Path) -> None:
    folder = tmp_path / "odd folder-name"
    folder.mkdir()
    (folder / "my-models v2.py").write_text(MODULE)
    registry = Registry(allow=[])

    registry.load_module(folder / "my-models v2.py")

    assert registry.resolve(name="acme/x").model_class().__name__ == "AcmeModel"
