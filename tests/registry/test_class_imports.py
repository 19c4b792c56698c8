"""`from hivetrace_core.models import AcmeModel`, in fresh processes."""

from typing import Any

import pytest

from hivetrace_core import models, registry


def test_a_class_is_imported_by_its_name_whatever_plugin_has_it(site: Any) -> None:
    said = site.ask(
        """
        import hivetrace_core.models
        before = loaded("hivetrace_acme", "hivetrace_pair")
        from hivetrace_core.models import AcmeModel, LeftModel
        import hivetrace_acme.model
        say([before, AcmeModel is hivetrace_acme.model.AcmeModel, LeftModel.__module__])
        """
    )

    assert said == [[], True, "hivetrace_pair.model"]


def test_importing_an_unknown_class_is_an_import_error_that_helps(empty_site: Any) -> None:
    empty_site.install("hivetrace-core", {}, version="9.9", metadata=["Provides-Extra: zeta"])

    said = empty_site.ask(
        """
        from hivetrace_core import UnknownModelError
        try:
            from hivetrace_core.models import ZetaChatModel
        except ImportError as exc:
            say([str(exc), isinstance(exc, UnknownModelError), exc.__cause__ is None and exc.__suppress_context__])
        """
    )

    assert "No installed plugin, registered model or model class is called 'ZetaChatModel'." in said[0]
    assert said[0].endswith("Run: pip install 'hivetrace-core[zeta]'")
    assert said[1:] == [True, True]


def test_a_missing_sdk_is_said_at_the_import(empty_site: Any) -> None:
    light = empty_site.light("needy", model="needy.model:NeedyModel")
    empty_site.install(
        "needy", {"needy/__init__.py": light, "needy/model.py": "import some_sdk\n"}, models={"needy": "needy"}
    )

    done = empty_site.run("from hivetrace_core.models import NeedyModel")

    assert "MissingDependencyError: Plugin 'needy' of needy 1.0 needs the package 'some_sdk'" in done.stderr


def test_two_classes_of_one_name_are_a_conflict_at_the_import(site: Any) -> None:
    done = site.run("from hivetrace_core.models import Twin")

    assert "NameConflictError: The class 'Twin' is offered by" in done.stderr


def test_dir_lists_the_classes_and_imports_no_sdk(site: Any) -> None:
    said = site.ask(
        """
        from hivetrace_core import models
        say([[name for name in dir(models) if name.endswith("Model")], loaded("acme_sdk", "hivetrace_acme.model")])
        """
    )

    assert {"AcmeModel", "LeftModel", "RightModel"} <= set(said[0])
    assert said[1] == []


@pytest.mark.parametrize("name", ["__path__", "__wrapped__", "_repr_html_", "pytest_plugins", "acme", ""])
def test_names_that_are_no_class_are_plain_attribute_errors_and_load_nothing(name: str) -> None:
    with pytest.raises(AttributeError, match=r"module 'hivetrace_core\.models' has no attribute"):
        getattr(models, name)


def test_asking_for_a_dunder_imports_no_registry(site: Any) -> None:
    said = site.ask(
        """
        for name in [name for name in sys.modules if name.startswith("hivetrace_core")]:
            del sys.modules[name]
        import hivetrace_core.models
        hasattr(hivetrace_core.models, "__wrapped__")
        say(loaded("hivetrace_core.registry"))
        """
    )

    assert said == []


def test_the_packages_own_names_are_listed_and_others_are_attribute_errors() -> None:
    assert set(dir(registry)) >= set(registry.__all__)
    assert [getattr(registry, name).__name__ for name in ("create_model", "Registry")] == ["create_model", "Registry"]
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = registry.nothing
