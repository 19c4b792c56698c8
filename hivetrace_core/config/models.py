"""From a config's entries to models ready to be built: names resolved, params expanded and checked, no SDK imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from pydantic import ValidationError

from ..errors import HiveTraceError, UnknownModelError
from ..redaction import Redactor
from .anchoring import anchored
from .expand import expand
from .problems import KeyPath, Problems
from .schema import LIMIT_OPTIONS, ModelEntry, RunConfig, RunLimits
from .validation import add_booleans, add_problems, add_unknown

if TYPE_CHECKING:
    from ..contract import Model
    from ..engine.events import Observers
    from ..options import ModelOptions
    from ..registry import Registry, Resolved


@dataclass(frozen=True)
class ConfiguredModel:
    """One model of a run, ready to be built.

    Attributes:
        label: What the run calls it; unique in the config.
        resolved: What its name means.
        params: The constructor's arguments: `${}` expanded, the id added, for a provider the run's limits as defaults.
        options: A provider's validated options; None for a model without an options class.
        secrets: Every secret value among the params and options, those from the environment included; for a `Redactor`.
        limits: The run's limits; who calls a model without options of its own applies them.
        observers: Who the config wants told of every request; None where it names nobody.
    """

    label: str
    resolved: Resolved
    params: dict[str, Any] = field(repr=False)
    options: ModelOptions | None = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    limits: RunLimits
    observers: Observers | None = field(default=None, repr=False)

    def build(self) -> Model:
        """An instance; imports the SDK where there is one. A provider gets the observers; a custom model takes none.

        Raises:
            ConfigError: the constructor does not take the params.
            PluginError: the class cannot be imported.
        """
        from ..provider import ProviderModel

        model = self.resolved.build(self.params)
        if isinstance(model, ProviderModel):
            model.observers = self.observers
        return model


@dataclass(frozen=True)
class UncheckedModel:
    """A model whose name only a file of the user's own could define, in a check that executes none.

    Attributes:
        label: As given, or the name.
        reason: Why nothing more can be said, as a sentence.
    """

    label: str
    reason: str


@overload
def configure(
    config: RunConfig, registry: Registry | None = None, *, execute_modules: Literal[True] = True
) -> list[ConfiguredModel]: ...


@overload
def configure(
    config: RunConfig, registry: Registry | None = None, *, execute_modules: Literal[False]
) -> list[ConfiguredModel | UncheckedModel]: ...


def configure(
    config: RunConfig, registry: Registry | None = None, *, execute_modules: bool = True
) -> list[ConfiguredModel] | list[ConfiguredModel | UncheckedModel]:
    """Resolve every model of a config and validate its params, without importing an SDK.

    Args:
        config: As `load_config` gives it.
        registry: Where names are looked up; by default the process's own. `plugins.allow` narrows it for this config,
            and what `plugins.modules` register stays in this config.
        execute_modules: Whether the files in `plugins.modules` are executed. Without, a name that is not known
            otherwise is an `UncheckedModel`.

    Returns:
        One per entry of `models`, in their order.

    Raises:
        ConfigError: names each problem of each model: unknown and ambiguous names, params that do not fit, unset
            variables, missing keys, labels that occur twice.
    """
    work = _Configuring(config, execute_modules)
    if registry is None:
        from ..registry import default_registry

        registry = default_registry()
    narrowed = work.narrowed(registry)
    found: list[ConfiguredModel | UncheckedModel] = []
    if narrowed is not None:
        observers = work.observers(narrowed)
        for index, entry in enumerate(config.models):
            model = work.model(narrowed, index, entry, observers)
            if model is not None:
                found.append(model)
    work.finish()
    return found


class _Configuring:
    def __init__(self, config: RunConfig, execute_modules: bool) -> None:
        self._config = config
        self._execute = execute_modules
        self._problems = Problems(config.source)
        self._labels: dict[str, int] = {}
        self._secrets: list[str] = []

    def finish(self) -> None:
        self._problems.raise_if_any(Redactor(self._secrets))

    def narrowed(self, registry: Registry) -> Registry | None:
        """The registry of this config, its modules loaded; None where that failed."""
        plugins = self._config.plugins
        narrowed = registry.with_allowed(plugins.allow)
        for index, module in enumerate(plugins.modules):
            at = ("plugins", "modules", index)
            if not module.is_file():
                self._problems.add(at, f"there is no file {str(module)!r}; relative paths start at the config's folder")
            elif self._execute:
                try:
                    narrowed.load_module(module)
                except HiveTraceError as exc:
                    self._note(at, exc)
        # Without one of its modules, names would only seem to be unknown.
        return None if self._problems and self._execute else narrowed

    def observers(self, registry: Registry) -> Observers | None:
        """The observers that the config names."""
        from ..registry.names import fold
        from ..registry.observers import merged

        unexecuted = set() if self._execute else {fold(module.stem) for module in self._config.plugins.modules}
        loaded: list[Observers] = []
        for index, name in enumerate(self._config.observers):
            if fold(name) not in unexecuted:
                try:
                    loaded.append(registry.load_observers([name]))
                except HiveTraceError as exc:
                    self._note(("observers", index), exc)
        return merged(loaded) if loaded else None

    def model(
        self, registry: Registry, index: int, entry: ModelEntry, observers: Observers | None
    ) -> ConfiguredModel | UncheckedModel | None:
        at: KeyPath = ("models", index)
        try:
            resolved = registry.resolve(model=entry.model, name=entry.name)
        except UnknownModelError as exc:
            if self._execute or not self._config.plugins.modules:
                self._note((*at, "model" if entry.model else "name"), exc)
                return None
            label = entry.label or (
                f"{entry.model}/{entry.name}" if entry.model and entry.name else entry.model or entry.name
            )
            files = ", ".join(module.name for module in self._config.plugins.modules)
            self._claim_label(str(label), at, given=entry.label is not None)
            return UncheckedModel(
                str(label), f"Not checked: only {files} could define this model, and a check executes no files."
            )
        except HiveTraceError as exc:
            self._note((*at, "model" if entry.model else "name"), exc)
            return None
        return self._configured(resolved, at, entry, observers)

    def _configured(
        self, resolved: Resolved, at: KeyPath, entry: ModelEntry, observers: Observers | None
    ) -> ConfiguredModel | None:
        inside = (*at, "params")
        unset: list[KeyPath] = []

        def report(path: KeyPath, text: str) -> None:
            unset.append(path)
            self._problems.add((*inside, *path), text)

        expanded = expand(entry.params, report=report)
        self._secrets.extend(expanded.secrets)
        try:
            params = resolved.params_with_id(expanded.params)
            options_class = resolved.options_class()
        except HiveTraceError as exc:
            self._note(at, exc)
            return None
        model_id = resolved.id_for(params)
        # A class of the user's own has no ids unless the config writes one: its name says it all.
        written = resolved.id_given or resolved.spec.id_option in entry.params
        by_name = not model_id or (resolved.registered is not None and not written)
        label = entry.label or (resolved.name if by_name else f"{resolved.name}/{model_id}")
        self._claim_label(label, at, given=entry.label is not None)
        limits = self._config.run
        options = None
        if options_class is not None:
            add_unknown(self._problems, entry.params, at=inside, schema=options_class)
            base = self._config.source.base
            params = anchored(_with_limits(params, limits), options_class, Path(base) if base else None)
            if resolved.id_given:
                resolved = replace(resolved, id=params.get(resolved.spec.id_option, resolved.id))
            elsewhere: dict[str, KeyPath] = {name: ("run", name) for name in LIMIT_OPTIONS}
            elsewhere[resolved.spec.id_option] = (*at, "name")
            for name in entry.params:
                elsewhere.pop(name, None)
            options = None if unset else self._options(options_class, params, inside, elsewhere)
            if options is None:
                return None
        secrets = dict.fromkeys([*expanded.secrets, *(options.secrets() if options is not None else ())])
        self._secrets.extend(secrets)
        return ConfiguredModel(label, resolved, params, options, tuple(secrets), limits, observers)

    def _options(
        self, schema: type[ModelOptions], params: dict[str, Any], at: KeyPath, elsewhere: Mapping[str, KeyPath]
    ) -> ModelOptions | None:
        try:
            options = schema(**params)
        except ValidationError as exc:
            add_problems(self._problems, exc, at=at, schema=schema, data=params, elsewhere=elsewhere)
            return None
        except HiveTraceError as exc:
            self._note(at, exc)
            return None
        except Exception as exc:  # noqa: BLE001  # a validator of somebody else's
            self._problems.add(
                at, f"{schema.__name__} could not check these params ({type(exc).__name__}); report it to its author"
            )
            return None
        add_booleans(self._problems, params, options, at=at)
        return options

    def _claim_label(self, label: str, at: KeyPath, *, given: bool) -> None:
        first = self._labels.setdefault(label, int(at[1]))
        if first == at[1]:
            return
        if given:
            self._problems.add((*at, "label"), f"models[{first}] is called {label!r}, too; a label must be unique")
        else:
            self._problems.add(at, f"models[{first}] is called {label!r}, too; give one of them a `label`")

    def _note(self, at: KeyPath, error: HiveTraceError) -> None:
        self._problems.add(at, str(error))
        self._problems.cause = error


def _with_limits(params: Mapping[str, Any], limits: RunLimits) -> dict[str, Any]:
    defaults = {name: getattr(limits, name, None) for name in LIMIT_OPTIONS}
    return {name: value for name, value in defaults.items() if value is not None} | dict(params)
