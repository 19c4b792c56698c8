"""The shape of a config: what `run.yaml` may hold and what it means. Nothing here opens or resolves anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from .. import _pydantic  # noqa: F401  # before the first schema
from .limits import DEEPEST
from .problems import Source

LIMIT_OPTIONS: Final = ("batch_size", "max_concurrency", "rpm", "tpm", "timeout", "max_attempts", "deadline")
"""Options of a model that say how fast and how patiently, not what: they may differ between a run and its resume."""

PromptFormat: TypeAlias = Literal["csv", "jsonl", "txt", "yaml"]
ExportFormat: TypeAlias = Literal["jsonl", "csv"]


def _one_line(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    if not text.isprintable():
        raise ValueError("must be one line of printable text")
    return text


def _unexpanded(text: str) -> str:
    if "${" in text:
        raise ValueError("`${...}` is expanded in params only; write the value itself here")
    return text


def _to_path(value: Any) -> Any:
    if not isinstance(value, (str, Path)):
        raise ValueError("must be text, the path of a file or folder")  # noqa: TRY004  # pydantic reports ValueError
    text = _unexpanded(str(value))
    if not text.strip():
        raise ValueError("must not be empty")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ValueError("holds a character that no file name can have") from None
    if "\0" in text:
        raise ValueError("holds a NUL character, which no file name can have")
    return Path(text).expanduser() if text.startswith("~/") else Path(text)


def _prompt(value: Any) -> Any:
    if isinstance(value, (str, Mapping)):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(message, Mapping) for message in value):
        return value
    raise ValueError(
        f"must be text or a list of messages (`role`, `content`), not {kind_of(value)}{quoting_hint(value)}"
    )


def kind_of(value: Any) -> str:
    """What a value is, in a word that says nothing of the value itself."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, (list, tuple)) else f"a {type(value).__name__}"


def quoting_hint(value: Any) -> str:
    """Advice where YAML has read something as a number or a truth value and text was meant; else nothing."""
    if isinstance(value, bool):
        return " (YAML reads yes, no, on and off as true and false); put it in quotes"
    return "; put it in quotes" if isinstance(value, (int, float)) else ""


Line: TypeAlias = Annotated[str, AfterValidator(_one_line)]
ModelName: TypeAlias = Annotated[str, AfterValidator(_one_line), AfterValidator(_unexpanded)]
FilePath: TypeAlias = Annotated[Path, BeforeValidator(_to_path)]
# Strict, because `true` is a whole number to pydantic otherwise, and "32" one as well.
Count: TypeAlias = Annotated[int, Field(strict=True, ge=1)]
Positive: TypeAlias = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Share: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, protected_namespaces=())


class ModelEntry(_Part):
    """One model of a run: `model` and `name` as in the registry's rules, and what its constructor gets."""

    model: ModelName | None = Field(default=None, description="Plugin, class name or `distribution:plugin`.")
    name: ModelName | None = Field(
        default=None, description="The provider's own id, `plugin/id`, or a registered name."
    )
    label: Line | None = Field(default=None, description="What the run calls it; by default `plugin/id`.")
    params: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="Options of the model, as written; may hold secrets."
    )

    @field_validator("params", mode="before")
    @classmethod
    def _empty_is_none_given(cls, value: Any) -> Any:
        if value is None:
            return {}
        _refuse_too_deep(value)
        return value

    @model_validator(mode="after")
    def _has_a_name(self) -> Self:
        if self.model is None and self.name is None:
            raise ValueError("a model needs `name`, or `model` (the plugin) with or without `name`")
        return self


class StoredPrompts(_Part):
    """A list of prompts that a run's journal holds. Only a run folder's own config says so."""

    count: Annotated[int, Field(strict=True, ge=0)]
    sha256: str


class PromptSource(_Part):
    """Where the prompts come from: a file, or a list in the config. Exactly one of `file`, `items`, `stored`."""

    file: FilePath | None = None
    column: Line | None = Field(default=None, description="The column or key that holds the prompt.")
    format: PromptFormat | None = Field(default=None, description="By default told by the file's ending.")
    items: list[Annotated[Any, BeforeValidator(_prompt)]] | None = None
    stored: StoredPrompts | None = Field(default=None, description="Only in a run folder's own config.")

    @model_validator(mode="before")
    @classmethod
    def _inline(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return {"items": list(value)}
        if isinstance(value, str):
            raise ValueError("must be a list of prompts, or {file: ..., column: ...}")  # noqa: TRY004  # as above
        return value

    @field_validator("items", mode="before")
    @classmethod
    def _a_list(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, (list, tuple)):
            raise ValueError(f"must be a list, not {kind_of(value)}")
        if value is not None and not value:
            raise ValueError("the list of prompts is empty")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in ("file", "items", "stored") if getattr(self, name) is not None]
        if not given:
            raise ValueError("give `file`, or the prompts as a list")
        if len(given) > 1:
            raise ValueError(f"give `{given[0]}` or `{given[1]}`, not both")
        if self.format is not None and self.file is None:
            raise ValueError("`format` belongs to a `file`")
        return self


class RunLimits(_Part):
    """Limits of a run: defaults for each provider's options of the same name. None leaves the provider's default."""

    batch_size: Annotated[Count, Field(le=100_000)] | None = None
    rpm: Positive | None = Field(default=None, description="Requests per minute.")
    tpm: Positive | None = Field(default=None, description="Tokens per minute, prompt and answer together.")
    timeout: Positive | None = Field(default=None, description="Seconds for one attempt.")
    max_attempts: Annotated[Count, Field(le=100)] | None = None
    deadline: Positive | None = Field(default=None, description="Seconds for one prompt, retries and waits included.")
    max_failure_rate: Share = Field(default=0.5, description="Share of failed prompts above which a run is degraded.")


class OutputOptions(_Part):
    """Where the run folder goes and what is exported into it."""

    dir: FilePath = Path("runs")
    formats: list[ExportFormat] = ["jsonl", "csv"]

    @field_validator("formats")
    @classmethod
    def _each_once(cls, value: list[ExportFormat]) -> list[ExportFormat]:
        return list(dict.fromkeys(value))


class PluginOptions(_Part):
    """Which plugins may answer, and files of the user's own that register more."""

    modules: list[FilePath] = Field(
        default_factory=list, description="Python files to execute before names are looked up."
    )
    allow: list[Line] | None = Field(default=None, description="Only these plugins; None: every installed one.")


class RunConfig(_Part):
    """A whole config, validated. `load_config` makes one from a file or a mapping and anchors its paths.

    `models[].params` are as they were written: `${ENV_VAR}` in them is text until `configure`.
    """

    name: Line = "run"
    models: list[ModelEntry] = Field(min_length=1)
    system_prompt: str | None = None
    prompts: PromptSource
    run: RunLimits = RunLimits()
    output: OutputOptions = OutputOptions()
    plugins: PluginOptions = PluginOptions()
    observers: list[Line] = Field(default_factory=list)

    _source: Source = PrivateAttr(default_factory=Source)

    @field_validator("run", "output", "plugins", "observers", mode="before")
    @classmethod
    def _empty_section(cls, value: Any, info: Any) -> Any:
        if value is None:
            return [] if info.field_name == "observers" else {}
        return value

    @property
    def source_path(self) -> Path | None:
        """The file that the config was read from, absolute; None where it came from Python."""
        return Path(self._source.path) if self._source.path is not None else None

    @property
    def source(self) -> Source:
        """Where each value was written, for messages."""
        return self._source


def _refuse_too_deep(value: Any) -> None:
    level, depth = [value], 0
    # By identity: a list that holds itself twice would double with each level.
    while level := list({id(child): child for item in level for child in _children(item)}.values()):
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} levels deep")


def _children(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, (list, tuple)) else []
