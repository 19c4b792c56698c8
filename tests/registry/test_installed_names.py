"""Names of installed plugins, from the metadata to a working model, each in a fresh process."""

from pathlib import Path
from typing import Any


def test_every_form_of_a_config_entry_finds_the_plugin_without_its_sdk(site: Any) -> None:
    said = site.ask(
        """
        registry = Registry(["acme", "left"])
        forms = [
            {"model": "acme", "name": "acme-2"},
            {"model": "AcmeModel", "name": "acme-2"},
            {"model": "hivetrace-acme:acme", "name": "acme-2"},
            {"model": "HiveTrace_Acme:Acme", "name": "acme-2"},
            {"name": "acme/acme-2"},
            {"name": "hivetrace-acme:acme/acme-2"},
            {"name": "acme-2"},
        ]
        found = [registry.resolve(**form) for form in forms]
        options = found[0].options_class().__name__
        say([[(f.qualified, f.version, f.id) for f in found], options, loaded("hivetrace_acme.model", "acme_sdk")])
        """
    )

    assert said == [[["hivetrace-acme:acme", "1.2", "acme-2"]] * 7, "AcmeOptions", []]


def test_metadata_is_enough_to_say_that_a_class_is_not_needed(site: Any) -> None:
    """A plugin's own name imports that plugin's light module and nobody else's."""
    said = site.ask("Registry().resolve(name='acme/x'); say(loaded('hivetrace_', 'twin'))")

    assert [name for name in said if not name.startswith("hivetrace_core")] == ["hivetrace_acme"]


def test_a_model_is_made_by_name(site: Any) -> None:
    said = site.ask(
        """
        model = create_model("acme/acme-2", temperature=0, api_key="none")
        say([type(model).__name__, model.provider, model.options.temperature, model.invoke("hi")["content"]])
        """
    )

    assert said == ["AcmeModel", "acme", 0.0, "acme-2: hi"]


def test_a_conflict_names_both_and_two_ways_out_and_the_qualified_names_work(site: Any) -> None:
    said = site.ask(
        """
        registry = Registry()
        entries = [{"name": "twin"}, {"model": "twin", "name": "x"}, {"name": "twin/x"}]
        tries = [attempt(registry.resolve, **entry) for entry in [*entries, {"model": "Twin"}, {"name": "twin-9"}]]
        ways = [registry.resolve(model=f"twin-{letter}:twin").model_class().__module__ for letter in "ab"]
        more = [registry.resolve(name=name).qualified for name in ("twin-a:twin/x", "twin-b:twin")]
        say([tries, ways, more, registry.resolve(name="left").name])
        """
    )

    tries, ways, more, other = said
    assert {error["error"] for error in tries} == {"NameConflictError"}
    for error in tries[:3]:
        assert error["message"] == (
            "The plugin 'twin' is provided by twin-a 1.0 and twin-b 1.0. Uninstall one of them (pip uninstall twin-a), "
            "or say which one is meant: write 'twin-a:twin' or 'twin-b:twin' instead of 'twin'."
        )
    assert "write 'twin-a:twin' or 'twin-b:twin' instead" in tries[3]["message"]
    assert "write 'twin-a:twin/twin-9' or 'twin-b:twin/twin-9'" in tries[4]["message"]
    assert ways == ["twin_a", "twin_b"]
    assert more == ["twin-a:twin", "twin-b:twin"]
    assert other == "left"


def test_an_installed_plugins_name_in_other_case_before_a_slash_offers_both_readings(site: Any) -> None:
    said = site.ask(
        """
        registry = Registry()
        errors = [attempt(registry.resolve, name=name) for name in ("Acme/Acme-2", "Nobody/Acme-2")]
        say([errors, loaded("hivetrace_acme")])
        """
    )

    errors, imported = said
    assert [error["error"] for error in errors] == ["NameConflictError", "UnknownModelError"]
    assert "'acme/Acme-2'" in errors[0]["message"]
    assert "'PROVIDER/Acme/Acme-2'" in errors[0]["message"]
    assert imported == []


def test_claims_of_several_plugins_meet(site: Any) -> None:
    said = site.ask(
        """
        registry = Registry()
        say([attempt(registry.resolve, name="both-1"), registry.resolve(name="acme-5").qualified])
        """
    )

    assert said[0]["error"] == "NameConflictError"
    assert "'acme/both-1' or 'left/both-1'" in said[0]["message"]
    assert said[1] == "hivetrace-acme:acme"


def test_broken_plugins_are_mentioned_where_they_might_have_answered(site: Any) -> None:
    said = site.ask(
        "say([attempt(Registry().resolve, **e)['message'] for e in ({'name': 'zeta'}, {'model': 'ZetaModel'})])"
    )

    for message in said:
        assert "These plugins are broken and could not be asked: absent (hivetrace-absent 1.0), " in message
        assert message.endswith("run 'hivetrace models --check'.")


def test_an_unknown_name_that_is_an_extra_of_core_says_how_to_install_it(empty_site: Any) -> None:
    extras = ["Provides-Extra: zeta", "Provides-Extra: zeta-local", "Provides-Extra: other"]
    empty_site.install("hivetrace-core", {}, version="9.9", metadata=extras)

    said = empty_site.ask(
        """
        registry = Registry()
        entries = [{"name": "zeta"}, {"name": "Zeta_Local/x"}, {"model": "zeta", "name": "x"}]
        entries += [{"model": "ZetaChatModel"}, {"model": "some:zeta"}]
        entries += [{"name": "zetta"}, {"name": "zeta-1"}, {"model": "zetachat"}]
        say([attempt(registry.resolve, **entry)["message"] for entry in entries])
        """
    )

    line = "Run: pip install 'hivetrace-core[{}]'"
    assert [message.endswith(line.format("zeta")) for message in said] == [
        True,
        False,
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert said[1].endswith(line.format("zeta-local"))
    assert not any("pip install" in message for message in said[5:])


def test_a_missing_sdk_names_the_package_and_the_extra_that_brings_it(site: Any) -> None:
    said = site.ask("say(attempt(create_model, 'nosdk'))")

    assert said == {
        "error": "MissingDependencyError",
        "message": "Plugin 'nosdk' of hivetrace-nosdk 1.0 needs the package 'nosdk_client', which is not installed. "
        "Run: pip install 'hivetrace-nosdk[client]'",
    }


def test_a_missing_requirement_is_brought_by_installing_the_plugin_again(empty_site: Any) -> None:
    light = empty_site.light("needy", model="needy.model:M", default_id="x")
    empty_site.install(
        "needy",
        {"needy/__init__.py": light, "needy/model.py": "import some_sdk\n"},
        models={"needy": "needy"},
        metadata=["Requires-Dist: some-sdk", "Requires-Dist: other; extra == 'x'"],
    )

    said = empty_site.ask("say(attempt(create_model, 'needy'))")

    assert said["error"] == "MissingDependencyError"
    assert said["message"].endswith("needs the package 'some_sdk', which is not installed. Run: pip install needy")


def test_a_missing_module_of_a_configs_own_file_has_no_install_line(site: Any, tmp_path: Path) -> None:
    """The name of a module is not the name of a package that one would want."""
    file = tmp_path / "own.py"
    file.write_text(site.light("own", default_id="x", model="needs_more:M"))
    (tmp_path / "needs_more.py").write_text("import some_sdk\n")

    said = site.ask(
        f"""
        sys.path.insert(0, {str(tmp_path)!r})
        registry = Registry()
        registry.load_module({str(file)!r})
        say(attempt(registry.resolve(name="own").model_class))
        """
    )

    assert said == {
        "error": "MissingDependencyError",
        "message": "Plugin 'own' of own.py needs the package 'some_sdk', which is not installed. "
        "Install the package that provides 'some_sdk', or correct the import.",
    }


def test_what_a_plugin_itself_says_about_its_sdk_is_passed_on(empty_site: Any) -> None:
    message = "Build it with CUDA first."
    model = f"from hivetrace_core import MissingDependencyError\nraise MissingDependencyError({message!r})\n"
    files = {"native/__init__.py": empty_site.light("native", model="native.model:M", default_id="x")}
    empty_site.install("native", files | {"native/model.py": model}, models={"native": "native"})

    assert empty_site.ask("say(attempt(create_model, 'native'))") == {
        "error": "MissingDependencyError",
        "message": message,
    }


def test_a_class_that_cannot_be_imported_is_a_load_error(site: Any) -> None:
    """hivetrace-pair offers two classes; the module has no third."""
    said = site.ask(
        """
        registry = Registry()
        from dataclasses import replace
        left = registry.resolve(name="left")
        targets = ["hivetrace_pair.model:Missing", "hivetrace_pair.nowhere:LeftModel", "hivetrace_pair:__name__"]
        wrong = [replace(left, spec=replace(left.spec, model=target)) for target in [*targets, "hivetrace_quitter:X"]]
        say([attempt(found.model_class) for found in wrong])
        """
    )

    assert {error["error"] for error in said} == {"PluginLoadError"}
    assert (
        "hivetrace_pair.model:Missing of plugin 'left' of hivetrace-pair 1.0 could not be imported: AttributeError"
        in (said[0]["message"])
    )
    assert "No module named 'hivetrace_pair.nowhere'" in said[1]["message"]
    assert "is not a class" in said[2]["message"]
    assert "it called sys.exit(3)" in said[3]["message"]


def test_options_that_are_no_options_are_a_load_error(site: Any) -> None:
    said = site.ask(
        """
        from dataclasses import replace
        acme = Registry().resolve(name="acme")
        wrong = replace(acme, spec=replace(acme.spec, options="hivetrace_acme.model:AcmeModel"))
        say([attempt(wrong.options_class), Registry().resolve(name="left").options_class()])
        """
    )

    assert said[0]["error"] == "PluginLoadError"
    assert "is not a ModelOptions class" in said[0]["message"]
    assert said[1] is None
