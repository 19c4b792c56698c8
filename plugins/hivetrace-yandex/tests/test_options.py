"""Which options are accepted, what goes into a request, and which credential goes to which host."""

from __future__ import annotations

from typing import Any

import pytest
from hivetrace_yandex import YandexGPTModel
from hivetrace_yandex.options import BASE_URL, OPERATIONS_URL, UNSUPPORTED, YandexGPTOptions

from hivetrace_core import ConfigError, UnknownModelError, create_model

KEY: dict[str, Any] = {"folder_id": "b1g", "api_key": "AQVN-a-key-1"}


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("YANDEX_GPT_API_KEY", "YC_API_KEY", "YC_IAM_TOKEN", "YANDEX_FOLDER_ID"):
        monkeypatch.delenv(name, raising=False)


def options(model: str = "yandexgpt-lite", **more: Any) -> YandexGPTOptions:
    return YandexGPTOptions(model=model, **{**KEY, **more})


def test_the_documented_call_works_as_written() -> None:
    model = YandexGPTModel(model="yandexgpt-lite", folder_id="...", api_key="...")

    assert model.options.model_uri() == "gpt://.../yandexgpt-lite/latest"
    assert model.get_params()["model_name"] == "yandexgpt-lite"
    assert model.options.base_url == BASE_URL


@pytest.mark.parametrize(
    ("model", "uri"),
    [
        ("yandexgpt-lite", "gpt://b1g/yandexgpt-lite/latest"),
        ("yandexgpt/rc", "gpt://b1g/yandexgpt/rc"),
        ("yandexgpt/deprecated", "gpt://b1g/yandexgpt/deprecated"),
        ("yandexgpt-lite@tamr", "gpt://b1g/yandexgpt-lite/latest@tamr"),
        ("yandexgpt-lite/rc@tamr", "gpt://b1g/yandexgpt-lite/rc@tamr"),
        ("gpt://other/yandexgpt/latest@tamr", "gpt://other/yandexgpt/latest@tamr"),
        ("ds://bt1abc", "ds://bt1abc"),
    ],
)
def test_an_id_becomes_the_uri_that_the_service_wants(model: str, uri: str) -> None:
    assert options(model).parameters()["modelUri"] == uri


@pytest.mark.parametrize("uri", ["gpt://b1g/yandexgpt/latest", "ds://bt1abc"])
def test_a_whole_uri_needs_no_folder(uri: str) -> None:
    assert YandexGPTModel(uri, api_key="k").options.folder_id is None


def test_a_short_id_without_a_folder_says_where_it_can_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"folder_id is missing.*YANDEX_FOLDER_ID.*gpt://FOLDER"):
        YandexGPTModel("yandexgpt-lite", api_key="k")

    monkeypatch.setenv("YANDEX_FOLDER_ID", "b1g-env")
    assert YandexGPTModel("yandexgpt", api_key="k").options.model_uri() == "gpt://b1g-env/yandexgpt/latest"


@pytest.mark.parametrize("model", ["a/b/c", "/latest", "name/", "two words", "gpt://b1g/two words", "", "@x", "a?b"])
def test_what_is_no_id_is_refused_before_anything_is_sent(model: str) -> None:
    with pytest.raises(ConfigError, match="model"):
        YandexGPTModel(model, **KEY)


@pytest.mark.parametrize("folder", ["b1g/x", "b 1", "", " ", "b1g?"])
def test_what_is_no_folder_is_refused(folder: str) -> None:
    with pytest.raises(ConfigError, match="folder_id"):
        YandexGPTModel("yandexgpt", api_key="k", folder_id=folder)


def test_a_missing_credential_names_every_place_where_one_could_be() -> None:
    with pytest.raises(ConfigError, match=r"api_key.*YANDEX_GPT_API_KEY.*YC_API_KEY.*iam_token.*YC_IAM_TOKEN"):
        YandexGPTModel("yandexgpt", folder_id="b1g")


def test_the_environment_is_asked_in_order_and_only_without_a_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {"YC_IAM_TOKEN": "Bearer t1.env", "YC_API_KEY": "Api-Key key-2", "YANDEX_GPT_API_KEY": "Api-Key key-1"}
    for variable, header in expected.items():
        monkeypatch.setenv(variable, header.split()[1])
        assert YandexGPTOptions(model="yandexgpt", folder_id="b").fixed_headers() == {"Authorization": header}

    assert YandexGPTOptions(model="ds://x", iam_token="t1.own").fixed_headers() == {"Authorization": "Bearer t1.own"}
    assert YandexGPTOptions(model="ds://x", iam_token_provider=lambda: "t1").fixed_headers() == {}


@pytest.mark.parametrize(
    "two",
    [
        {"api_key": "k", "iam_token": "t"},
        {"api_key": "k", "iam_token_provider": lambda: "t"},
        {"iam_token": "t", "iam_token_provider": lambda: "t"},
    ],
)
def test_two_credentials_are_a_contradiction(two: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="both credentials: pass one"):
        YandexGPTModel("ds://x", **two)


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_a_parameter_that_the_service_lacks_is_refused_by_name_with_the_reason(name: str) -> None:
    wrong: dict[str, Any] = {name: 0.5}
    with pytest.raises(ConfigError, match=rf"{name} is not supported by YandexGPT: .*(leave it out|use|text only)"):
        YandexGPTModel("yandexgpt", **KEY, **wrong)


def test_an_unset_parameter_that_the_service_lacks_does_no_harm() -> None:
    assert options(stop=None, top_p=None).parameters()["completionOptions"] == {"stream": False}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": 1.5}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"mode": "later"}, "mode"),
        ({"json_object": True, "json_schema": {}}, "exclude each other"),
        ({"poll_interval": 20.0}, "shorter than poll_interval"),
        ({"iam_token_provider": "a-command"}, "iam_token_provider"),
        ({"operations_url": "ftp://x"}, "http"),
        ({"temprature": 1}, "did you mean 'temperature'"),
    ],
)
def test_contradictions_are_refused_before_anything_is_sent(wrong: dict[str, Any], message: str) -> None:
    credential = {} if "iam_token_provider" in wrong else {"api_key": "k"}
    with pytest.raises(ConfigError, match=message):
        YandexGPTModel("ds://x", **credential, **wrong)


def test_what_is_not_set_is_not_sent() -> None:
    assert options().parameters() == {
        "modelUri": "gpt://b1g/yandexgpt-lite/latest",
        "completionOptions": {"stream": False},
    }
    assert options().fixed_headers().keys() == {"Authorization"}


def test_all_that_is_set_is_sent_in_the_words_of_the_service() -> None:
    function = {"name": "weather", "parameters": {"type": "object"}}
    body = options(
        temperature=0,
        max_tokens=500,
        reasoning_options={"mode": "ENABLED_HIDDEN"},
        tools=[{"type": "function", "function": function}, {"search": {}}],
        tool_choice="auto",
        parallel_tool_calls=False,
        json_object=False,
    ).parameters()

    assert body["completionOptions"] == {
        "stream": False,
        "temperature": 0,
        "maxTokens": "500",
        "reasoningOptions": {"mode": "ENABLED_HIDDEN"},
    }
    assert body["tools"] == [{"function": function}, {"search": {}}]
    assert body["toolChoice"] == {"mode": "AUTO"}
    assert (body["parallelToolCalls"], body["jsonObject"]) == (False, False)


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ({"type": "function", "function": {"name": "weather"}}, {"functionName": "weather"}),
        ({"functionName": "weather"}, {"functionName": "weather"}),
        ("none", {"mode": "NONE"}),
    ],
)
def test_a_tool_is_chosen_in_either_form(choice: Any, sent: Any) -> None:
    assert options(tool_choice=choice).parameters()["toolChoice"] == sent


@pytest.mark.parametrize("schema", [{"type": "object"}, {"schema": {"type": "object"}}])
def test_a_json_schema_is_sent_once_wrapped(schema: Any) -> None:
    assert options(json_schema=schema).parameters()["jsonSchema"] == {"schema": {"type": "object"}}


@pytest.mark.parametrize(("value", "sent"), [(False, "false"), (True, "true"), (None, None)])
def test_the_service_is_asked_about_logging_only_if_somebody_cares(value: bool | None, sent: str | None) -> None:
    assert options(data_logging=value).fixed_headers().get("x-data-logging-enabled") == sent


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, OPERATIONS_URL),
        ({"base_url": "https://llm.api.cloud.yandex.net/foundationModels/v2/"}, OPERATIONS_URL),
        ({"base_url": "http://127.0.0.1:1/yandex/foundationModels/v1"}, "http://127.0.0.1:1/yandex"),
        ({"base_url": "http://127.0.0.1:1/yandex/foundationModels/v1/"}, "http://127.0.0.1:1/yandex"),
        (
            {"base_url": "https://llm.api.cloud.yandex.net.evil.example/v1"},
            "https://llm.api.cloud.yandex.net.evil.example/v1",
        ),
        ({"base_url": "https://a.example", "operations_url": "https://b.example"}, "https://b.example"),
    ],
)
def test_operations_are_read_where_they_were_begun(given: dict[str, Any], address: str) -> None:
    assert options(**given).operations_address() == address


def test_an_operation_gets_more_time_unless_somebody_says_otherwise() -> None:
    def times(**given: Any) -> tuple[float | None, float | None]:
        found = options(**given)
        return found.timeout, found.deadline

    assert times() == (120.0, 600.0)
    assert times(mode="async") == (600.0, 1800.0)
    assert times(mode="async", timeout=5) == (5.0, 1800.0)
    assert times(mode="async", deadline=None) == (600.0, None)


def test_params_show_no_secret() -> None:
    shown = str(
        [
            YandexGPTModel("ds://x", api_key="AQVN-very-secret").get_params(),
            YandexGPTModel("ds://x", iam_token="t1.very-secret").get_params(),
            YandexGPTModel("ds://x", iam_token_provider=lambda: "t1.very-secret").get_params(),
            repr(options(api_key="AQVN-very-secret")),
        ]
    )

    assert "very-secret" not in shown
    assert "iam_token_provider" not in shown


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("yandexgpt-lite", "yandexgpt-lite"),
        ("yandexgpt", "yandexgpt"),
        ("yandex", "yandexgpt-lite"),
        ("yandex/yandexgpt/rc", "yandexgpt/rc"),
        ("yandex/gpt://b1g/yandexgpt/latest", "gpt://b1g/yandexgpt/latest"),
    ],
)
def test_a_name_in_a_config_finds_the_model(name: str, model: str) -> None:
    found = create_model(name, **KEY)

    assert isinstance(found, YandexGPTModel)
    assert found.options.model == model


def test_open_weights_of_the_family_are_not_claimed() -> None:
    with pytest.raises(UnknownModelError, match="yandexgpt-5-lite-8b-instruct"):
        create_model("yandexgpt-5-lite-8b-instruct", **KEY)
