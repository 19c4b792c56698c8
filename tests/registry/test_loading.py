"""A broken plugin fails for its own names only, and is named."""

from typing import Any

import pytest

# What is wrong with each, and what the message must say about it.
FAULTS = {
    "absent": "ModuleNotFoundError: No module named 'no_such_package_anywhere' (hivetrace_absent/__init__.py, line 1)",
    "quitter": "it called sys.exit(3) (hivetrace_quitter/__init__.py, line 2)",
    "syntax": "SyntaxError: invalid syntax (__init__.py, line 1)",
    "misspelt": "it implements an unknown hook 'hivetrace_model'; did you mean 'hivetrace_models'?",
    "stranger": "it implements an unknown hook 'quite_another_thing'; known are hivetrace_models, ",
    "raiser": "RuntimeError: no [31mluck (hivetrace_raiser/__init__.py, line 4)",
    "leaver": "it called sys.exit(4) (hivetrace_leaver/__init__.py, line 5)",
    "arguments": "{'config'} are declared in the hookimpl but can not be found in the hookspec",
    "garbage": "its hivetrace_models() yields a str; only ModelSpec is allowed",
    "bare": "its hivetrace_models() returns a ModelSpec; it must yield it, or return a list",
    "number": "TypeError: 'int' object is not iterable",
    "badspec": "model 'no import string' must be an import string such as 'package.module:Name'",
    "nospec": "its hivetrace_models() yields no spec of the name 'nospec' that it declares",
    "double": "its hivetrace_models() yields 2 specs of the name 'double' that it declares",
    "unmarked": "its hivetrace_models() is not marked with @hookimpl",
    "hookless": "it implements no hook hivetrace_models()",
    "attribute": "AttributeError: module 'hivetrace_attribute' has no attribute 'missing'",
    "nothing": "its entry point names None",
    "twice": "it implements no hook hivetrace_models()",
}


@pytest.fixture(scope="module")
def said(site: Any) -> Any:
    """One process that asks for every plugin, the good ones last."""
    return site.ask(
        f"""
        registry = Registry()
        broken = {{name: attempt(registry.spec, name) for name in {[*FAULTS, "future", "past"]!r}}}
        again = {{name: attempt(registry.spec, name) for name in {[*FAULTS]!r}}}
        good = {{name: registry.spec(name).model for name in ("acme", "left", "right")}}
        checked = {{p.name: [p.status, p.detail, p.summary] for p in registry.check()}}
        say({{"broken": broken, "again": again, "good": good, "checked": checked}})
        """
    )


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_plugin_is_a_load_error_that_names_it_and_says_why(name: str, said: Any) -> None:
    distribution = "hivetrace-attribute" if name in ("nothing", "twice") else f"hivetrace-{name}"
    error = said["broken"][name]

    assert error["error"] == "PluginLoadError"
    assert error["message"].startswith(f"Plugin {name!r} of {distribution} 1.0 could not be loaded: ")
    assert FAULTS[name] in error["message"]
    assert "\n" not in error["message"]
    assert "\x1b" not in error["message"]


def test_the_message_says_what_to_do(said: Any) -> None:
    broken = said["broken"]

    assert broken["raiser"]["message"].endswith("Update or uninstall hivetrace-raiser; other plugins are not affected.")
    assert broken["absent"]["message"].endswith("Run: pip install hivetrace-absent")


def test_the_others_work_all_the_same(said: Any) -> None:
    assert said["good"] == {
        "acme": "hivetrace_acme.model:AcmeModel",
        "left": "hivetrace_pair.model:LeftModel",
        "right": "hivetrace_pair.model:RightModel",
    }


def test_the_reason_is_remembered(said: Any) -> None:
    assert said["again"] == {name: said["broken"][name] for name in FAULTS}


@pytest.mark.parametrize(("name", "api", "advice"), [("future", 2, "hivetrace-core"), ("past", 0, "the plugin")])
def test_another_plugin_api_is_refused_with_both_numbers(name: str, api: int, advice: str, said: Any) -> None:
    error = said["broken"][name]

    assert error["error"] == "IncompatiblePluginError"
    assert error["message"] == (
        f"Plugin {name!r} of hivetrace-{name} 1.0 needs plugin API {api}, and this hivetrace-core has API 1. "
        f"Upgrade {advice}."
    )


def test_the_check_says_what_each_plugin_is_worth(said: Any) -> None:
    checked = said["checked"]

    assert checked["acme"] == ["ok", "", "Acme hosted chat models"]
    assert checked["left"][0] == checked["right"][0] == "ok"
    assert checked["future"][0] == checked["past"][0] == "incompatible"
    assert checked["twin"][0] == "conflict"
    assert {checked[name][0] for name in FAULTS} == {"broken"}
    assert FAULTS["misspelt"] in checked["misspelt"][1]


def test_the_check_finds_options_that_cannot_be_imported(said: Any) -> None:
    status, detail, _ = said["checked"]["nosdk"]

    assert status == "broken"
    assert "needs the package 'nosdk_client'" in detail


def test_a_broken_plugin_is_imported_once_and_a_good_one_asked_once(empty_site: Any) -> None:
    count = "open({path!r}, 'a').write('x')\n"
    counted = {name: empty_site.folder.parent / f"{name}.txt" for name in ("bad", "good")}
    bad, good = (count.format(path=str(path)) for path in counted.values())
    empty_site.install("bad", {"bad_one.py": bad + "raise RuntimeError\n"}, models={"bad": "bad_one"})
    empty_site.install(
        "good",
        {
            "good_one.py": "from hivetrace_core import ModelSpec, hookimpl\n@hookimpl\ndef hivetrace_models():\n    "
            + good
            + "    yield ModelSpec(name='good', model='a.b:C', default_id='x')\n"
        },
        models={"good": "good_one"},
    )

    empty_site.ask(
        """
        import warnings
        warnings.simplefilter("ignore", ResourceWarning)
        registry = Registry()
        for _ in range(3):
            attempt(registry.spec, "bad")
            registry.spec("good")
            registry.with_allowed(["good"]).resolve(name="good")
            attempt(registry.resolve, name="whatever")
        say(None)
        """
    )

    assert {name: path.read_text() for name, path in counted.items()} == {"bad": "x", "good": "x"}


def test_only_the_owner_of_an_entry_point_is_asked(site: Any) -> None:
    """hivetrace-pair yields a spec named `acme`, too, which it does not declare."""
    said = site.ask(
        """
        registry = Registry()
        registry.spec("left")
        say([registry.spec("acme").model, registry.resolve(name="acme").distribution])
        """
    )

    assert said == ["hivetrace_acme.model:AcmeModel", "hivetrace-acme"]


def test_a_spec_that_no_entry_point_declares_cannot_be_reached(empty_site: Any) -> None:
    source = empty_site.light("one") + "    yield ModelSpec(name='two', model='a.b:C', default_id='x')\n"
    empty_site.install("partly", {"partly.py": source}, models={"one": "partly"})

    said = empty_site.ask("say([Registry().spec('one').name, attempt(Registry().spec, 'two')['error']])")

    assert said == ["one", "UnknownModelError"]


def test_loading_a_spec_imports_the_light_module_and_nothing_else(site: Any) -> None:
    """Also where the light module offers its class lazily: looking for hooks must not fetch it."""
    said = site.ask(
        """
        Registry().spec("acme")
        say(loaded("hivetrace_acme", "acme_sdk", "pydantic", "asyncio"))
        """
    )

    assert said == ["hivetrace_acme"]


def test_keyboard_interrupt_passes(empty_site: Any) -> None:
    empty_site.install("slow", {"slow.py": "raise KeyboardInterrupt\n"}, models={"slow": "slow"})

    said = empty_site.ask(
        """
        registry = Registry()
        passed = []
        for _ in range(2):
            try:
                registry.spec("slow")
            except KeyboardInterrupt:
                passed.append(True)
        say(passed)
        """
    )

    assert said == [True, True]


def test_a_plugin_may_use_the_registry_while_it_is_imported(empty_site: Any) -> None:
    source = """
        from hivetrace_core import ModelSpec, hookimpl
        from hivetrace_core.registry import default_registry

        everyone = [found.name for found in default_registry().everyone()[0]]

        @hookimpl
        def hivetrace_models():
            yield ModelSpec(name="selfish", model="a.b:C", default_id="x")
    """
    empty_site.install("selfish", {"selfish.py": source}, models={"selfish": "selfish"})

    said = empty_site.ask(
        """
        first = default_registry().spec("selfish").name
        say([first, default_registry().spec("selfish").name])
        """
    )

    assert said == ["selfish", "selfish"]


def test_many_threads_get_the_same_answer(site: Any) -> None:
    said = site.ask(
        """
        from concurrent.futures import ThreadPoolExecutor
        from threading import Barrier
        registry, barrier = Registry(), Barrier(16)
        def ask(number):
            barrier.wait()
            name = ("acme", "raiser")[number % 2]
            found = attempt(registry.spec, name)
            return found["error"] if isinstance(found, dict) else found.model
        with ThreadPoolExecutor(16) as pool:
            say(sorted(set(pool.map(ask, range(16)))))
        """
    )

    assert said == ["PluginLoadError", "hivetrace_acme.model:AcmeModel"]


def test_an_error_that_cannot_say_what_it_is_still_names_the_plugin(empty_site: Any) -> None:
    source = """
        class Mute(Exception):
            def __str__(self):
                raise RuntimeError("no words")

        raise Mute
    """
    empty_site.install("mute", {"mute.py": source}, models={"mute": "mute"})
    empty_site.install("wordy", {"wordy.py": "raise RuntimeError('x' * 10_000)"}, models={"wordy": "wordy"})

    said = empty_site.ask("say([attempt(Registry().spec, name)['message'] for name in ('mute', 'wordy')])")

    assert said[0].startswith("Plugin 'mute' of mute 1.0 could not be loaded: Mute (site/mute.py, line 6). ")
    assert len(said[1]) < 700


def test_a_self_check_speaks_for_its_plugin(empty_site: Any) -> None:
    answers = {
        "talks": "return 'GPU: yes'",
        "silent": "return None",
        "fails": "raise RuntimeError('no GPU')",
        "exits": "raise SystemExit(1)",
        "knows": "from hivetrace_core import MissingDependencyError; raise MissingDependencyError('install it')",
    }
    for name, body in answers.items():
        check = f"\ndef check():\n    {body}\n"
        source = empty_site.light(name, top=check, check=f"{name}_one:check")
        empty_site.install(name, {f"{name}_one.py": source}, models={name: f"{name}_one"})

    said = empty_site.ask("say({p.name: [p.status, p.detail] for p in Registry().check()})")

    assert said["talks"] == ["ok", "GPU: yes"]
    assert said["silent"] == ["ok", ""]
    assert said["fails"][0] == said["exits"][0] == "broken"
    assert said["knows"] == ["broken", "install it"]
    assert "The self-check of plugin 'fails' of fails 1.0 failed: RuntimeError: no GPU" in said["fails"][1]
