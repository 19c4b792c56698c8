"""Options of YandexGPT. What is not set is not sent; what is sent is what was set."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from hivetrace_core import SecretStr, from_env
from hivetrace_core.http import HttpOptions

BASE_URL: Final = "https://llm.api.cloud.yandex.net/foundationModels/v1"
OPERATIONS_URL: Final = "https://operation.api.cloud.yandex.net"

ASYNC_TIMEOUT_S: Final = 600.0
ASYNC_DEADLINE_S: Final = 1800.0

TokenProvider = Callable[[], str | Awaitable[str]]

_VERSIONED: Final = re.compile(r"/foundationModels/v\d+/?$")
_PLAIN_ID: Final = re.compile(r"(?P<name>[^\s/@?#]+)(?:/(?P<branch>[^\s/@?#]+))?(?:@(?P<suffix>[^\s/@?#]+))?")

_NOT_TAKEN: Final = "the completion API has no such parameter; leave it out"
UNSUPPORTED: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            *("top_p", "top_k", "min_p", "stop", "seed", "presence_penalty", "frequency_penalty"),
            *("repetition_penalty", "logit_bias", "logprobs", "top_logprobs"),
        ),
        _NOT_TAKEN,
    ),
    "n": "the service generates one answer to a request; leave it out",
    "images": "the completion API takes text only",
    "response_format": "use json_object or json_schema",
    "max_completion_tokens": "use max_tokens",
    "max_output_tokens": "use max_tokens",
    "reasoning_effort": "use reasoning_options, such as {mode: ENABLED_HIDDEN}",
}
"""Parameters that other providers take and this service does not, and what to do instead."""


class YandexGPTOptions(HttpOptions):
    """YandexGPT in Yandex AI Studio, by its REST completion API.

    One credential: `api_key`, `iam_token` or `iam_token_provider`. With none given the environment is read, in this
    order: YANDEX_GPT_API_KEY, YC_API_KEY, YC_IAM_TOKEN. With `mode: async` an attempt waits for an operation that may
    take minutes, so that `timeout` is 600 s and `deadline` 1800 s where they are not given.
    """

    model: str = Field(
        min_length=1, description="yandexgpt-lite, yandexgpt/rc, or a whole URI (gpt://FOLDER/MODEL/latest, ds://ID)."
    )
    base_url: str = Field(default=BASE_URL, description="Address of the completion API with its version.")
    operations_url: str | None = Field(
        default=None,
        description="Where operations are read; by default the service's own host for them, or the host of base_url.",
    )
    folder_id: str | None = from_env(
        "YANDEX_FOLDER_ID", description="Folder of the service account; needed unless the model is a whole URI."
    )
    api_key: SecretStr | None = Field(
        default=None, description="Key of a service account. Environment: YANDEX_GPT_API_KEY, YC_API_KEY."
    )
    iam_token: SecretStr | None = Field(
        default=None, description="IAM token in place of a key; lives 12 h at most. Environment: YC_IAM_TOKEN."
    )
    iam_token_provider: SkipJsonSchema[TokenProvider] | None = Field(
        default=None,
        exclude=True,
        description="From Python only: called for an IAM token, plain or async; the token is kept and renewed.",
    )
    iam_token_lifetime: float = Field(
        default=3600.0, gt=0, le=43_200, description="Seconds for which a token of iam_token_provider is used."
    )
    mode: Literal["sync", "async"] = Field(
        default="sync", description="async: each prompt is an operation that is read until it is done."
    )
    poll_interval: float = Field(
        default=1.0, gt=0, le=3600, description="Seconds before the first reading of an operation; grows by half."
    )
    max_poll_interval: float = Field(
        default=10.0, gt=0, le=3600, description="Seconds between two readings of an operation, at most."
    )
    operation_reads_per_second: float = Field(
        default=50.0, gt=0, description="Readings of all operations of this instance; the service's quota is 50."
    )
    temperature: float | None = Field(default=None, ge=0, le=1, description="The service's default is 0.3.")
    max_tokens: int | None = Field(default=None, ge=1, description="Longest answer, in tokens.")
    reasoning_options: dict[str, Any] | None = Field(
        default=None, description="mode: DISABLED or ENABLED_HIDDEN; the reasoning itself is never returned."
    )
    tools: list[dict[str, Any]] | None = Field(default=None, description="Functions that the model may call.")
    tool_choice: str | dict[str, Any] | None = Field(
        default=None, description="none, auto, required, or the function to call."
    )
    parallel_tool_calls: bool | None = Field(default=None, description="Whether one answer may have several calls.")
    json_object: bool | None = Field(default=None, description="True: the answer is a JSON object.")
    json_schema: dict[str, Any] | None = Field(default=None, description="JSON schema that the answer follows.")
    data_logging: bool | None = Field(
        default=None, description="False asks the service not to keep prompts and answers (x-data-logging-enabled)."
    )

    @model_validator(mode="before")
    @classmethod
    def _check_given(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        filled = dict(values)
        for name in UNSUPPORTED.keys() & filled.keys():
            if filled.pop(name) is not None:
                raise ValueError(f"{name} is not supported by YandexGPT: {UNSUPPORTED[name]}")
        return _with_credential(filled)

    @field_validator("folder_id")
    @classmethod
    def _check_folder(cls, value: str | None) -> str | None:
        if value is not None and (not value.strip() or re.search(r"[\s/@?#]", value)):
            raise ValueError("folder_id must be the id of a folder, without blanks and slashes")
        return value

    @field_validator("operations_url")
    @classmethod
    def _check_operations_url(cls, value: str | None) -> str | None:
        if value is not None:
            HttpOptions(base_url=value)
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.json_object and self.json_schema is not None:
            raise ValueError("json_object and json_schema exclude each other: pass one of them")
        if self.max_poll_interval < self.poll_interval:
            raise ValueError("max_poll_interval is shorter than poll_interval")
        self.model_uri()
        if self.mode == "async":
            # Frozen for users; this runs before anybody holds the instance.
            for name, longer in (("timeout", ASYNC_TIMEOUT_S), ("deadline", ASYNC_DEADLINE_S)):
                if name not in self.model_fields_set:
                    object.__setattr__(self, name, longer)
        return self

    def model_uri(self) -> str:
        """The model as the service names it.

        Raises:
            ValueError: the id is none, or it lacks the folder.
        """
        if "://" in self.model:
            if re.search(r"\s", self.model):
                raise ValueError("model must not contain blanks")
            return self.model
        parts = _PLAIN_ID.fullmatch(self.model)
        if parts is None:
            raise ValueError("model must be NAME, NAME/BRANCH (latest, rc, deprecated), NAME/BRANCH@SUFFIX or a URI")
        if self.folder_id is None:
            raise ValueError(
                "folder_id is missing: pass folder_id=... or set YANDEX_FOLDER_ID, "
                "or give the whole URI as model (gpt://FOLDER/MODEL/latest)"
            )
        tuned = f"@{parts['suffix']}" if parts["suffix"] else ""
        return f"gpt://{self.folder_id}/{parts['name']}/{parts['branch'] or 'latest'}{tuned}"

    def operations_address(self) -> str:
        """The server that knows the operations.

        By default the vendor's own host for them where completions go to the vendor, else the server of `base_url`: a
        credential that was given to one server is shown to no other.
        """
        if self.operations_url is not None:
            return self.operations_url
        if urlsplit(self.base_url).hostname == urlsplit(BASE_URL).hostname:
            return OPERATIONS_URL
        return _VERSIONED.sub("", self.base_url)

    def parameters(self) -> dict[str, Any]:
        """The request's JSON without its messages; `completionOptions` says that nothing is streamed."""
        options: dict[str, Any] = {"stream": False}
        if self.temperature is not None:
            options["temperature"] = self.temperature
        if self.max_tokens is not None:
            options["maxTokens"] = str(self.max_tokens)  # 64-bit numbers are strings in this protocol's JSON
        if self.reasoning_options is not None:
            options["reasoningOptions"] = self.reasoning_options
        body: dict[str, Any] = {"modelUri": self.model_uri(), "completionOptions": options}
        if self.tools is not None:
            body["tools"] = [{"function": tool["function"]} if "function" in tool else tool for tool in self.tools]
        if self.tool_choice is not None:
            body["toolChoice"] = _tool_choice(self.tool_choice)
        if self.parallel_tool_calls is not None:
            body["parallelToolCalls"] = self.parallel_tool_calls
        if self.json_object is not None:
            body["jsonObject"] = self.json_object
        if self.json_schema is not None:
            body["jsonSchema"] = (
                self.json_schema if self.json_schema.keys() == {"schema"} else {"schema": self.json_schema}
            )
        return body

    def fixed_headers(self) -> dict[str, str]:
        """Headers of every request: a credential that does not change, and what is asked about logging."""
        headers: dict[str, str] = {}
        if self.api_key is not None:
            headers["Authorization"] = f"Api-Key {self.api_key.get_secret_value()}"
        elif self.iam_token is not None:
            headers["Authorization"] = f"Bearer {self.iam_token.get_secret_value()}"
        if self.data_logging is not None:
            headers["x-data-logging-enabled"] = "true" if self.data_logging else "false"
        return headers


def _with_credential(values: dict[str, Any]) -> dict[str, Any]:
    """Exactly one credential: the given one, else the first that the environment has."""
    names = ("api_key", "iam_token", "iam_token_provider")
    given = [name for name in names if values.get(name)]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} are both credentials: pass one of them")
    if given:
        return values
    variables = (("YANDEX_GPT_API_KEY", "api_key"), ("YC_API_KEY", "api_key"), ("YC_IAM_TOKEN", "iam_token"))
    for variable, name in variables:
        if os.environ.get(variable):
            return {**values, name: os.environ[variable]}
    raise ValueError(
        "a credential is missing: pass api_key=... or set YANDEX_GPT_API_KEY or YC_API_KEY; "
        "or pass iam_token=... or set YC_IAM_TOKEN"
    )


def _tool_choice(choice: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(choice, str):
        return {"mode": choice.upper()}
    function = choice.get("function")
    return {"functionName": function.get("name")} if isinstance(function, dict) else choice
