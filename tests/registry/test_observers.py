"""Observers: found by name or given as objects, checked, and each on its own."""

from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hivetrace_core import ConfigError, Model, ProviderModel, create_model, hookimpl
from hivetrace_core.engine.events import Observers
from hivetrace_core.registry import Registry, load_observers

HOOKS = """
from hivetrace_core import hookimpl
seen = []

@hookimpl
def hivetrace_request_started(event):
    seen.append(event)
"""


class Watcher:
    """Hooks may be methods, and may leave out arguments."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    @hookimpl
    def hivetrace_request_started(self, event: Any) -> None:
        self.seen.append(event)

    @hookimpl
    def hivetrace_request_finished(self) -> None:
        self.seen.append("finished")

    @hookimpl
    def hivetrace_retry_scheduled(self, event: Any = None) -> str:
        self.seen.append(event)
        return "a result that nobody wants"


@pytest.fixture
def registry() -> Registry:
    return Registry(allow=[])


def test_an_objects_hooks_become_callables_of_one_event(registry: Registry) -> None:
    watcher = Watcher()
    found = registry.load_observers([watcher])
    for callbacks, event in ((found.started, 1), (found.finished, 2), (found.retry, 3)):
        callbacks[0](event)

    assert watcher.seen == [1, "finished", 3]


def test_every_observer_is_asked_in_the_order_given(registry: Registry) -> None:
    watchers = [Watcher(), Watcher(), Watcher()]
    found = registry.load_observers(watchers)
    for number, callback in enumerate(found.started):
        callback(number)

    assert [watcher.seen for watcher in watchers] == [[0], [1], [2]]


def test_ready_observers_and_none_at_all_are_fine(registry: Registry) -> None:
    ready = Observers(started=(print,))

    assert registry.load_observers(ready) is ready
    assert load_observers([]) == Observers()


class Wrapping:
    @hookimpl(wrapper=True)
    def hivetrace_request_started(self, event: Any) -> Generator[None, None, None]:
        yield


class Misspelt:
    @hookimpl
    def hivetrace_request_start(self, event: Any) -> None: ...


class Demanding:
    @hookimpl
    def hivetrace_request_started(self, event: Any, model: Any) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Watcher, "Watcher is a class, and its hooks need an instance"),
        (SimpleNamespace(), "it implements none of the hooks hivetrace_request_started"),
        (print, "it implements none of the hooks"),
        (Wrapping(), "its event hooks are wrappers"),
        (Misspelt(), "did you mean 'hivetrace_request_started'?"),
        (Demanding(), "{'model'} are declared in the hookimpl but can not be found in the hookspec"),
    ],
)
def test_an_object_that_cannot_observe_is_refused_with_the_reason(registry: Registry, wrong: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        registry.load_observers([wrong])

    assert "cannot observe: " in str(caught.value)
    assert words in str(caught.value)


def test_a_modules_hooks_are_found_by_its_files_name(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "my_watch.py"
    file.write_text(HOOKS)
    registry.load_module(file)
    child = registry.with_allowed(None)

    for where in (registry, child):
        found = where.load_observers("my-watch")

        assert len(found.started) == 1
        assert found.finished == ()


def test_an_installed_observer_is_loaded_only_when_it_is_named(empty_site: Any) -> None:
    empty_site.install("watch-a", {"watch_a.py": HOOKS}, observers={"watch": "watch_a"})

    said = empty_site.ask(
        """
        registry = Registry()
        registry.everyone(), registry.plugins(), registry.check()
        before = loaded("watch_a")
        started = registry.load_observers(["Watch"]).started + registry.load_observers("watch-a:watch").started
        for callback in started:
            callback("event")
        import watch_a
        say([before, watch_a.seen, [p.name for p in registry.plugins() if p.distribution == "watch-a"]])
        """
    )

    assert said == [[], ["event", "event"], []]


def test_unknown_ambiguous_and_broken_observers_are_told_apart(empty_site: Any) -> None:
    for letter in "ab":
        empty_site.install(f"watch-{letter}", {f"watch_{letter}.py": HOOKS}, observers={"watch": f"watch_{letter}"})
    broken = {"exits": "raise SystemExit(1)\n", "hookless": "", "aclass": HOOKS + "class C: pass\n"}
    for name, source in broken.items():
        value = f"{name}_one:C" if name == "aclass" else f"{name}_one"
        empty_site.install(name, {f"{name}_one.py": source}, observers={name: value})

    said = empty_site.ask(
        """
        registry = Registry()
        say([attempt(registry.load_observers, name) for name in (
            "wacth", "watch", "exits", "hookless", "aclass", "watch-a:nope", "zzz")]
            + [attempt(registry.with_allowed([]).load_observers, "watch")])
        """
    )

    assert [error["error"] for error in said] == [
        "ConfigError", "NameConflictError", "PluginLoadError", "PluginLoadError", "PluginLoadError", "ConfigError",
        "ConfigError", "ConfigError",
    ]  # fmt: skip
    assert said[0]["message"] == "No installed observer is called 'wacth'. Did you mean 'watch'?"
    assert "write 'watch-a:watch' or 'watch-b:watch' instead" in said[1]["message"]
    assert "Plugin 'exits' of exits 1.0 could not be loaded: it called sys.exit(1)" in said[2]["message"]
    assert "it implements none of the hooks" in said[3]["message"]
    assert "C is a class" in said[4]["message"]
    assert said[6]["message"].endswith("Installed: aclass, exits, hookless, watch.")
    assert "watch-a 1.0 has it, but the allow-list does not permit it." in said[7]["message"]


class Stub(ProviderModel[Any]):
    async def complete(self, client: Any, messages: Any) -> dict[str, Any]:
        return {"content": "yes"}


class Custom(Model):
    def invoke(self, prompt: Any) -> dict[str, Any]:
        return {"content": "yes"}


def test_a_model_made_with_observers_tells_them(registry: Registry) -> None:
    registry.register("stub", Stub)
    watcher = Watcher()

    create_model("stub", registry=registry, observers=[watcher]).invoke("x")

    assert [type(seen).__name__ for seen in watcher.seen] == ["RequestStarted", "str"]
    assert watcher.seen[0].provider == "stub"


def test_observers_of_a_custom_model_would_hear_nothing_so_they_are_refused(registry: Registry) -> None:
    registry.register("custom", Custom)

    with pytest.raises(ConfigError, match="'custom' is not a provider"):
        create_model("custom", registry=registry, observers=[Watcher()])
