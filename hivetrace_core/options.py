"""Options of a provider: one pydantic class that becomes constructor arguments, YAML params and a JSON schema."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo

from .errors import ConfigError
from .redaction import mask_params, secret_values

__all__ = ["ModelOptions", "SecretStr", "from_env", "validation_problems"]


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


def _env_names(field: FieldInfo) -> list[str]:
    extra = field.json_schema_extra
    names = extra.get("env") if isinstance(extra, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else []


class ModelOptions(BaseModel):
    """What every provider takes. Subclasses add their own; unknown names are errors.

    Durations are seconds. `batch_size` and `max_concurrency`: where only one is given it serves as both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, protected_namespaces=())

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
            if filled.get(name) is None and (env := _env_names(field)):
                value = next((os.environ[e] for e in env if os.environ.get(e)), None)
                if value is not None:
                    filled[name] = value
                elif field.default is None and not _admits_none(field):
                    filled.pop(name, None)
                    raise ValueError(f"{name} is missing: pass {name}=... or set {' or '.join(env)}")
        return filled

    @model_validator(mode="after")
    def _one_serves_as_both(self) -> Self:
        given = self.model_fields_set & {"batch_size", "max_concurrency"}
        # Frozen for users; this runs before anybody holds the instance.
        if given == {"batch_size"}:
            object.__setattr__(self, "max_concurrency", self.batch_size)
        elif given == {"max_concurrency"} and self.max_concurrency is not None:
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
            return cls(**values)
        except ValidationError as exc:
            problems = "; ".join(text for _, text in validation_problems(exc, cls))
            raise ConfigError(f"{where}: {problems}.") from None

    def public(self) -> dict[str, Any]:
        """JSON-ready values without secrets, without what is unset."""
        return {k: v for k, v in mask_params(self.model_dump(mode="python")).items() if v is not None}

    def secrets(self) -> list[str]:
        """The resolved secret values, for a `Redactor`."""
        return list(secret_values(self.model_dump(mode="python")))


def validation_problems(exc: ValidationError, schema: type[BaseModel]) -> list[tuple[tuple[str | int, ...], str]]:
    """Each problem of a validation as its location and a sentence, with a suggestion for a misspelt name."""
    problems: list[tuple[tuple[str | int, ...], str]] = []
    for error in exc.errors(include_url=False, include_input=False, include_context=False):
        where = error["loc"]
        name = ".".join(map(str, where))
        if error["type"] == "extra_forbidden":
            close = get_close_matches(str(where[-1]), list(schema.model_fields), 1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(schema.model_fields))}"
            text = f"unknown option {name!r}{hint}"
        elif error["type"] == "value_error":
            text = error["msg"].removeprefix("Value error, ")
        elif error["type"] == "missing":
            text = f"{name!r} is missing"
        else:
            text = f"{name!r}: {error['msg'][:1].lower()}{error['msg'][1:]}"
        problems.append((where, text))
    return problems


def _admits_none(field: FieldInfo) -> bool:
    from typing import get_args

    return field.annotation is Any or type(None) in get_args(field.annotation)
