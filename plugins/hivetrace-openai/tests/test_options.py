"""Which options are accepted, what goes into a request, and which credential goes to which host."""

from __future__ import annotations

from typing import Any

import pytest
from hivetrace_openai import OpenAIModel, OpenRouterModel, SberCloudModel
from hivetrace_openai.model import wire_message
from hivetrace_openai.options import OpenAIOptions, OpenRouterOptions

from hivetrace_core import ConfigError, Message, ModelError, Reply

OPENAI_ENVIRONMENT = {
    "OPENAI_API_KEY": "sk-from-the-environment",
    "OPENAI_ORG_ID": "org-from-the-environment",
    "OPENAI_PROJECT_ID": "proj-from-the-environment",
    "OPENAI_BASE_URL": "https://elsewhere.example/v1",
    "OPENAI_CUSTOM_HEADERS": "X-Secret: from-the-environment",
}
AZURE: dict[str, Any] = {"azure_endpoint": "https://me.openai.azure.com/", "api_version": "2024-10-21"}


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    azure = ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", "OPENAI_API_VERSION")
    for name in (*OPENAI_ENVIRONMENT, *azure, "OPENROUTER_API_KEY", "SBER_CLOUD_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OPENAI_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        (OpenAIModel, "OPENAI_API_KEY"),
        (OpenRouterModel, "OPENROUTER_API_KEY"),
        (SberCloudModel, "SBER_CLOUD_API_KEY"),
    ],
)
def test_the_key_comes_from_the_environment_and_a_missing_one_is_named(
    model: Any, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=f"api_key.*{variable}"):
        model(model="some/model")

    monkeypatch.setenv(variable, "key-from-environment")
    assert model(model="some/model").options.auth_headers()["Authorization"] == "Bearer key-from-environment"
    assert "key-from" not in str(model(model="some/model").get_params())


@pytest.mark.usefixtures("environment")
def test_nothing_of_openais_environment_travels_to_another_host() -> None:
    headers = OpenAIOptions(model="m", base_url="http://127.0.0.1:8000/v1").auth_headers()

    assert headers == {}


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    "base_url",
    ["https://api.openai.com.evil.example/v1", "https://evil.example/api.openai.com", "https://notapi.openai.com/v1"],
)
def test_a_host_that_only_looks_like_openais_gets_no_key(base_url: str) -> None:
    assert OpenAIOptions(model="m", base_url=base_url).auth_headers() == {}


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("base_url", [None, "https://api.openai.com/v1", "https://eu.api.openai.com/v1"])
def test_openai_itself_gets_key_organisation_and_project(base_url: str | None) -> None:
    options = OpenAIOptions(model="m") if base_url is None else OpenAIOptions(model="m", base_url=base_url)

    assert options.auth_headers() == {
        "Authorization": "Bearer sk-from-the-environment",
        "OpenAI-Organization": "org-from-the-environment",
        "OpenAI-Project": "proj-from-the-environment",
    }


@pytest.mark.usefixtures("environment")
def test_azure_gets_its_own_credential_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="AZURE_OPENAI_API_KEY"):
        OpenAIOptions(model="gpt-4.1", **AZURE)

    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")
    options = OpenAIOptions(model="gpt 4.1", **AZURE)

    assert options.auth_headers() == {"api-key": "azure-key"}
    assert options.base_url == "https://me.openai.azure.com/openai/deployments/gpt%204.1"
    assert options.path() == "chat/completions?api-version=2024-10-21"


def test_azures_token_wins_over_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "entra-token")

    assert OpenAIOptions(model="m", **AZURE).auth_headers() == {"Authorization": "Bearer entra-token"}


def test_azures_environment_does_not_turn_openai_into_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://me.openai.azure.com")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1234567890")

    assert not OpenAIOptions(model="m").is_azure


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"azure_endpoint": "https://x.example"}, "api_version is missing"),
        ({"api_version": "2024-10-21"}, "azure_endpoint is missing"),
        ({**AZURE, "api_key": "k", "azure_ad_token": "t"}, "only one of"),
        ({**AZURE, "api_key": "k", "base_url": "https://x.example"}, "exclude each other"),
        ({"api_key": "k", "max_tokens": 1, "max_completion_tokens": 1}, "mean the same"),
        ({"api_key": "k", "temprature": 1}, "did you mean 'temperature'"),
    ],
)
def test_contradictions_are_refused_before_anything_is_sent(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OpenAIModel(model="m", **wrong)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"api_key": "k"}, "max_completion_tokens"),
        ({"base_url": "http://127.0.0.1:1/v1"}, "max_tokens"),
        ({**AZURE, "api_key": "k"}, "max_completion_tokens"),
        ({**AZURE, "api_key": "k", "api_version": "2024-02-01"}, "max_tokens"),
        ({**AZURE, "api_key": "k", "api_version": "preview"}, "max_completion_tokens"),
    ],
)
def test_the_length_limit_goes_by_the_name_that_the_server_knows(options: dict[str, Any], field: str) -> None:
    body = OpenAIOptions(model="o3", max_tokens=1000, **options).parameters()

    assert body == {"model": "o3", field: 1000}


def test_what_is_not_set_is_not_sent() -> None:
    assert OpenAIOptions(model="m", api_key="k").parameters() == {"model": "m"}


def test_falsy_values_that_are_set_are_sent() -> None:
    options = OpenAIOptions(model="m", api_key="k", temperature=0, logprobs=False, seed=0)

    assert options.parameters() == {"model": "m", "temperature": 0, "logprobs": False, "seed": 0}


def test_openrouters_context_compression_is_off_unless_asked_for() -> None:
    off = {"id": "context-compression", "enabled": False}

    assert OpenRouterOptions(model="m", api_key="k").parameters()["plugins"] == [off]
    assert "plugins" not in OpenRouterOptions(model="m", api_key="k", context_compression=True).parameters()
    web = {"id": "web"}
    assert OpenRouterOptions(model="m", api_key="k", plugins=[web]).parameters()["plugins"] == [web, off]
    own = {"id": "context-compression", "enabled": True}
    assert OpenRouterOptions(model="m", api_key="k", plugins=[own]).parameters()["plugins"] == [own]


def test_images_are_spelt_as_the_wire_wants_them() -> None:
    message: Message = {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image", "data": "aGk=", "mime_type": "image/png"},
            {"type": "image", "url": "https://x.example/a.png", "detail": "low"},
        ],
    }

    assert wire_message(message)["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}},
    ]


@pytest.mark.usefixtures("environment")
def test_a_refusal_of_a_request_without_a_key_says_that_none_was_sent() -> None:
    model = OpenAIModel(model="m", base_url="http://127.0.0.1:9/v1")

    with pytest.raises(ModelError, match=r"no key was sent.*api_key=") as caught:
        model.classify(Reply({"error": {"message": "Incorrect API key"}}, 401))

    assert caught.value.kind == "authentication"
    with pytest.raises(ModelError, match="check the key"):
        OpenAIModel(model="m").classify(Reply({"error": {"message": "Incorrect API key"}}, 401))
