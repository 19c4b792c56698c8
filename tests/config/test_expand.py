"""`${ENV_VAR}` in params: what is replaced, what is refused, and which values are secret."""

import pytest

from hivetrace_core.config import expand

ENVIRON = {"KEY": "sk-0123456789", "HOST": "example.org", "EMPTY": "", "_x9": "y", "NESTED": "${KEY}"}


def expanded(params):
    reports = []
    result = expand(params, report=lambda path, text: reports.append((path, text)), environ=ENVIRON)
    assert reports == []
    return result


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${KEY}", "sk-0123456789"),
        ("a ${HOST} b ${_x9}", "a example.org b y"),
        ("${HOST}${HOST}", "example.orgexample.org"),
        ("$${KEY}", "${KEY}"),
        ("$$${KEY}", "$${KEY}"),
        ("$${", "${"),
        ("$KEY $ {KEY} $$", "$KEY $ {KEY} $$"),
        ("{KEY}", "{KEY}"),
        ("${NESTED}", "${KEY}"),
        ("", ""),
    ],
)
def test_references_are_replaced_once_and_the_escape_is_literal(written, value):
    assert expanded({"a": written}).params == {"a": value}


def test_values_are_replaced_at_any_depth_and_keys_never():
    params = {"${KEY}": {"a": ["${HOST}", {"b": ("${HOST}", 1, None, True, 2.5)}]}}

    assert expanded(params).params == {"${KEY}": {"a": ["example.org", {"b": ("example.org", 1, None, True, 2.5)}]}}
    assert params["${KEY}"]["a"][0] == "${HOST}"


def test_objects_from_python_are_passed_through():
    client = object()

    assert expanded({"client": client}).params["client"] is client


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("${UNSET}", "the environment variable UNSET is not set; set it, or put the value here"),
        ("${EMPTY}", "the environment variable EMPTY is not set"),
        ("${KEY", "`${` begins a variable, as in ${NAME}; write `$${` for the text itself"),
        ("${}", "`${` begins a variable"),
        ("${KEY:-default}", "`${` begins a variable"),
        ("${1X}", "`${` begins a variable"),
        ("${a b}", "`${` begins a variable"),
    ],
)
def test_what_cannot_be_replaced_is_reported_with_its_path(written, said):
    reports = []
    expand({"a": [{"b": written}]}, report=lambda path, text: reports.append((path, text)), environ=ENVIRON)

    [(path, text)] = reports
    assert path == ("a", 0, "b")
    assert text.startswith(said)


def test_variables_are_those_of_the_process_by_default(monkeypatch):
    monkeypatch.setenv("HIVETRACE_TEST_VALUE", "now")

    result = expand({"a": "${HIVETRACE_TEST_VALUE}"}, report=lambda *_: None)

    assert result.params == {"a": "now"}


@pytest.mark.parametrize(
    ("params", "secrets"),
    [
        ({"api_key": "literal-key"}, {"literal-key"}),
        ({"api_key": "${KEY}"}, {"sk-0123456789"}),
        ({"authorization": "Bearer ${KEY}"}, {"Bearer sk-0123456789", "sk-0123456789"}),
        ({"headers": {"X-Api-Key": ["${KEY}"]}}, {"sk-0123456789"}),
        ({"credentials": {"user": "${HOST}", "pin": 12345678, "on": True, "none": None}}, {"example.org", "12345678"}),
        ({"proxy": "http://me:${KEY}@${HOST}/"}, {"sk-0123456789"}),
        ({"base_url": "https://${HOST}/v1"}, set()),
        ({"note": "${KEY}"}, set()),
        ({"max_tokens": 256}, set()),
    ],
)
def test_secrets_are_what_stands_under_a_secret_name_and_in_urls(params, secrets):
    result = expanded(params)

    assert set(result.secrets) == secrets
    for secret in secrets:
        assert secret not in repr(result)
