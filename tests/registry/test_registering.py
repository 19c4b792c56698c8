"""Classes registered in this process, by hand or by a module that a config names."""

import sys
from pathlib import Path
from typing import Any

import pytest

from hivetrace_core import (
    ConfigError,
    IncompatiblePluginError,
    Model,
    NameConflictError,
    PluginLoadError,
    UnknownModelError,
    create_model,
    register_model,
)
from hivetrace_core.registry import Registry, default_registry


class Mine(Model):
    async def ainvoke(self, prompt: Any) -> dict[str, Any]:
        return {"content": f"mine: {prompt}"}


class OnlyInvoke:
    """Inherits nothing."""

    def invoke(self, prompt: Any) -> dict[str, Any]:
        return {"content": f"plain: {prompt}"}


class Nothing(Model):
    pass


@pytest.fixture
def registry() -> Registry:
    return Registry(allow=[])


def test_a_registered_class_is_found_by_its_name_and_by_its_class(registry: Registry) -> None:
    registry.register("my-custom-model", Mine)

    for entry in ({"name": "my-custom-model"}, {"model": "my_custom_model"}, {"model": "Mine"}):
        found = registry.resolve(**entry)

        assert found.model_class() is Mine
        assert found.qualified == "registered:my-custom-model"
        assert found.distribution is None


def test_register_model_and_create_model_use_the_registry_of_the_process() -> None:
    register_model("registering-test", Mine)

    assert create_model("registering-test").invoke("x") == {"content": "mine: x"}
    assert "registering-test" in default_registry().registered()


def test_an_object_that_inherits_nothing_becomes_a_model(registry: Registry) -> None:
    registry.register("plain", OnlyInvoke)

    model = create_model("plain", registry=registry)

    assert isinstance(model, Model)
    assert model.invoke("x") == {"content": "plain: x"}
    assert len(model.batch(["a", "b"])) == 2


def test_the_same_class_may_be_registered_again(registry: Registry) -> None:
    registry.register("mine", Mine)
    registry.register("Mine", Mine)

    assert list(registry.registered()) == ["mine"]


def test_another_class_may_not_take_the_name(registry: Registry) -> None:
    registry.register("mine", Mine)

    with pytest.raises(NameConflictError) as caught:
        registry.register("MINE", OnlyInvoke)
    assert str(caught.value) == (
        "OnlyInvoke cannot be registered as 'mine': that name is taken by 'mine', registered by this process as Mine. "
        "Choose another name."
    )
    assert registry.resolve(name="mine").model_class() is Mine


def test_a_class_that_was_defined_anew_takes_the_place_of_the_old_one(registry: Registry) -> None:
    """A notebook cell that is run again defines another class of the same name in the same module."""
    source = "class Cell:\n    def invoke(self, prompt):\n        return {{'content': '{}'}}\n"
    namespaces: list[dict[str, Any]] = [{"__name__": "a_notebook"}, {"__name__": "a_notebook"}]
    for text, namespace in zip(("old", "new"), namespaces, strict=True):
        exec(source.format(text), namespace)
        registry.register("cell", namespace["Cell"])

    assert registry.resolve(name="cell").model_class() is namespaces[1]["Cell"]


def test_two_classes_made_by_one_function_are_different(registry: Registry) -> None:
    def make() -> type[Any]:
        class Local(Mine):
            pass

        return Local

    first, second = make(), make()
    registry.register("local", first)
    registry.register("local", first)

    with pytest.raises(NameConflictError):
        registry.register("local", second)
    assert registry.resolve(model="Local").model_class() is first


@pytest.mark.parametrize("wrong", [Mine(), Mine().ainvoke, "Mine", None, len])
def test_only_classes_can_be_registered(registry: Registry, wrong: Any) -> None:
    with pytest.raises(ConfigError, match="register_model takes a class"):
        registry.register("wrong", wrong)


@pytest.mark.parametrize("wrong", [Nothing, dict])
def test_only_classes_that_answer_can_be_registered(registry: Registry, wrong: type[Any]) -> None:
    with pytest.raises(ConfigError, match="has neither invoke nor ainvoke"):
        registry.register("wrong", wrong)


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "модель", "a b", "-a", 5])
def test_names_that_could_not_be_told_from_ids_are_refused(registry: Registry, name: Any) -> None:
    with pytest.raises(ConfigError, match="A model's name is letters, digits and single hyphens"):
        registry.register(name, Mine)


def test_a_plugins_name_cannot_be_taken_and_nothing_is_imported_to_see_that(site: Any) -> None:
    said = site.ask(
        """
        from hivetrace_core import Model
        class Mine(Model):
            async def ainvoke(self, prompt): return {"content": ""}
        registry = Registry()
        clash = attempt(registry.register, "ACME", Mine)
        imported = loaded("hivetrace_acme")
        narrow = registry.with_allowed(["left"])
        narrow.register("acme", Mine)
        say([clash, imported, narrow.resolve(name="acme").qualified, registry.resolve(name="acme").qualified])
        """
    )

    assert said[0] == {
        "error": "NameConflictError",
        "message": "Mine cannot be registered as 'acme': that name is taken by plugin 'acme' of hivetrace-acme 1.2. "
        "Choose another name.",
    }
    assert said[1:] == [[], "registered:acme", "hivetrace-acme:acme"]


def test_what_a_run_registers_stays_in_the_run_and_it_sees_what_was_there(registry: Registry) -> None:
    registry.register("before", Mine)
    child = registry.with_allowed(None)
    child.register("inside", Mine)
    registry.register("later", Mine)

    assert set(child.registered()) == {"before", "inside", "later"}
    assert set(registry.registered()) == {"before", "later"}
    with pytest.raises(NameConflictError):
        child.register("before", OnlyInvoke)


def test_the_list_shows_what_is_registered(registry: Registry) -> None:
    registry.register("mine", Mine)

    line = next(line for line in registry.plugins() if line.name == "mine")

    assert (line.distribution, line.version, line.status, line.detail) == (None, None, "registered", "by this process")
    assert line in registry.check()


MODULE = """
from hivetrace_core import Model, ModelSpec, hookimpl, register_model

class FileModel(Model):
    async def ainvoke(self, prompt):
        return {"content": f"file: {prompt}"}

register_model("by-hand", FileModel)

@hookimpl
def hivetrace_models():
    yield ModelSpec(name="by-hook", model="my_models:FileModel", default_id="f-1")
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    file = tmp_path / "my_models.py"
    file.write_text(MODULE)
    return file


def test_a_module_registers_by_hand_and_by_hook_in_the_registry_that_loads_it(registry: Registry, module: Path) -> None:
    registry.load_module(module)

    assert registry.resolve(name="by-hand").build().invoke("x") == {"content": "file: x"}
    found = registry.resolve(name="by-hook")
    assert (found.qualified, found.id) == ("registered:by-hook", "f-1")
    assert found.model_class() is registry.resolve(name="by-hand").model_class()
    assert "by-hand" not in default_registry().registered()
    assert {line.detail for line in registry.plugins()} >= {"by my_models.py"}


def test_a_module_leaves_nothing_beside_the_file_and_hides_no_installed_module(
    registry: Registry, tmp_path: Path
) -> None:
    file = tmp_path / "json.py"
    file.write_text(MODULE.replace("my_models:", "json:"))
    registry.load_module(file)

    assert registry.resolve(name="by-hook").model_class().__name__ == "FileModel"
    assert sys.modules["json"].__name__ == "json"
    assert sys.modules["json"].__file__ != str(file)
    assert [path.name for path in tmp_path.iterdir()] == ["json.py"]


def test_a_module_is_executed_once_for_each_registry(registry: Registry, tmp_path: Path) -> None:
    file, count = tmp_path / "counted.py", tmp_path / "count"
    file.write_text(f"from pathlib import Path\nwith Path({str(count)!r}).open('a') as f:\n    f.write('x')\n")
    for path in (file, str(file), tmp_path / "." / "counted.py"):
        registry.load_module(path)

    assert count.read_text() == "x"
    registry.with_allowed(None).load_module(file)
    assert count.read_text() == "xx"


def test_an_edited_module_is_read_anew_by_the_next_run(registry: Registry, module: Path) -> None:
    registry.load_module(module)
    module.write_text(MODULE.replace("file: ", "edited: "))
    child = registry.with_allowed(None)
    child.load_module(module)

    assert child.resolve(name="by-hand").build().invoke("x") == {"content": "edited: x"}


def test_two_files_of_one_name_get_along(registry: Registry, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "models.py").write_text(MODULE.replace("by-", f"{name}-").replace("my_models", "models"))
        registry.load_module(tmp_path / name / "models.py")

    first, second = (registry.resolve(name=f"{name}-hook").model_class() for name in ("one", "two"))
    assert first is not second


def test_a_name_that_is_taken_is_a_conflict_with_file_and_line(registry: Registry, module: Path) -> None:
    registry.register("by-hand", Mine)

    with pytest.raises(NameConflictError) as caught:
        registry.load_module(module)
    assert str(caught.value).startswith(f"{module.resolve()}:8: FileModel cannot be registered as 'by-hand'")


def test_a_missing_module_and_a_folder_are_config_errors(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.py does not exist"):
        registry.load_module(tmp_path / "nowhere.py")
    with pytest.raises(ConfigError, match="is a folder"):
        registry.load_module(tmp_path)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("\nimport no_such_package\n", ":2: ModuleNotFoundError: No module named 'no_such_package'"),
        ("x = 1\n\nx.y\n", ":3: AttributeError: 'int' object has no attribute 'y'"),
        ("def f():\n    raise KeyError('k')\nf()\n", ":2: KeyError: 'k'"),
        ("import json\n\njson.loads('{')\n", ":3: JSONDecodeError: "),
        ("x = (\n", ":1: SyntaxError: '(' was never closed"),
        ("x = '\\0\0'\n", ": "),
        ("# coding: no-such-coding\n", "SyntaxError: "),
        ("import sys\nsys.exit('bye')\n", ":2: it calls sys.exit('bye')"),
        (
            "from hivetrace_core import hookimpl\n@hookimpl\ndef hivetrace_model(): pass\n",
            "did you mean 'hivetrace_models'?",
        ),
        ("def hivetrace_models(): pass\n", "its hivetrace_models() is not marked with @hookimpl"),
    ],
)
def test_a_module_that_fails_is_named_with_the_line_and_leaves_nothing(
    registry: Registry, tmp_path: Path, source: str, words: str
) -> None:
    file = tmp_path / "failing.py"
    registering = (
        "from hivetrace_core import register_model; register_model('left-behind', type('M', (), {'invoke': len}));"
    )
    file.write_text(registering + source if source.startswith("\n") else source)
    before = set(sys.modules)

    with pytest.raises(PluginLoadError) as caught:
        registry.load_module(file)

    assert str(caught.value).startswith(f"{file.resolve()}:")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert registry.registered() == {}
    assert not any(name.startswith("module_failing") for name in set(sys.modules) - before)


def test_a_module_that_was_mended_can_be_loaded(registry: Registry, module: Path) -> None:
    module.write_text(MODULE + "\nraise RuntimeError('half way')\n")
    with pytest.raises(PluginLoadError, match="half way"):
        registry.load_module(module)
    module.write_text(MODULE)
    registry.load_module(module)

    assert set(registry.registered()) == {"by-hand", "by-hook"}


def test_errors_of_ours_keep_their_type(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text("from hivetrace_core import register_model\n\nregister_model('x', 5)\n")
    with pytest.raises(ConfigError, match=r"wrong\.py:3: register_model takes a class"):
        registry.load_module(file)

    file.write_text(MODULE.replace("default_id", "api=2, default_id"))
    with pytest.raises(IncompatiblePluginError, match="needs plugin API 2"):
        registry.load_module(file)


def test_keyboard_interrupt_in_a_module_passes_and_leaves_nothing(registry: Registry, module: Path) -> None:
    module.write_text(MODULE + "\nraise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        registry.load_module(module)

    assert registry.registered() == {}
    with pytest.raises(UnknownModelError):
        registry.resolve(name="by-hand")


def test_a_module_may_load_another_one(registry: Registry, module: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer.py"
    outer.write_text(
        "from hivetrace_core.registry import modules\n"
        f"modules.executing.get().registry.load_module({str(module)!r})\n"
        f"modules.executing.get().registry.load_module({str(outer)!r})\n"
    )
    registry.load_module(outer)

    assert "by-hand" in registry.registered()
