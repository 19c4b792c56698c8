"""Options of a provider: one pydantic class that becomes constructor arguments, YAML params and a JSON schema."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from . import _pydantic  # noqa: F401  # before the first schema
from .errors import ConfigError
from .redaction import Redactor, mask_params, secret_values

__all__ = ["ModelOptions", "SecretStr", "env_names", "from_env", "validation_problems"]


def from_env(*names: str, default: Any = None, description: str | None = None) -> Any:
    """An option that falls back to environment variables, read when a model is made, never at import.

    Args:
        names: Variables, tried in order; an empty one counts as unset.
        default: Used when no variable is set. With None, a field whose type does not admit None is required, and the
            error names both the option and the variables.
        description: Shown in the JSON schema.
    """
    return Field(
        default=default, validate_default=False, description=description, json_schema_extra={"env": list(names)}
    )


def env_names(field: FieldInfo) -> list[str]:
    """The environment variables of an option made by `from_env`."""
    extra = field.json_schema_extra
    names = extra.get("env") if isinstance(extra, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else []


class ModelOptions(BaseModel):
    """What every provider takes. Subclasses add their own; unknown names are errors.

    Durations are seconds. `batch_size` and `max_concurrency`: where only one is given it serves as both.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False, protected_namespaces=()
    )

    model: str = Field(default="", description="The provider's own model id.")
    batch_size: int = Field(default=16, ge=1, le=100_000, description="Requests in flight in one call.")
    max_concurrency: int | None = Field(
        default=None, ge=1, le=100_000, description="Requests in flight over all calls, event loops and threads."
    )
    rpm: float | None = Field(default=None, gt=0, description="Requests per minute.")
    tpm: float | None = Field(default=None, gt=0, description="Tokens per minute, prompt and answer together.")
    timeout: float | None = Field(default=120.0, gt=0, description="Seconds for one attempt.")
    max_attempts: int = Field(default=5, ge=1, le=100, description="Requests for one prompt, the first included.")
    deadline: float | None = Field(
        default=600.0, gt=0, description="Seconds for one prompt from its first request, retries and waits included."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_environment(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        filled = dict(values)
        for name, field in cls.model_fields.items():
            if filled.get(name) is None and (env := env_names(field)):
                value = next((os.environ[e] for e in env if os.environ.get(e)), None)
                if value is not None:
                    filled[name] = value
                elif field.default is None:
                    filled[name] = None  # for `_present` to judge
                else:
                    filled.pop(name, None)
        return filled

    @field_validator("*", mode="before")
    @classmethod
    def _present(cls, value: Any, info: ValidationInfo) -> Any:
        # A field's own error, not one of the whole model: then a misspelt name is reported beside it.
        if value is None and info.field_name is not None:
            field = cls.model_fields[info.field_name]
            if (env := env_names(field)) and not _admits_none(field):
                name = info.field_name
                raise ValueError(f"{name} is missing: pass {name}=... or set {' or '.join(env)}")
        return value

    @model_validator(mode="after")
    def _one_serves_as_both(self) -> Self:
        given = self.model_fields_set & {"batch_size", "max_concurrency"}
        if self.max_concurrency is None:
            given -= {"max_concurrency"}
        # Frozen for users; this runs before anybody holds the instance.
        if given == {"batch_size"}:
            object.__setattr__(self, "max_concurrency", self.batch_size)
        elif given == {"max_concurrency"}:
            object.__setattr__(self, "batch_size", self.max_concurrency)
        return self

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, where: str) -> Self:
        """Validate values; the error a user sees.

        Args:
            values: Option names and values.
            where: What is being configured, for the message (`AcmeModel`, `models[0].params`).

        Raises:
            ConfigError: names each wrong option, with a suggestion for a misspelt one; never shows a value.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as exc:
            problems = "; ".join(text for _, text in validation_problems(exc, cls))
            # A validator of the author's may quote what it got.
            environment = [os.environ.get(env, "") for field in cls.model_fields.values() for env in env_names(field)]
            problems = Redactor([*secret_values(values), *environment]).text(problems)
            raise ConfigError(f"{where}: {problems}{'' if problems.endswith('?') else '.'}") from None

    def public(self) -> dict[str, Any]:
        """JSON-ready values without secrets, without what is unset."""
        masked = mask_params(self.model_dump(mode="python"))
        # A key that stands a second time under an innocent name goes, too.
        shown: dict[str, Any] = Redactor(self.secrets()).data({k: v for k, v in masked.items() if v is not None})
        return shown

    def secrets(self) -> list[str]:
        """The resolved secret values, for a `Redactor`."""
        return list(secret_values(self.model_dump(mode="python")))

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield from self.public().items()


def validation_problems(exc: ValidationError, schema: type[BaseModel]) -> list[tuple[tuple[str | int, ...], str]]:
    """Each problem of a validation as its location and a sentence, with a suggestion for a misspelt name."""
    problems: list[tuple[tuple[str | int, ...], str]] = []
    for error in exc.errors(include_url=False, include_input=False, include_context=False):
        where = error["loc"]
        name = ".".join(map(str, where))
        if error["type"] == "extra_forbidden":
            text = f"unknown option {name!r}{_hint(str(where[-1]), _schema_at(schema, where[:-1]))}"
        elif error["type"] == "value_error":
            text = error["msg"].removeprefix("Value error, ")
        elif error["type"] == "missing":
            text = f"{name!r} is missing"
        else:
            text = f"{name!r}: {error['msg'][:1].lower()}{error['msg'][1:]}"
        problems.append((where, text))
    return problems


def _admits_none(field: FieldInfo) -> bool:
    return field.annotation is Any or type(None) in get_args(field.annotation)


def _hint(name: str, schema: type[BaseModel] | None) -> str:
    if schema is None:
        return ""
    known = sorted(schema.model_fields)
    close = get_close_matches(name.lower().replace("-", "_"), known, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def _schema_at(schema: type[BaseModel], where: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model at a location inside another one; what is no field (an index, a union's member) changes nothing."""
    found: type[BaseModel] | None = schema
    for part in where:
        if found is not None and isinstance(part, str) and part in found.model_fields:
            found = _model_in(found.model_fields[part].annotation)
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner)) is not None), None)
