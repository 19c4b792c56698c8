"""`Resolved`: what a name turned out to mean, and the way from there to a class and an instance."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ConfigError, HiveTraceError, PluginLoadError
from .causes import message_text
from .imports import import_object
from .names import REGISTERED, fold
from .spec import ModelSpec

if TYPE_CHECKING:
    from ..contract import Model
    from ..engine.events import Observers
    from ..options import ModelOptions


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What a name in a config means. Nothing heavier than the plugin's light module has been imported for it.

    Attributes:
        spec: The plugin's description; a made-up one for a class registered in this process.
        distribution: Where the plugin comes from; None for what was registered in this process.
        version: Of the distribution.
        id: The provider's own id; None where neither the config nor the plugin gives one.
        id_given: Whether the config wrote the id, rather than the plugin's default.
        how: One sentence on how the name was read.
        registered: The class itself, where one was registered in this process.
        origin: The config's module that registered it, where one did.
    """

    spec: ModelSpec
    distribution: str | None = None
    version: str | None = None
    id: str | None = None
    id_given: bool = False
    how: str = ""
    registered: type[Any] | None = None
    origin: Path | None = None

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.spec.name

    @property
    def qualified(self) -> str:
        """`distribution:name`, or `registered:name` for what was registered in this process."""
        return f"{self.distribution or REGISTERED}:{self.spec.name}"

    @property
    def owner(self) -> str:
        """The plugin and where it comes from, for messages."""
        if self.registered is not None:
            return f"{self.spec.name!r}, registered by {self.release} as {self.registered.__qualname__}"
        return f"plugin {self.spec.name!r} of {self.release}"

    @property
    def release(self) -> str:
        """Distribution and version, or where else it comes from."""
        if self.distribution:
            return f"{self.distribution} {self.version}"
        return self.origin.name if self.origin else "this process"

    def options_class(self) -> type[ModelOptions] | None:
        """The class that validates the params, without importing an SDK; None for a model that has none.

        Raises:
            PluginError: the plugin names none that can be imported.
        """
        from ..options import ModelOptions

        if self.registered is not None:
            found = getattr(self.registered, "options_class", None)
            return found if isinstance(found, type) and issubclass(found, ModelOptions) else None
        found = self.load("options")
        if found is None or (isinstance(found, type) and issubclass(found, ModelOptions)):
            return found
        raise PluginLoadError(
            f"{self.spec.options} of {self.owner} is not a ModelOptions class. Report it to its author."
        )

    def model_class(self) -> type[Any]:
        """The model class; imports the SDK where the plugin needs one.

        Raises:
            MissingDependencyError: the SDK is not installed.
            PluginLoadError: the import fails otherwise, or gives something that is not a class.
        """
        found = self.registered or self.load("model")
        if isinstance(found, type):
            return found
        raise PluginLoadError(f"{self.spec.model} of {self.owner} is not a class. Report it to the plugin's author.")

    def load(self, part: Literal["model", "options", "classify", "dialect", "check"]) -> Any:
        """What one of the spec's import strings names; None where the spec has none.

        Raises:
            MissingDependencyError: a package that it needs is not installed.
            PluginLoadError: it cannot be imported.
        """
        target = getattr(self.spec, part)
        return target and import_object(target, owner=self.owner, distribution=self.distribution)

    def id_for(self, params: Mapping[str, Any]) -> str | None:
        """The id that a model with these params has."""
        value = params.get(self.spec.id_option)
        return value if isinstance(value, str) and value else self.id

    def params_with_id(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The constructor's arguments: the params, and the id under the plugin's option for it.

        Raises:
            ConfigError: there is no id, there are two, or the class takes none.
        """
        option = self.spec.id_option
        if params.get(option) is not None:
            if self.id_given and params[option] != self.id:
                raise ConfigError(
                    f"{self.owner[:1].upper()}{self.owner[1:]} got two ids: {self.id!r} from the name and "
                    f"{params[option]!r} from the param {option!r}. Remove one of them."
                )
            return dict(params)
        given = {name: value for name, value in params.items() if name != option}
        if self.registered is not None:
            return given | self._id_for_class(self.registered)
        if self.id is None:
            raise ConfigError(
                f"{self.owner[:1].upper()}{self.owner[1:]} has no default model, so the name must say which: write "
                f"'name: {self.spec.name}/ID' (or 'model: {self.spec.name}' and 'name: ID') with the provider's own id."
            )
        return {option: self.id, **given}

    def build(self, params: Mapping[str, Any] | None = None, *, observers: Observers | None = None) -> Model:
        """An instance of the model class.

        Args:
            params: The constructor's arguments; the id is added.
            observers: Who is told of its requests; only providers tell.

        Raises:
            ConfigError: the params do not fit; the message shows none of their values.
            PluginError: the class cannot be imported.
        """
        from ..contract import as_model
        from ..provider import ProviderModel
        from ..redaction import Redactor, secret_values

        model_class = self.model_class()
        arguments = self.params_with_id(params or {})
        self._check_arguments(model_class, arguments)
        try:
            model = as_model(model_class(**arguments))
        except HiveTraceError:
            raise
        except (Exception, SystemExit) as exc:
            cause = Redactor(secret_values(arguments)).text(message_text(exc))
            raise ConfigError(f"{model_class.__name__} of {self.owner} could not be created: {cause}.") from exc
        if isinstance(model, ProviderModel):
            model.provider = self.spec.name
            model.observers = observers
        return model

    def _id_for_class(self, model_class: type[Any]) -> dict[str, Any]:
        """A registered class gets its id where it takes one; a default of its options stands when none was given."""
        option = self.spec.id_option
        options = self.options_class()
        if options is not None and not self.id_given and options.model_fields[option].default:
            return {}
        signature = _signature(model_class)
        parameters = signature.parameters if signature is not None else {}
        takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
        if option in parameters or (self.id_given and takes_any):
            return {option: self.id}
        if self.id_given and fold(str(self.id)) != self.spec.name:
            raise ConfigError(
                f"{model_class.__qualname__}, registered as {self.spec.name!r}, takes no argument {option!r}, so the "
                f"id {self.id!r} cannot reach it. Remove the id from the config, or add the argument to the class."
            )
        return {}

    def _check_arguments(self, model_class: type[Any], arguments: Mapping[str, Any]) -> None:
        signature = _signature(model_class)
        if signature is None:
            return  # it says itself what it dislikes
        try:
            signature.bind(**arguments)
        except TypeError as exc:
            known = list(signature.parameters)
            unknown = [name for name in arguments if name not in known]
            close = get_close_matches(unknown[0], known, 1) if unknown else []
            takes = ", ".join(known) or "no arguments"
            hint = f"; did you mean {close[0]!r}?" if close else f". It takes {takes}."
            raise ConfigError(f"{model_class.__name__} of {self.owner}: {exc}{hint}") from None


def _signature(model_class: type[Any]) -> inspect.Signature | None:
    """What the constructor takes; None where that cannot be read."""
    from ..contract import Model

    if model_class.__init__ is Model.__init__:
        # A protocol's own constructor claims to take everything until it is first called, and then takes nothing.
        return inspect.Signature()
    try:
        return inspect.signature(model_class)
    except (TypeError, ValueError):
        return None
