"""Options of HTTP providers: what is refused, and in which words."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from hivetrace_core import ConfigError, SecretStr
from hivetrace_core.http import HttpOptions
from hivetrace_core.redaction import Redactor


def problem(**options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        HttpOptions.parse({"base_url": "https://api.example/v1", **options}, where="AcmeModel")
    return str(caught.value)


def test_the_defaults_verify_and_are_bounded() -> None:
    options = HttpOptions.parse({"base_url": " https://api.example/v1 "}, where="AcmeModel")

    assert options.base_url == "https://api.example/v1"
    assert options.verify_tls is True
    assert options.max_response_bytes == 64 * 1024 * 1024
    assert (options.ca_bundle, options.proxy, options.extra_headers, options.extra_body) == (None, None, {}, {})


def test_a_missing_base_url_is_named() -> None:
    with pytest.raises(ConfigError, match="'base_url' is missing"):
        HttpOptions.parse({}, where="AcmeModel")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("api.example/v1", "must start with http:// or https://"),
        ("ftp://api.example", "must start with http:// or https://"),
        ("https://", "has no valid host"),
        ("https:///v1", "has no valid host"),
        ("https://host:0", "has no valid host and port"),
        ("https://host:99999", "is not a valid URL"),
        ("https://[::1", "is not a valid URL"),
        ("https://api.example/v 1", "blanks or line breaks"),
        ("https://api.exa\nmple", "blanks or line breaks"),
        ("https://api.exa\tmple", "blanks or line breaks"),
        ("https://me:secret-pass@host", "must not contain a user name or password"),
        ("https://secret-pass@host", "must not contain a user name or password"),
        ("https://host/v1?key=secret-pass", "must not have a query"),
        ("https://host/v1#secret-pass", "must not have a query"),
    ],
)
def test_a_base_url_that_cannot_work_is_refused_without_showing_it(url: str, why: str) -> None:
    message = problem(base_url=url)

    assert message.startswith("AcmeModel: base_url ")
    assert why in message
    assert "secret-pass" not in message


@pytest.mark.parametrize("url", ["http://localhost:8080", "https://[::1]:8443/v1", "https://api.example/a/b/"])
def test_ordinary_base_urls_pass(url: str) -> None:
    assert HttpOptions(base_url=url).base_url == url


def test_a_proxy_may_have_credentials_and_they_are_secrets() -> None:
    options = HttpOptions(base_url="https://api.example", proxy="http://me:pass-word@proxy.example:3128")

    assert "pass-word" in options.secrets()
    assert "pass-word" not in str(options.public())


def test_a_socks_proxy_is_refused_with_the_reason() -> None:
    message = problem(proxy="socks5://me:pass-word@localhost:1080")

    assert "proxy must start with http:// or https://; SOCKS is not supported" in message
    assert "pass-word" not in message


def test_a_ca_bundle_must_be_a_readable_pem_file(tmp_path: Path, authority: Any) -> None:
    text = tmp_path / "notes.pem"
    text.write_text("no certificate")
    empty = tmp_path / "empty.pem"
    empty.touch()

    assert f"ca_bundle: {tmp_path}/none.pem cannot be read (No such file" in problem(ca_bundle=f"{tmp_path}/none.pem")
    assert f"ca_bundle: {tmp_path} is a folder" in problem(ca_bundle=str(tmp_path))
    assert f"ca_bundle: {text} holds no certificate" in problem(ca_bundle=text)
    assert f"ca_bundle: {empty} holds no certificate" in problem(ca_bundle=empty)
    assert HttpOptions(base_url="https://api.example", ca_bundle=authority.pem).ca_bundle == authority.pem


def test_a_ca_bundle_may_start_at_home(monkeypatch: pytest.MonkeyPatch, authority: Any) -> None:
    monkeypatch.setenv("HOME", str(authority.pem.parent))

    assert HttpOptions(base_url="https://api.example", ca_bundle=Path("~/ca.pem")).ca_bundle == authority.pem


def test_a_ca_bundle_without_verification_is_a_contradiction(authority: Any) -> None:
    assert "ca_bundle has no effect with verify_tls=False" in problem(ca_bundle=authority.pem, verify_tls=False)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("Authorization", "Bearer secret-pass\n", "the value of Authorization contains a line break"),
        ("Authorization", "Bearer \rsecret-pass", "the value of Authorization contains a line break"),
        ("X-Key", "secret-pass\x00", "contains a line break or control character"),
        ("X-Key", "secret-pass\ud800", "contains a line break or control character"),
        ("X Key", "secret-pass", "'X Key' is no name for a header"),
        ("", "secret-pass", "'' is no name for a header"),
        ("X:Key", "secret-pass", "'X:Key' is no name for a header"),
        ("Content-Length", "10", "the header Content-Length is set by the transport"),
        ("transfer-encoding", "chunked", "the header transfer-encoding is set by the transport"),
        ("Accept-Encoding", "br", "the header Accept-Encoding is set by the transport"),
    ],
)
def test_headers_that_http_cannot_carry_are_refused_without_the_value(name: str, value: str, why: str) -> None:
    message = problem(extra_headers={name: value})

    assert why in message
    assert "secret-pass" not in message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), dt.date(2026, 1, 1), {1, 2}])
def test_an_extra_body_must_be_json(value: Any) -> None:
    assert "extra_body cannot be written as JSON" in problem(extra_body={"a": [value]})


def test_an_extra_body_that_contains_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless

    with pytest.raises((ConfigError, RecursionError)):
        HttpOptions.parse({"base_url": "https://api.example", "extra_body": endless}, where="AcmeModel")


@pytest.mark.parametrize("option", ["connect_timeout", "max_response_bytes"])
def test_limits_are_positive(option: str) -> None:
    assert f"'{option}': input should be greater than" in problem(**{option: 0})


def test_the_token_of_an_authorization_header_is_a_secret_by_itself() -> None:
    options = HttpOptions(
        base_url="https://api.example", extra_headers={"Authorization": "Bearer sk-0123456789", "X-Title": "two words"}
    )

    redact = Redactor(options.secrets())

    assert redact.text("bad key sk-0123456789, two words") == "bad key ***, two words"


def test_options_of_a_provider_are_checked_too() -> None:
    class AcmeOptions(HttpOptions):
        base_url: str = "https://api.acme.example/v1"

    assert AcmeOptions().base_url == "https://api.acme.example/v1"
    with pytest.raises(ConfigError, match="base_url must start with"):
        AcmeOptions.parse({"base_url": "acme"}, where="AcmeModel")


@pytest.mark.parametrize(
    ("key", "says"),
    [("", "api_key is empty"), (" ", "api_key is empty"), ("abcdefgh\n", "line break"), ("abc\x00defgh", "line break")],
)
def test_a_credential_that_cannot_be_meant_is_refused_before_anything_is_sent(key: str, says: str) -> None:
    class Keyed(HttpOptions):
        base_url: str = "https://acme.example/v1"
        api_key: SecretStr | None = None

    with pytest.raises(ConfigError, match=says) as caught:
        Keyed.parse({"api_key": key}, where="AcmeModel")
    assert "abc" not in str(caught.value)
