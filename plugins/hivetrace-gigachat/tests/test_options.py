"""Which options are accepted, under which names, from which variables, and what goes into a request."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

import pytest
import trustme
from hivetrace_gigachat import GigaChatModel, GigaChatOptions
from hivetrace_gigachat.params import GigaChatParams
from hivetrace_gigachat.spelling import model_id

from hivetrace_core import ConfigError, create_model

KEY = "Y2xpZW50LWlkOmNsaWVudC1zZWNyZXQtMTIz"  # client-id:client-secret-123


def options(**given: Any) -> GigaChatOptions:
    return GigaChatOptions.parse({"model": "GigaChat", "credentials": KEY, **given}, where="test")


def refused(**given: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        GigaChatModel(**{"model": "GigaChat", "credentials": KEY, **given})
    return str(caught.value)


def test_the_documented_call_works_as_written() -> None:
    model = GigaChatModel(model="gigachat", credentials="...", verify_ssl_certs=False)

    params = model.get_params()
    assert (params["model_name"], params["provider"], params["verify_tls"]) == ("GigaChat", "gigachat", False)
    assert params["credentials"] == "***"
    assert "verify_ssl_certs" not in params


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("gigachat", "GigaChat"),
        ("gigachat-2-max", "GigaChat-2-Max"),
        ("GIGACHAT-2-PRO", "GigaChat-2-Pro"),
        ("gigachat-2-preview", "GigaChat-2-preview"),
        ("gigachat-max:latest", "GigaChat-Max:latest"),
        (" GigaChat-2 ", "GigaChat-2"),
        ("gigachat-3-ultra", "gigachat-3-ultra"),
        ("my-Finetune", "my-Finetune"),
    ],
)
def test_known_ids_get_the_services_spelling_and_others_pass_unchanged(given: str, sent: str) -> None:
    assert model_id(given) == sent
    assert options(model=given).parameters()["model"] == sent


@pytest.mark.parametrize("name", ["gigachat", "gigachat/GigaChat-2-Max", "GigaChat-2-Max", "gigachat-2"])
def test_the_registry_finds_the_model_by_name_and_by_claim(name: str) -> None:
    model = create_model(name, credentials=KEY)

    assert isinstance(model, GigaChatModel)
    assert model.get_params()["model_name"].startswith("GigaChat")


# Credentials


def test_a_missing_credential_is_named_with_its_variable() -> None:
    message = refused(credentials=None)

    assert "credentials=..." in message
    assert "GIGACHAT_CREDENTIALS" in message


def test_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", KEY)

    model = GigaChatModel("GigaChat")

    assert model.options.credentials is not None
    assert model.options.credentials.get_secret_value() == KEY
    assert KEY not in str(model.get_params()) + repr(model) + repr(model.options)


def test_what_is_passed_comes_before_any_credential_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCESS_TOKEN", "CREDENTIALS", "USER", "PASSWORD"):
        monkeypatch.setenv(f"GIGACHAT_{name}", f"of-the-environment-{name}")

    by_key = GigaChatModel("GigaChat", credentials=KEY).options
    by_name = GigaChatModel("GigaChat", user="me").options
    by_itself = GigaChatModel("GigaChat").options

    assert (by_key.access_token, by_key.user, by_key.password) == (None, None, None)
    assert (by_name.access_token, by_name.credentials) == (None, None)
    assert by_name.password is not None
    assert by_name.password.get_secret_value() == "of-the-environment-PASSWORD"
    assert by_itself.access_token is not None
    assert (by_itself.credentials, by_itself.user) == (None, None)


def test_half_a_login_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "GIGACHAT_PASSWORD" in refused(credentials=None, user="me")
    assert "GIGACHAT_USER" in refused(credentials=None, password="secret-123")

    monkeypatch.setenv("GIGACHAT_USER", "me")
    assert "GIGACHAT_PASSWORD" in refused(credentials=None)


@pytest.mark.parametrize("other", [{"access_token": "a-token"}, {"user": "me", "password": "p"}])
def test_two_credentials_are_refused(other: dict[str, Any]) -> None:
    assert "only one of" in refused(**other)


@pytest.mark.parametrize("name", ["credentials", "access_token"])
@pytest.mark.parametrize("value", ["two words", "line\nbreak", "кириллица", "   "])
def test_a_credential_that_fits_no_header_is_refused_unseen(name: str, value: str) -> None:
    message = refused(**{"credentials": None, name: value})

    assert "ASCII" in message
    assert value not in message


def test_blanks_around_a_pasted_key_are_dropped() -> None:
    key = options(credentials=f" {KEY}\n").credentials

    assert key is not None
    assert key.get_secret_value() == KEY


def test_the_secret_inside_the_key_is_a_secret_too() -> None:
    assert "client-secret-123" in options().secrets()
    assert options(credentials="no-base64!").secrets() == ["no-base64!"]


@pytest.mark.parametrize("variable", ["GIGACHAT_SCOPE", "GIGACHAT_API_SCOPE"])
def test_the_scope_has_two_variables(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "GIGACHAT_API_B2B")

    assert options().scope == "GIGACHAT_API_B2B"
    assert options(scope="GIGACHAT_API_CORP").scope == "GIGACHAT_API_CORP"


def test_the_sdks_variables_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "MODEL": "gigachat-2",
        "BASE_URL": "https://giga.example/v1",
        "AUTH_URL": "https://auth.example/oauth",
        "PROFANITY_CHECK": "false",
        "TIMEOUT": "45",
        "TOKEN_EXPIRY_BUFFER_MS": "5000",
        "FLAGS": '["a", "b"]',
        "CREDENTIALS": KEY,
    }
    for name, value in values.items():
        monkeypatch.setenv(f"GIGACHAT_{name}", value)

    found = GigaChatModel().options

    assert (found.model, found.base_url, found.auth_url) == (
        "GigaChat-2",
        "https://giga.example/v1",
        "https://auth.example/oauth",
    )
    assert (found.profanity_check, found.timeout, found.token_expiry_buffer_ms) == (False, 45, 5000)
    assert found.flags == ["a", "b"]


# TLS


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(path)
    return path


def test_both_spellings_of_the_tls_options_mean_the_same(bundle: Path) -> None:
    assert options(ca_bundle_file=str(bundle)).ca_bundle == options(ca_bundle=bundle).ca_bundle == bundle
    assert options(verify_ssl_certs=False).verify_tls is False
    assert options(verify_ssl_certs=True, verify_tls=True).verify_tls is True
    assert "differ" in refused(verify_ssl_certs=False, verify_tls=True)


def test_tls_is_verified_unless_told_otherwise(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert options().verify_tls

    monkeypatch.setenv("GIGACHAT_VERIFY_SSL_CERTS", "False")
    assert not options().verify_tls
    assert options(verify_tls=True).verify_tls
    assert options(ca_bundle=bundle).verify_tls

    monkeypatch.setenv("GIGACHAT_CA_BUNDLE_FILE", str(bundle))
    assert options().ca_bundle == bundle
    assert options().verify_tls
    assert options(verify_ssl_certs=True).ca_bundle == bundle
    assert options(verify_ssl_certs=False).ca_bundle is None


# What the service has not


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("stop", "no stop sequences"),
        ("seed", "no seed"),
        ("presence_penalty", "repetition_penalty"),
        ("frequency_penalty", "repetition_penalty"),
        ("tools", "functions"),
        ("n", "one answer"),
        ("api_key", "credentials"),
        ("cert_file", "client certificates are not supported"),
        ("max_retries", "max_attempts"),
    ],
)
def test_an_option_that_the_service_lacks_is_refused_by_name_with_the_reason(name: str, reason: str) -> None:
    message = refused(**{name: 1})

    assert f"GigaChat has no option '{name}'" in message
    assert reason in message


def test_every_wrong_name_is_told_at_once() -> None:
    message = refused(stop=["x"], seed=1, temprature=1)

    assert "'stop'" in message
    assert "'seed'" in message
    assert "'temprature'" in message


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"temperature": 0}, "top_p=0"),
        ({"temperature": -1}, "above 0"),
        ({"top_p": 1.1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"token_expiry_buffer_ms": -1}, "must not be negative"),
        ({"auth_url": "ngw.example"}, "auth_url must start"),
        ({"auth_url": "https://me:pw@ngw.example"}, "auth_url must have no user name"),
        ({"auth_url": "https://ngw.example/?a=b"}, "auth_url must have no user name"),
        ({"flags": "a, b"}, "JSON list"),
        ({"temprature": 1}, "did you mean 'temperature'"),
    ],
)
def test_a_wrong_value_is_explained(given: dict[str, Any], word: str) -> None:
    assert word in refused(**given)


def test_what_is_not_set_is_not_sent_and_what_is_set_is() -> None:
    assert options().parameters() == {"model": "GigaChat"}

    given: dict[str, Any] = {
        "temperature": 0.001,
        "top_p": 0,
        "max_tokens": 5,
        "repetition_penalty": 1.1,
        "update_interval": 0,
        "profanity_check": False,
        "functions": [{"name": "f"}],
        "function_call": "auto",
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema"},
        "flags": ["a"],
        "storage": {"is_stateful": True},
    }
    assert options(**given).parameters() == {"model": "GigaChat", **given}


@pytest.mark.parametrize(
    ("given", "width"),
    [
        ({}, 1),
        ({"scope": "GIGACHAT_API_CORP"}, 10),
        ({"credentials": None, "access_token": "a-token"}, 10),
        ({"batch_size": 7}, 7),
        ({"max_concurrency": 5}, 5),
    ],
)
def test_the_default_window_is_what_the_service_allows(given: dict[str, Any], width: int) -> None:
    assert options(**given).batch_size == width


def test_the_typed_constructor_has_exactly_the_options() -> None:
    assert set(typing.get_type_hints(GigaChatParams)) == set(GigaChatOptions.model_fields) - {"model"}
    assert all(field.description for field in GigaChatOptions.model_fields.values())
