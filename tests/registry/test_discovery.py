"""What is found from metadata alone, and which of it may be used."""

from importlib.metadata import entry_points
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core import ConfigError
from hivetrace_core.registry import Registry
from hivetrace_core.registry.allowed import AllowList
from hivetrace_core.registry.discovery import MODELS, PluginInfo
from hivetrace_core.registry.names import fold, fold_distribution

LIST = "[(p.name, p.distribution, p.version, p.status) for p in Registry().plugins()]"
SILENT = "hivetrace_nothing.py"
EMPTY = {SILENT: ""}


def lines(site: Any, code: str = LIST, **env: str) -> dict[str, list[Any]]:
    """The list by name, without the plugins that are really installed where the tests run."""
    real = {fold_distribution(entry.dist.name) for entry in entry_points(group=MODELS) if entry.dist is not None}
    return {line[0]: line[1:] for line in site.ask(f"say({code})", **env) if line[1] not in real}


def test_listing_the_plugins_imports_none_of_them(site: Any) -> None:
    said = site.ask(
        """
        listed = [p.name for p in Registry().plugins()]
        core = loaded("hivetrace_core.provider", "hivetrace_core.options", "hivetrace_core.simulated")
        say([listed, loaded("hivetrace_", "acme", "twin", "pydantic"), core])
        """
    )

    assert {"acme", "left", "right", "quitter", "absent"} <= set(said[0])
    assert [name for name in said[1] if not name.startswith("hivetrace_core")] == []
    assert said[2] == []


def test_a_plugin_is_listed_with_its_distribution_and_version(site: Any) -> None:
    listed = lines(site)

    assert listed["acme"] == ["hivetrace-acme", "1.2", "installed"]
    assert listed["left"] == listed["right"] == ["hivetrace-pair", "1.0", "installed"]


def test_unreadable_metadata_is_named_and_costs_only_its_own_distribution(unreadable_site: Any) -> None:
    said = unreadable_site.ask(
        "say([(p.distribution, p.detail) for p in Registry().plugins() if p.status == 'unreadable'])"
    )

    assert sorted(name for name, _ in said) == ["hivetrace-malformed", "hivetrace-undecodable"]
    reasons = dict(said)
    assert "TypeError" in reasons["hivetrace-malformed"]
    assert "UnicodeDecodeError" in reasons["hivetrace-undecodable"]
    assert lines(unreadable_site)["acme"] == ["hivetrace-acme", "1.2", "installed"]


def test_unreadable_metadata_elsewhere_does_not_keep_a_model_from_working(unreadable_site: Any) -> None:
    """Pydantic reads everybody's entry points, too, and would fail in our place."""
    said = unreadable_site.ask("say(create_model('acme', api_key='none').invoke('hello')['content'])")

    assert said == "acme-1: hello"


def test_an_unknown_name_mentions_what_could_not_be_read(unreadable_site: Any) -> None:
    said = unreadable_site.ask("say(attempt(Registry().resolve, name='lost'))")

    assert said["error"] == "UnknownModelError"
    assert "could not be asked: hivetrace-malformed, hivetrace-undecodable; run 'hivetrace models" in said["message"]


def test_metadata_without_a_name_is_unreadable(empty_site: Any) -> None:
    info = empty_site.install("hivetrace-anon", EMPTY, models={"anon": "hivetrace_nothing"})
    (info / "METADATA").unlink()

    assert lines(empty_site) == {"?": ["hivetrace-anon", None, "unreadable"]}


def test_a_broken_folder_that_declares_nothing_for_us_is_not_our_business(empty_site: Any) -> None:
    info = empty_site.install("something-else", EMPTY)
    (info / "METADATA").unlink()

    assert lines(empty_site) == {}


def test_two_distributions_with_one_name_are_a_conflict(site: Any) -> None:
    said = site.ask("say([(p.name, p.distribution, p.detail) for p in Registry().plugins() if p.status == 'conflict'])")

    assert said == [
        ["twin", "twin-a", "write 'twin-a:twin' to use this one"],
        ["twin", "twin-b", "write 'twin-b:twin' to use this one"],
    ]


def test_names_that_differ_in_case_and_underscore_are_one_name(empty_site: Any) -> None:
    info = empty_site.install("one", EMPTY, models={"My_Plugin": "a"})
    with (info / "entry_points.txt").open("a") as points:
        points.write("[console_scripts]\none = one:main\n")
    empty_site.install("two", EMPTY, models={"my-plugin": "b"})

    assert lines(empty_site) == {"my-plugin": ["two", "1.0", "conflict"]}


def test_a_name_declared_twice_by_one_distribution_is_broken_not_a_conflict(empty_site: Any) -> None:
    empty_site.install("one", EMPTY, models=[("a-b", "m"), ("a_b", "n")])

    said = empty_site.ask(
        "say([[p.status for p in Registry().plugins() if p.name == 'a-b'], attempt(Registry().spec, 'a-b')])"
    )

    assert said[0] == ["broken", "broken"]
    assert said[1]["error"] == "PluginLoadError"
    assert "one 1.0 declares the plugin 'a-b' more than once" in said[1]["message"]


def test_of_two_copies_of_a_distribution_the_first_on_the_path_counts(empty_site: Any) -> None:
    first, second = (type(empty_site)(empty_site.folder.parent / name) for name in ("first", "second"))
    first.install("Hive.Trace_copy", EMPTY, version="2.0", models={"copy": "new"})
    second.install("hive-trace-copy", EMPTY, version="1.0", models={"copy": "old", "dropped": "old"})

    found = lines(second, BEFORE=str(first.folder))

    assert found == {"copy": ["hive-trace-copy", "2.0", "installed"]}


def test_a_first_copy_that_declares_nothing_hides_the_second(empty_site: Any) -> None:
    first, second = (type(empty_site)(empty_site.folder.parent / name) for name in ("first", "second"))
    first.install("copy", EMPTY, version="2.0")
    second.install("copy", EMPTY, version="1.0", models={"copy": "old"})

    assert lines(second, BEFORE=str(first.folder)) == {}


def test_a_stale_unreadable_copy_further_down_the_path_does_not_matter(empty_site: Any) -> None:
    first, second = (type(empty_site)(empty_site.folder.parent / name) for name in ("first", "second"))
    first.install("copy", EMPTY, version="2.0", models={"copy": "new"})
    stale = second.install("copy", EMPTY, version="1.0", models={"copy": "old"})
    (stale / "entry_points.txt").write_text("[hivetrace.models]\nrubbish\n")

    assert lines(second, BEFORE=str(first.folder)) == {"copy": ["copy", "2.0", "installed"]}
    assert lines(first, BEFORE=str(second.folder)) == {"?": ["copy", None, "unreadable"]}


def test_the_same_folder_twice_on_the_path_is_no_conflict(site: Any) -> None:
    assert lines(site, BEFORE=str(site.folder))["acme"] == ["hivetrace-acme", "1.2", "installed"]


def status(site: Any, allow: Any = None, **env: str) -> dict[str, str]:
    code = f"[(p.name, p.distribution, p.status) for p in Registry({allow!r}).plugins()]"
    return {line[0]: line[2] for line in site.ask(f"say({code})", **env)}


def test_the_environment_allows_plugins_or_whole_distributions(site: Any) -> None:
    found = status(site, HIVETRACE_PLUGINS="ACME, hivetrace_pair twin-a")

    assert {name for name, state in found.items() if state == "installed"} == {"acme", "left", "right"}
    assert found["quitter"] == "not allowed"


def test_the_environment_and_the_config_must_both_allow(site: Any) -> None:
    found = status(site, ["acme", "right", "quitter"], HIVETRACE_PLUGINS="acme,left,right")

    assert {name for name, state in found.items() if state == "installed"} == {"acme", "right"}


def test_an_empty_allow_list_allows_nothing(site: Any) -> None:
    assert set(status(site, HIVETRACE_PLUGINS="").values()) == {"not allowed"}
    assert set(status(site, []).values()) == {"not allowed"}


def test_what_is_not_allowed_is_not_imported_and_the_message_says_so(site: Any) -> None:
    said = site.ask(
        """
        registry = Registry(["hivetrace-pair"])
        errors = [attempt(registry.resolve, name=name) for name in ("acme", "acme/x", "acme-1")]
        errors += [attempt(registry.resolve, model=model) for model in ("AcmeModel", "hivetrace-acme:acme")]
        say([errors, loaded("hivetrace_acme")])
        """
    )

    assert [error["error"] for error in said[0]] == ["UnknownModelError"] * 5
    for error in (said[0][0], said[0][1], said[0][4]):
        assert "hivetrace-acme 1.2 has a plugin 'acme', but the allow-list does not permit it." in error["message"]
    assert said[1] == []


@pytest.mark.parametrize("wrong", ["acme", [5], {"acme": None, 5: None}])
def test_an_allow_list_that_is_no_list_of_names_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"plugins\.allow must be a list of names"):
        Registry(wrong)


def test_an_allow_list_can_settle_a_conflict(site: Any) -> None:
    said = site.ask("say(Registry(['twin-b']).resolve(name='twin').qualified)")

    assert said == "twin-b:twin"


def test_a_run_can_narrow_a_registry_but_not_widen_it(site: Any) -> None:
    said = site.ask(
        """
        registry = Registry(["acme", "left"])
        names = lambda r: [p.name for p in r.plugins() if p.status == "installed"]
        say([names(registry.with_allowed(["acme", "right"])), names(registry.with_allowed(None)), names(registry)])
        """
    )

    assert said == [["acme"], ["acme", "left"], ["acme", "left"]]


def test_the_environment_is_read_when_the_registry_is_used(site: Any) -> None:
    said = site.ask(
        """
        import os
        registry = Registry()
        os.environ["HIVETRACE_PLUGINS"] = "acme"
        say([p.name for p in registry.plugins() if p.status == "installed"])
        """
    )

    assert said == ["acme"]


@given(name=st.from_regex(r"[a-z0-9]+(-[a-z0-9]+){0,2}", fullmatch=True), data=st.data())
def test_however_a_name_is_spelt_an_allow_list_knows_it(name: str, data: st.DataObject) -> None:
    spelt = "".join(data.draw(st.sampled_from([c.upper(), c, "_" if c == "-" else c]), label="character") for c in name)
    plugin = PluginInfo(name, "some-distribution", "1", "m", "hivetrace.models")

    assert fold(spelt) == name
    assert AllowList.of([spelt], "here").permits(plugin)
    assert AllowList.of([f"Some.Distribution:{spelt}"], "here").permits(plugin)
    assert not AllowList.of([f"other:{spelt}", f"{spelt}x"], "here").permits(plugin)
