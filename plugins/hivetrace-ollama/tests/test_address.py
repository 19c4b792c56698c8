"""Addresses in all the forms that Ollama's own programs take, and where the key may go."""

from __future__ import annotations

import pytest
from hivetrace_ollama import OllamaModel
from hivetrace_ollama.address import base_url_of
from hivetrace_ollama.options import OllamaOptions

from hivetrace_core import ConfigError

KEY = "ollama-key-from-the-environment"
LOCAL = "http://127.0.0.1:11434"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OLLAMA_HOST", "OLLAMA_BASE_URL", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("given", "base_url"),
    [
        ("", LOCAL),
        ("  ", LOCAL),
        ("127.0.0.1", LOCAL),
        ("localhost", "http://localhost:11434"),
        ("LocalHost", "http://localhost:11434"),
        (":11435", "http://127.0.0.1:11435"),
        ("10.0.0.5", "http://10.0.0.5:11434"),
        ("10.0.0.5:56789", "http://10.0.0.5:56789"),
        ("0.0.0.0", LOCAL),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("http://0.0.0.0:11434", LOCAL),
        ("[::]", "http://[::1]:11434"),
        ("::", "http://[::1]:11434"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[2001:db8::1]:56789", "http://[2001:db8::1]:56789"),
        ("https://[2001:db8::1]/x/", "https://[2001:db8::1]:443/x"),
        ("example.com", "http://example.com:11434"),
        ("example.com/", "http://example.com:11434"),
        ("example.com/path/", "http://example.com:11434/path"),
        ("example.com:8080/a/b", "http://example.com:8080/a/b"),
        ("http://example.com", "http://example.com:80"),
        ("HTTPS://example.com", "https://example.com:443"),
        ("https://example.com:8443/path", "https://example.com:8443/path"),
        ("http://localhost:11434", "http://localhost:11434"),
        ("http://localhost:11434/", "http://localhost:11434"),
        ('"http://localhost:11434"', "http://localhost:11434"),
        (" 'gpu-box:11434' ", "http://gpu-box:11434"),
    ],
)
def test_every_form_of_an_address_is_understood(given: str, base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", given)

    assert base_url_of(given, source="OLLAMA_HOST") == base_url
    assert OllamaOptions(model="m").base_url == base_url


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("ftp://example.com", "must start with http"),
        ("unix:///run/ollama.sock", "must start with http"),
        ("example.com:port", "no valid host and port"),
        ("example.com:70000", "no valid host and port"),
        ("example.com:0", "no valid host and port"),
        ("http://[::1", "no valid host and port"),
        ("http://me:hunter22@example.com", "user name or password"),
        ("http://example.com?key=hunter22", "query"),
        ("http://example.com#hunter22", "fragment"),
        ("exam ple.com", "blanks"),
        ("example.com\n:1", "blanks"),
    ],
)
def test_a_wrong_address_is_refused_by_the_name_of_where_it_stands(
    given: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=f"base_url .*{problem}") as caught:
        OllamaModel("m", base_url=given)
    assert "hunter22" not in str(caught.value)

    for variable in ("OLLAMA_HOST", "OLLAMA_BASE_URL"):
        monkeypatch.setenv(variable, given)
        with pytest.raises(ConfigError, match=f"{variable} .*{problem}") as caught:
            OllamaModel("m")
        assert "hunter22" not in str(caught.value)
        assert OllamaModel("m", base_url="localhost").options.base_url == "http://localhost:11434"


def test_the_option_comes_before_the_variables_and_the_url_before_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert OllamaOptions(model="m").base_url == LOCAL

    monkeypatch.setenv("OLLAMA_HOST", "host-box")
    assert OllamaOptions(model="m").base_url == "http://host-box:11434"

    monkeypatch.setenv("OLLAMA_BASE_URL", "http://url-box:1/x")
    assert OllamaOptions(model="m").base_url == "http://url-box:1/x"
    assert OllamaOptions(model="m", base_url="https://mine.example").base_url == "https://mine.example:443"

    monkeypatch.setenv("OLLAMA_BASE_URL", "")
    assert OllamaOptions(model="m").base_url == "http://host-box:11434"


@pytest.mark.parametrize(
    ("named", "base_url", "goes"),
    [
        (None, None, False),
        (None, "https://ollama.com", True),
        (None, "https://api.ollama.com/x", True),
        (None, "http://ollama.com", False),
        (None, "https://ollama.com.evil.example", False),
        (None, "https://notollama.com", False),
        (None, "https://evil.example/ollama.com", False),
        (None, "http://127.0.0.1:11434", False),
        ("https://gpu.example", None, True),
        ("https://gpu.example", "https://gpu.example:443/x", True),
        ("https://gpu.example", "https://gpu.example:8443", False),
        ("https://gpu.example", "https://other.example", False),
        ("https://gpu.example", "https://ollama.com", True),
        ("http://gpu.example:11434", None, False),
        ("http://10.0.0.5:11434", None, False),
        ("http://localhost:11434", None, True),
        ("http://[::1]:11434", None, True),
        ("0.0.0.0", None, True),
        ("example.com:port", "https://ollama.com", True),
        ("example.com:port", "http://localhost", False),
    ],
)
def test_the_environments_key_goes_to_its_own_server_and_to_nobody_else(
    named: str | None, base_url: str | None, goes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    if named is not None:
        monkeypatch.setenv("OLLAMA_HOST", named)

    model = OllamaModel("m") if base_url is None else OllamaModel("m", base_url=base_url)

    assert model.options.auth_headers() == ({"Authorization": f"Bearer {KEY}"} if goes else {})
    assert KEY not in str(model.get_params()) + repr(model) + repr(model.options)


def test_a_key_that_is_passed_goes_where_the_requests_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)

    model = OllamaModel("m", base_url="http://gpu-box", api_key="mine-12345")

    assert model.options.auth_headers() == {"Authorization": "Bearer mine-12345"}


def test_the_hosted_service_wants_a_key_and_both_ways_to_give_it_are_named() -> None:
    with pytest.raises(ConfigError, match=r"api_key=.*OLLAMA_API_KEY"):
        OllamaModel("gpt-oss:120b", base_url="https://ollama.com")

    assert OllamaModel("m", base_url="https://ollama.com", extra_headers={"authorization": "Bearer x"})
    assert OllamaModel("m", base_url="https://ollama.com", api_key="k").options.api_key is not None
