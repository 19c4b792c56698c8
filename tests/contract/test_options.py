"""Options: validated before anything is sent, with errors that say what to write and never show a value."""

import json
import pickle
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, ValidationError

from hivetrace_core import ConfigError, ModelOptions, SecretStr, from_env
from hivetrace_core.options import validation_problems

KEY = "canary-sk-0123456789"


class Source(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["web", "file"] = "web"


class Search(BaseModel):
    model_config = ConfigDict(extra="forbid")

    depth: int = 1
    sources: list[Source] = Field(default_factory=list)


def _quoting(value: str) -> str:
    raise ValueError(f"region {value!r} is closed")


class AcmeOptions(ModelOptions):
    base_url: str = "https://api.acme.example/v1"
    api_key: SecretStr = from_env("ACME_API_KEY", "ACME_KEY", description="Key of the account.")
    folder: str | None = from_env("ACME_FOLDER")
    region: str = from_env("ACME_REGION", default="eu")
    temperature: float | None = None
    search: Search | None = None
    closed: Annotated[str, AfterValidator(_quoting)] | None = None
    extra: dict[str, Any] = Field(default_factory=dict)


@pytest.fixture(autouse=True)
def _no_keys_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACME_API_KEY", "ACME_KEY", "ACME_FOLDER", "ACME_REGION"):
        monkeypatch.delenv(name, raising=False)


def problem(**values: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        AcmeOptions.parse(values, where="AcmeModel")
    error = caught.value
    assert str(error).startswith("AcmeModel: ")
    assert error.__cause__ is None
    assert error.__suppress_context__
    return str(error)


# What every provider takes


def test_the_common_options_have_the_documented_defaults() -> None:
    options = ModelOptions()

    assert options.model_dump() == {
        "model": "",
        "batch_size": 16,
        "max_concurrency": None,
        "rpm": None,
        "tpm": None,
        "timeout": 120.0,
        "max_attempts": 5,
        "deadline": 600.0,
    }


@pytest.mark.parametrize(
    ("given", "batch_size", "max_concurrency"),
    [
        ({}, 16, None),
        ({"batch_size": 4}, 4, 4),
        ({"max_concurrency": 4}, 4, 4),
        ({"batch_size": 4, "max_concurrency": 8}, 4, 8),
        ({"batch_size": 8, "max_concurrency": 4}, 8, 4),
        ({"batch_size": 4, "max_concurrency": None}, 4, 4),
        ({"max_concurrency": None}, 16, None),
    ],
)
def test_where_only_one_of_window_and_cap_is_given_it_serves_as_both(
    given: dict[str, Any], batch_size: int, max_concurrency: int | None
) -> None:
    options = ModelOptions(**given)

    assert (options.batch_size, options.max_concurrency) == (batch_size, max_concurrency)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"batch_size": 1.5},
        {"batch_size": None},
        {"batch_size": 100_001},
        {"max_concurrency": 0},
        {"rpm": 0},
        {"rpm": -1},
        {"rpm": "many"},
        {"tpm": 0},
        {"timeout": 0},
        {"timeout": float("inf")},
        {"timeout": float("nan")},
        {"max_attempts": 0},
        {"max_attempts": 101},
        {"deadline": 0},
        {"model": 5},
    ],
)
def test_limits_that_are_none_are_refused_by_name(wrong: dict[str, Any]) -> None:
    (name,) = wrong

    assert f"{name!r}: input should" in problem(api_key=KEY, **wrong)


def test_none_means_no_limit_where_there_need_not_be_one() -> None:
    options = ModelOptions(rpm=None, tpm=None, timeout=None, deadline=None)

    assert (options.rpm, options.tpm, options.timeout, options.deadline) == (None, None, None, None)


def test_options_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError):
        ModelOptions().batch_size = 3  # type: ignore[misc]


# Problems


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"temprature": 1}, "AcmeModel: unknown option 'temprature'; did you mean 'temperature'?"),
        ({"Temperature": 1}, "unknown option 'Temperature'; did you mean 'temperature'?"),
        ({"api-key": 1}, "unknown option 'api-key'; did you mean 'api_key'?"),
        ({"search": {"dept": 1}}, "unknown option 'search.dept'; did you mean 'depth'?"),
        ({"search": {"sources": [{"knd": 1}]}}, "unknown option 'search.sources.0.knd'; did you mean 'kind'?"),
        ({"search": {"zzz": 1}}, "unknown option 'search.zzz'; known are depth, sources."),
        ({"search": {"sources": [{"kind": "db"}]}}, "'search.sources.0.kind': input should be 'web' or 'file'."),
        ({"temperature": "hot"}, "'temperature': input should be a valid number"),
    ],
)
def test_a_wrong_option_is_named_with_what_to_write_instead(wrong: dict[str, Any], says: str) -> None:
    assert says in problem(api_key=KEY, **wrong)


def test_an_option_like_no_other_gets_the_list() -> None:
    assert problem(api_key=KEY, zzz=1) == (
        "AcmeModel: unknown option 'zzz'; known are api_key, base_url, batch_size, closed, deadline, extra, folder, "
        "max_attempts, max_concurrency, model, region, rpm, search, temperature, timeout, tpm."
    )


def test_all_problems_are_told_at_once() -> None:
    message = problem(api_kye=KEY, temperature="hot", rpm=-1)

    assert "api_key is missing: pass api_key=... or set ACME_API_KEY or ACME_KEY" in message
    assert "unknown option 'api_kye'; did you mean 'api_key'?" in message
    assert "'temperature'" in message
    assert "'rpm'" in message
    assert "canary" not in message


def test_keys_that_are_no_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="keys should be strings"):
        AcmeOptions.parse({1: 2, "api_key": KEY}, where="x")  # type: ignore[dict-item]


def test_no_message_shows_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_FOLDER", KEY)

    assert problem(api_key=[KEY], base_url={"x": KEY}) == (
        "AcmeModel: 'base_url': input should be a valid string; 'api_key': input should be a valid string."
    )
    quoted = problem(api_key="by-hand-0123456789", closed="by-hand-0123456789")
    assert quoted == "AcmeModel: region '***' is closed."
    assert "***" in problem(api_key="by-hand-0123456789", closed=KEY)


def test_pydantics_own_error_shows_no_value_either() -> None:
    with pytest.raises(ValidationError) as caught:
        AcmeOptions(api_key=[KEY])  # type: ignore[arg-type]

    assert "canary" not in str(caught.value)
    problems = validation_problems(caught.value, AcmeOptions)
    assert problems == [(("api_key",), "'api_key': input should be a valid string")]


# The environment


def test_a_given_value_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "from-environment")

    assert AcmeOptions(api_key=SecretStr("given")).api_key.get_secret_value() == "given"
    assert AcmeOptions().api_key.get_secret_value() == "from-environment"
    assert AcmeOptions.parse({"api_key": None}, where="x").api_key.get_secret_value() == "from-environment"


def test_variables_are_tried_in_order_and_an_empty_one_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", "second")
    assert AcmeOptions().api_key.get_secret_value() == "second"

    monkeypatch.setenv("ACME_API_KEY", "")
    assert AcmeOptions().api_key.get_secret_value() == "second"

    monkeypatch.setenv("ACME_API_KEY", "first")
    assert AcmeOptions().api_key.get_secret_value() == "first"


def test_a_missing_key_is_an_error_that_names_option_and_variables() -> None:
    for values in ({}, {"api_key": None}):
        assert problem(**values) == "AcmeModel: api_key is missing: pass api_key=... or set ACME_API_KEY or ACME_KEY."


def test_an_option_that_may_be_none_is_not_missing() -> None:
    options = AcmeOptions(api_key=SecretStr(KEY))

    assert options.folder is None
    assert options.region == "eu"
    assert AcmeOptions.parse({"api_key": KEY, "region": None}, where="x").region == "eu"


def test_a_variable_comes_before_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_REGION", "us")
    monkeypatch.setenv("ACME_FOLDER", "b1g")

    options = AcmeOptions(api_key=SecretStr(KEY))

    assert (options.region, options.folder) == ("us", "b1g")


def test_the_environment_is_read_when_a_model_is_made_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "early")

    class Late(ModelOptions):
        api_key: SecretStr = from_env("ACME_API_KEY")

    monkeypatch.setenv("ACME_API_KEY", "late")

    assert Late().api_key.get_secret_value() == "late"


def test_variables_of_a_subclass_are_named_too() -> None:
    class Longer(AcmeOptions):
        account: str = from_env("ACME_NUMBER", "ACME_ACCOUNT_7F3A")

    with pytest.raises(ConfigError, match=r"account is missing: .* set ACME_NUMBER or ACME_ACCOUNT_7F3A"):
        Longer.parse({"api_key": KEY}, where="x")


def test_the_schema_tells_the_variables_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", KEY)
    schema = AcmeOptions.model_json_schema()

    assert schema["additionalProperties"] is False
    assert schema["properties"]["api_key"]["env"] == ["ACME_API_KEY", "ACME_KEY"]
    assert schema["properties"]["api_key"]["description"] == "Key of the account."
    assert "canary" not in json.dumps(schema)


# What may be shown


def loaded() -> AcmeOptions:
    return AcmeOptions.parse(
        {
            "api_key": KEY,
            "base_url": f"https://user:{KEY}@host/v1",
            "extra": {"note": f"the key is {KEY}", "headers": {"X-Token": "short"}, "file": Path("/a"), "f": print},
        },
        where="x",
    )


def test_public_options_are_json_ready_and_without_secrets() -> None:
    shown = loaded().public()

    assert json.loads(json.dumps(shown)) == shown
    assert shown["api_key"] == "***"
    assert shown["base_url"] == "https://***@host/v1"
    assert shown["extra"] == {
        "note": "the key is ***",
        "headers": {"X-Token": "***"},
        "file": "/a",
        "f": "<builtin_function_or_method>",
    }
    assert "rpm" not in shown
    assert shown["batch_size"] == 16


def test_neither_repr_nor_str_shows_a_secret() -> None:
    options = loaded()

    for text in (repr(options), str(options), f"{options}", repr([options])):
        assert "canary" not in text
        assert "short" not in text
        assert "api_key='***'" in text


def test_the_secrets_are_all_there_for_a_redactor() -> None:
    assert set(loaded().secrets()) == {KEY, "short"}


def test_a_typed_url_shows_without_its_password() -> None:
    class Typed(ModelOptions):
        url: HttpUrl

    options = Typed.parse({"url": f"https://u:{KEY}@host/"}, where="x")

    assert options.public()["url"] == "https://***@host/"
    assert options.secrets() == [KEY, KEY]
    assert "canary" not in repr(options)


def test_options_survive_pickling() -> None:
    twin = pickle.loads(pickle.dumps(loaded()))

    assert twin.api_key.get_secret_value() == KEY
