"""What a distribution says about itself: names, specs, typing, requirements."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module, metadata, resources
from typing import Any, ClassVar, Final

import pluggy

from ..errors import MissingDependencyError
from ..options import ModelOptions
from ..provider import ProviderModel
from ..registry import PLUGIN_API, ModelSpec, PluginInfo, Registry, Resolved
from .standard import Standard

CORE: Final = "hivetrace-core"

_NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_DIALECT: Final = ("matches", "prompt_of", "wants_stream", "reply", "stream", "side", "model_of", "key_of", "variants")


class Declared(Standard):
    """What all tests of plugins share.

    Attributes:
        distribution: Its name, as in `pip install`.
    """

    distribution: ClassVar[str]

    def points(self) -> list[PluginInfo]:
        """The names that the installed metadata declares."""
        wanted = _folded(self.distribution)
        found = [info for info in Registry().installed() if _folded(info.distribution) == wanted]
        assert found, f"{self.distribution} is not installed here, or declares nothing in the group hivetrace.models"
        return found

    def resolved(self) -> list[Resolved]:
        """Each name with its spec."""
        registry = Registry()
        return [registry.load(info) for info in self.points()]

    def options_classes(self) -> dict[str, type[ModelOptions]]:
        """The options of each name that has some."""
        found = {one.name: one.options_class() for one in self.resolved()}
        return {name: options for name, options in found.items() if options is not None}

    def model_classes(self) -> Iterator[tuple[Resolved, type[Any]]]:
        """Each name with its model class, where all that it needs is installed."""
        for one in self.resolved():
            try:
                yield one, one.model_class()
            except MissingDependencyError:
                continue

    def light_modules(self) -> list[str]:
        """The modules of the entry points."""
        return sorted({info.value.partition(":")[0] for info in self.points()})

    def packages(self) -> list[str]:
        """The top-level packages that the plugin's import strings name."""
        modules = set(self.light_modules())
        for one in self.resolved():
            spec = one.spec
            modules |= {part for part in (spec.model, spec.options, spec.classify, spec.dialect, spec.check) if part}
        return sorted({module.partition(":")[0].partition(".")[0] for module in modules})


class DeclarationTests(Declared):
    """Of every plugin."""

    def test_the_plugin_yields_exactly_the_names_that_its_metadata_declares(self) -> None:
        """A name that is only declared finds nothing, one that is only yielded is never found."""
        manager = pluggy.PluginManager("hivetrace")
        for module in self.light_modules():
            manager.register(import_module(module))
        answers: list[list[ModelSpec]] = [list(answer) for answer in manager.hook.hivetrace_models()]

        yielded = [spec.name for answer in answers for spec in answer]
        assert sorted(yielded) == sorted(info.name for info in self.points())

    def test_names_are_well_formed(self) -> None:
        """Lower-case letters, digits and single hyphens; they compare without case."""
        assert [info.name for info in self.points() if not _NAME.fullmatch(info.name)] == []

    def test_every_name_loads_and_speaks_this_plugin_api(self) -> None:
        """The registry accepts each spec."""
        for one in self.resolved():
            assert one.spec.api == PLUGIN_API
            assert one.spec.summary, f"{one.name}: `hivetrace models` has nothing to say about it"

    def test_the_class_can_be_imported_or_says_what_to_install(self) -> None:
        """An SDK may be missing; then the message has the line that installs it."""
        for one in self.resolved():
            try:
                found: Any = one.model_class()
            except MissingDependencyError as error:
                found = str(error)

            assert "pip install" in found if isinstance(found, str) else issubclass(found, ProviderModel)

    def test_the_spec_names_the_options_of_its_class(self) -> None:
        """What `hivetrace check` validates against is what the constructor validates against."""
        for one, model_class in self.model_classes():
            assert one.options_class() is model_class.options_class

    def test_the_other_parts_of_a_spec_can_be_imported(self) -> None:
        """Classifier, dialect and self-check, where the spec names them."""
        for one in self.resolved():
            for part in ("classify", "check"):
                assert one.load(part) is None or callable(one.load(part))
            dialect = one.load("dialect")
            if dialect is not None:
                made = dialect() if isinstance(dialect, type) else dialect
                assert made.name == one.name
                assert [name for name in _DIALECT if not hasattr(made, name)] == []

    def test_the_package_is_marked_as_typed(self) -> None:
        """Without `py.typed`, type checkers take everything in it for Any."""
        assert [name for name in self.packages() if not resources.files(name).joinpath("py.typed").is_file()] == []

    def test_the_requirement_of_core_has_an_upper_bound(self) -> None:
        """The next minor version of core may change the plugin API."""
        if _folded(self.distribution) != CORE:
            required = [line.partition(";")[0] for line in metadata.requires(self.distribution) or []]
            bounds = [line for line in required if re.match(rf"{CORE}(?![\w-])", line, re.IGNORECASE)]

            assert bounds, f"{self.distribution} does not require {CORE}"
            assert [line for line in bounds if not re.search(r"<|~=|==", line)] == []

    def test_the_distribution_has_a_readme(self) -> None:
        """Package indexes show it: how to install, a runnable example, credentials."""
        # In the file itself it is a header in old metadata and the body in newer ones.
        text = metadata.distribution(self.distribution).read_text("METADATA") or ""
        body = text.partition("\n\n")[2] or text.partition("\nDescription:")[2]

        assert self.distribution in body, "the project has no readme that says what to install"


def _folded(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
