"""`--env-file`: what is read, and what is refused."""

import os

import pytest

from hivetrace_core import ConfigError
from hivetrace_core.config import load_env_file


def test_a_usual_file_is_read(write):
    path = write(
        """
# a comment

ACME_API_KEY=sk-0123
export PLAIN = spaced value   # comment
SINGLE='a "b" $HOME # no comment'
DOUBLE="line one\\nline two\\t\\"q\\""
MULTI="first
second"
EMPTY=
REFERENCE=${ACME_API_KEY}
EQUALS=a=b==
РУССКОЕ_НЕТ
""".replace("РУССКОЕ_НЕТ\n", "LAST=x"),
        ".env",
    )

    assert load_env_file(path) == {
        "ACME_API_KEY": "sk-0123",
        "PLAIN": "spaced value",
        "SINGLE": 'a "b" $HOME # no comment',
        "DOUBLE": 'line one\nline two\t"q"',
        "MULTI": "first\nsecond",
        "EMPTY": "",
        "REFERENCE": "${ACME_API_KEY}",
        "EQUALS": "a=b==",
        "LAST": "x",
    }


def test_the_environment_stays_as_it_was(write):
    before = dict(os.environ)

    load_env_file(write("HIVETRACE_TEST_NEW=1\nHOME=/elsewhere\n", ".env"))

    assert dict(os.environ) == before


def test_the_last_of_two_equal_names_counts(write):
    assert load_env_file(write("A=1\nA=2\n", ".env")) == {"A": "2"}


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfA=1\r\nB=2\r\n", b"A=1\rB=2", b"A=1\n\n\n B=2"])
def test_byte_order_marks_and_line_ends_do_not_matter(write, content):
    assert load_env_file(write(content, ".env")) == {"A": "1", "B": "2"}


@pytest.mark.parametrize("content", ["", "\n", "# nothing\n"])
def test_an_empty_file_has_no_variables(write, content):
    assert load_env_file(write(content, ".env")) == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("A=1\n\nSECRETVALUE\nB=2", ".env:3: the `=` is missing; write SECRETVALUE=VALUE."),
        ("A=1\n\n\n  B='SECRET\nC=3", ".env:4: not `KEY=VALUE`, or a quote that is never closed."),
        ('A="SECRET', ".env:1: not `KEY=VALUE`, or a quote that is never closed."),
        ("A=1\nB C=SECRET", ".env:2: not `KEY=VALUE`"),
        ("A='x' SECRET", ".env:1: not `KEY=VALUE`"),
        ("=SECRET", ".env:1: not `KEY=VALUE`"),
        ("A=1\n1B=SECRET", ".env:2: the part before `=` is not the name of a variable (letters, digits and `_`)."),
        ("A-B=SECRET", ".env:1: the part before `=` is not the name of a variable"),
        ("КЛЮЧ=SECRET", ".env:1: the part before `=` is not the name of a variable"),
        ("A=\0", ".env:1: a NUL byte"),
        (b"A=1\nB=\xff", ".env:2: byte 0xff is not UTF-8. Save the file as UTF-8."),
        ("x" * (1024 * 1024 + 1), ".env is larger than 1,024 KiB"),
    ],
)
def test_a_line_that_is_no_assignment_is_refused_without_its_value(write, content, said):
    with pytest.raises(ConfigError) as caught:
        load_env_file(write(content, ".env"))

    assert str(caught.value).startswith(said)
    assert "=SECRET" not in str(caught.value)


def test_a_missing_file_is_a_config_error(write):
    write("A=1", ".env")

    with pytest.raises(ConfigError, match=r"There is no env file \.evn; did you mean \.env\?"):
        load_env_file(".evn")
