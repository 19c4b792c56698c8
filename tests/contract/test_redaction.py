"""Secrets: which names and values are secret, and that none is readable in what leaves the process."""

import base64
import json
import re
import time
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus
from uuid import UUID

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import HttpUrl, SecretBytes, SecretStr

from hivetrace_core.redaction import MASK, MIN_SECRET_LENGTH, Redactor, is_secret_name, mask_params, secret_values

KEY = "sk-proj-4f/9+Q==x y"

ANY_TEXT = st.text(st.characters(), max_size=40)
TRICKY = st.text(st.sampled_from(list("aZ0\\\"/+= %&'<>\n\t\x00éЯ漢😀\ud800u")), min_size=8, max_size=20)
SECRETS = TRICKY | st.text(st.characters(), min_size=8, max_size=24)
FAST = settings(max_examples=80, deadline=None, derandomize=True)


# Names


@pytest.mark.parametrize(
    "name",
    [
        *(
            "api_key",
            "apikey",
            "API_KEY",
            "apiKey",
            "APIKey",
            "X-API-Key",
            "x-goog-api-key",
            "ACME_API_KEY",
            "key",
            "keys",
        ),
        *("api_keys", "api_key_2", "private_key", "privateKey", "access_key", "Ocp-Apim-Subscription-Key", "hmac_key"),
        *("token", "iam_token", "access_token", "accessToken", "authtoken", "hf_token", "refresh_tokens", "token2"),
        *("secret", "client_secret", "clientSecret", "secret_id", "secrets", "password", "passwd", "db_password"),
        *("proxy_password", "passphrase", "credentials", "credential", "aws_credentials", "authorization"),
        *("Authorization", "Proxy-Authorization", "cookie", "Set-Cookie"),
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("max_tokens", "tokens", "input_tokens", "max_completion_tokens", "x-ratelimit-remaining-tokens", "maxTokens"),
        *("eos_token", "bos_token", "pad_token", "stop_token", "stop_token_ids", "max_token", "token_ids", "tokenizer"),
        *("monkey", "keyboard", "turkey", "hockey", "keyword", "primary_key", "sort_key", "prompt_cache_key", "key_id"),
        *("api_key_file", "credentials_path", "private_key_path", "api_key_env", "model", "temperature", "base_url"),
        *("author", "pass", "passage", "", "  ", "123", "ключ"),
    ],
)
def test_names_of_other_things(name: str) -> None:
    assert not is_secret_name(name)


# Values


class Level(Enum):
    HIGH = "high"
    KEY = "enum-secret-1"


def test_secret_values_are_found_under_their_names_at_any_depth() -> None:
    params = {
        "model": "not-a-secret",
        "api_key": "named-1",
        "credentials": {"type": "nested-1", "more": ["nested-2", {"x": "nested-3"}]},
        "extra": [{"headers": {"X-API-Key": "header-1"}}],
        "typed": SecretStr("typed-1"),
        "bytes": SecretBytes(b"typed-2"),
        "pin": {"password": 12345678},
        "token": Level.KEY,
        "raw_token": b"bytes-1",
        "max_tokens": 100,
        "flag_secret": True,
        "secret": None,
        "empty_key": "",
    }

    others = ["enum-secret-1", "bytes-1"]
    assert sorted(secret_values(params)) == sorted(
        ["named-1", "nested-1", "nested-2", "nested-3", "header-1", "typed-1", "typed-2", "12345678", *others]
    )


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("http://user:pass%21word@host:8080/x", {"pass%21word", "pass!word"}),
        ("socks5://only-a-token@host", {"only-a-token"}),
        ("http://user:p@ss'wo\"rd@host", {"p@ss'wo\"rd"}),
        ("try http://a:first-pass@h and https://b:second-pass@h", {"first-pass", "second-pass"}),
        ("http://user:@host", set()),
        ("https://host/path?mail=a@b", set()),
        ("mail me: a@b.c", set()),
        ("http://[::1", set()),
    ],
)
def test_userinfo_in_urls_is_secret(url: str, secrets: set[str]) -> None:
    assert set(secret_values({"proxy": url})) == secrets
    assert set(secret_values([url])) == secrets


def test_userinfo_in_a_typed_url_is_secret_too() -> None:
    assert set(secret_values({"base": HttpUrl("https://u:typed-pass@host/v1")})) == {"typed-pass"}


@pytest.mark.parametrize(
    ("header", "secrets"),
    [
        ("Bearer sk-1234567", {"Bearer sk-1234567", "sk-1234567"}),
        ("bearer   sk-1234567", {"bearer   sk-1234567", "sk-1234567"}),
        ("Api-Key AQVN-123", {"Api-Key AQVN-123", "AQVN-123"}),
        ("Basic dXNlcjpzM2NyZXQtMQ==", {"Basic dXNlcjpzM2NyZXQtMQ==", "dXNlcjpzM2NyZXQtMQ==", "s3cret-1"}),
        ("Basic not base64", {"Basic not base64"}),
        ("Basic AAAA", {"Basic AAAA", "AAAA"}),
        ("plain", {"plain"}),
    ],
)
def test_what_follows_the_scheme_of_an_authorization_is_a_secret_by_itself(header: str, secrets: set[str]) -> None:
    assert set(secret_values({"Authorization": header})) == secrets


# Masks


def test_a_masked_copy_is_json_ready_and_without_any_secret_however_short() -> None:
    class Vault:
        def __repr__(self) -> str:
            return "Vault('hunter2')"

    params = {
        "api_key": "k",
        "password": 7,
        "secret": ["a", {"b": 1.5}],
        "typed": SecretStr("s"),
        "use_secret": True,
        "token": None,
        "proxy": "http://user:x@y@host/z",
        "base": HttpUrl("https://u:p@host/v1"),
        "path": Path("/a/b"),
        "level": Level.HIGH,
        "when": date(2026, 1, 2),
        "price": Decimal("1.50"),
        "id": UUID(int=1),
        "vault": Vault(),
        "call": print,
        "nan": float("nan"),
        "t": 0.5,
        "n": 3,
        "tags": {"one"},
        5: (1, 2),
    }

    masked = mask_params(params)

    assert json.loads(json.dumps(masked, allow_nan=False)) == masked
    assert masked == {
        "api_key": MASK,
        "password": MASK,
        "secret": [MASK, {"b": MASK}],
        "typed": MASK,
        "use_secret": True,
        "token": None,
        "proxy": f"http://{MASK}@host/z",
        "base": f"https://{MASK}@host/v1",
        "path": "/a/b",
        "level": "high",
        "when": "2026-01-02",
        "price": "1.50",
        "id": "00000000-0000-0000-0000-000000000001",
        "vault": "<test_a_masked_copy_is_json_ready_and_without_any_secret_however_short.<locals>.Vault>",
        "call": "<builtin_function_or_method>",
        "nan": "nan",
        "t": 0.5,
        "n": 3,
        "tags": ["one"],
        "5": [1, 2],
    }


def test_masking_a_long_dotted_text_takes_no_time() -> None:
    began = time.process_time()

    mask_params("a." * 200_000)

    assert time.process_time() - began < 5


# Redaction


def spellings(secret: str) -> list[str]:
    """A secret as other programs write it."""
    raw = secret.encode("utf-8", "surrogatepass")
    percent = quote(raw, safe="")
    escaped = json.dumps(secret)[1:-1]
    return [
        secret,
        percent,
        re.sub("%..", lambda found: found[0].lower(), percent),
        quote(raw),
        quote(raw, safe="!*'()"),
        quote_plus(raw),
        quote(percent, safe=""),
        escaped,
        escaped.replace("/", "\\/"),
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(secret))[3:-3],
        json.dumps(json.dumps(secret, ensure_ascii=False), ensure_ascii=False)[3:-3],
    ]


def readable(text: str, secret: str) -> bool:
    """Whether a text still has the secret: as it is, escaped, percent-encoded or in base64."""
    raw = secret.encode("utf-8", "surrogatepass")
    if any(spelling in text for spelling in spellings(secret)):
        return True
    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            # The characters that hold nothing but the secret's own bits.
            whole = alphabet(b"\0" * offset + raw + b"\0" * 3).decode("ascii")
            start, end = -(-8 * offset // 6), 8 * (offset + len(raw)) // 6
            if whole[start:end] in text:
                return True
    return False


@FAST
@given(SECRETS, ANY_TEXT, ANY_TEXT)
@example("\\" * 9, "\\", "\\")
@example('"' * 9, "\\", "")
@example("\\\n\\\n\\\n\\\n", "", "")
@example("        x", " ", "")
@example("ab cd+ef/gh", "", "%")
def test_no_spelling_of_a_secret_is_readable_in_redacted_text(secret: str, before: str, after: str) -> None:
    assume(len(secret.strip()) >= MIN_SECRET_LENGTH)
    redactor = Redactor([secret])

    for spelling in spellings(secret):
        clean = redactor.text(f"{before}{spelling}{after}")

        assert MASK in clean
        assert not readable(clean, secret)


@FAST
@given(SECRETS, st.binary(max_size=4), st.binary(max_size=4))
def test_no_base64_of_a_secret_is_readable_at_any_offset(secret: str, before: bytes, after: bytes) -> None:
    assume(len(secret.strip()) >= MIN_SECRET_LENGTH)
    raw = before + secret.encode("utf-8", "surrogatepass") + after
    redactor = Redactor([secret])

    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(raw).decode("ascii")
        for spelling in (text, quote(text, safe=""), text.replace("/", "\\/")):
            clean = redactor.text(f"Authorization: Basic {spelling}")

            assert MASK in clean
            assert not readable(clean, secret)


def test_a_latin_1_password_is_found_in_basic_authentication() -> None:
    text = base64.b64encode("user:pässwörd-1".encode("latin-1")).decode()

    assert MASK in Redactor(["pässwörd-1"]).text(text)


JSON = st.recursive(
    st.none() | st.integers() | st.booleans() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


@FAST
@given(TRICKY, JSON, st.data())
def test_data_is_redacted_at_any_depth_keys_included(secret: str, filler: Any, data: st.DataObject) -> None:
    assume(len(secret.strip()) >= MIN_SECRET_LENGTH)
    spelling = data.draw(st.sampled_from(spellings(secret)))
    value: Any = {"a": [filler, {f"x{spelling}": f"{spelling}y"}], "t": ({"z": spelling},)}
    before = repr(value)

    clean = Redactor([secret]).data(value)

    assert repr(value) == before
    assert not readable(json.dumps(clean), secret)
    assert not readable(json.dumps(clean, ensure_ascii=False), secret)
    assert MASK in clean["t"][0]["z"]
    assert MASK in next(iter(clean["a"][1]))


@FAST
@given(JSON)
def test_data_without_secrets_is_unchanged(value: Any) -> None:
    assert Redactor(["never-there-0123456789"]).data(value) == value
    assert Redactor().data(value) is value


def test_data_may_be_nested_deeper_than_python_calls_itself() -> None:
    value: Any = "sk-12345678"
    for _ in range(50_000):
        value = [value]

    clean = Redactor(["sk-12345678"]).data(value)

    depth = 0
    while isinstance(clean, list):
        (clean,) = clean
        depth += 1
    assert (clean, depth) == (MASK, 50_000)


def test_keys_that_are_no_text_stay() -> None:
    assert Redactor(["sk-12345678"]).data({1: "sk-12345678", (2, 3): None}) == {1: MASK, (2, 3): None}


def test_short_secrets_are_left_to_their_keys() -> None:
    redactor = Redactor(["seven77", "", "  seven77  ", " " * 20])

    assert not redactor
    assert redactor.text("seven77") == "seven77"
    assert MIN_SECRET_LENGTH == 8
    assert Redactor(["eight888"]).text("eight888") == MASK


def test_a_secret_is_found_without_the_blanks_around_it() -> None:
    assert Redactor(["sk-12345678\n"]).text("key sk-12345678 refused") == f"key {MASK} refused"
    assert Redactor(["sk-12345678\n"]).text("key sk-12345678\n refused") == f"key {MASK} refused"


def test_of_two_secrets_the_longer_goes_whole() -> None:
    assert Redactor(["abcdefgh", "abcdefghijkl"]).text("abcdefghijkl abcdefgh") == f"{MASK} {MASK}"
    assert Redactor(["abcdefghijkl", "abcdefgh"]).text("abcdefghijkl") == MASK


def test_innocent_text_stays_to_the_letter() -> None:
    text = "The key sk-proj-4f is short; a/b+c == d. \\n % é"

    assert Redactor([KEY]).text(text) == text


@pytest.mark.parametrize(
    "text",
    ["\\" * 300_000, "%25" * 100_000, "%" * 300_000, '"' * 300_000, "sk-" * 100_000, "\\u00" * 75_000, "+" * 300_000],
    ids=["backslashes", "percents", "signs", "quotes", "beginnings", "escapes", "pluses"],
)
def test_no_text_makes_the_search_slow(text: str) -> None:
    redactor = Redactor([KEY, "\\" * 12, '"' * 12 + "x", "%" * 9 + "z", "é" * 10, '\\"\\"\\"\\"\\"z'])
    began = time.process_time()

    redactor.text(text)

    assert time.process_time() - began < 5


def test_the_redactor_shows_no_secret_itself() -> None:
    redactor = Redactor([KEY])

    assert KEY not in repr(redactor)
    assert bool(redactor)
