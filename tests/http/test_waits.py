"""How long a provider asks to wait, read from its headers."""

import math
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core.http import MAX_WAIT_S, duration, error_kind_for_status, wait_seconds

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "30s"}, 30.0),
        ({"retry-after": "1m30s"}, 90.0),
        ({"retry-after-ms": " 1500 "}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "99999999999999", "retry-after": "1"}, 1.0),
        ({"retry-after": str(int(MAX_WAIT_S))}, MAX_WAIT_S),
    ],
)
def test_seconds_and_milliseconds_are_read(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_seconds(headers, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "nan",
        "inf",
        "Infinity",
        "1e3",
        "1_000",
        "١٢",
        "soon",
        "1700000000",
        "86401",
        "9" * 400,
        "Wed, 99 Foo 2026",
    ],
)
def test_a_wait_that_cannot_be_meant_is_ignored(value: str) -> None:
    assert wait_seconds({"retry-after": value}, NOW) is None
    assert wait_seconds({"retry-after-ms": f"{value}000"}, NOW) is None or value == ""


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW, usegmt=True), 0.0),
        (formatdate(NOW - 3600, usegmt=True), 0.0),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60.0),
        ("Tue, 14 Nov 2023 22:14:20", 60.0),
        ("Wed, 15 Nov 2023 01:14:20 +0300", 60.0),
        ("Tuesday, 14-Nov-23 22:14:20 GMT", 60.0),
        ("Tue Nov 14 22:14:20 2023", 60.0),
        (formatdate(NOW + MAX_WAIT_S + 60, usegmt=True), None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Tue, 14 Nov 99999 22:14:20 GMT", None),
    ],
)
def test_a_date_is_measured_from_now(value: str, seconds: float | None) -> None:
    assert wait_seconds({"retry-after": value}, NOW) == seconds


def test_a_date_is_measured_from_the_servers_own_clock() -> None:
    headers = {"retry-after": formatdate(NOW + 5, usegmt=True), "date": formatdate(NOW, usegmt=True)}

    assert wait_seconds(headers) == 5.0
    assert wait_seconds({**headers, "date": "yesterday"}) == 0.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1m30.5s", 90.5),
        ("12ms", 0.012),
        ("6m0s", 360.0),
        ("1h2m3s", 3723.0),
        ("1d", 86_400.0),
        ("500us", 0.0005),
        ("500µs", 0.0005),
        ("7ns", 7e-9),
        ("37", 37.0),
        (" 37s ", 37.0),
        (".5s", 0.5),
        ("", None),
        ("s", None),
        ("1m 30s", None),
        ("1x", None),
        ("-5s", None),
        ("5s!", None),
        ("1m30", None),
        ("9" * 400 + "s", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    parsed = duration(text)

    assert parsed == (seconds if seconds is None else pytest.approx(seconds))


@given(st.text(), st.text())
def test_no_header_value_is_too_strange(seconds: str, milliseconds: str) -> None:
    wait = wait_seconds({"retry-after": seconds, "retry-after-ms": milliseconds, "date": milliseconds}, NOW)

    assert wait is None or 0 <= wait <= MAX_WAIT_S
    parsed = duration(seconds)
    assert parsed is None or (parsed >= 0 and math.isfinite(parsed))


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_a_duration_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    text = f"{hours}h{minutes}m{seconds}s{milliseconds}ms"

    assert duration(text) == pytest.approx(hours * 3600 + minutes * 60 + seconds + milliseconds / 1000)


def test_every_status_has_a_kind() -> None:
    kinds = {status: error_kind_for_status(status) for status in range(1000)}

    assert {status for status, kind in kinds.items() if kind == "response_format"} == {
        *range(300),
        *range(600, 1000),
    }
    assert {status for status, kind in kinds.items() if kind == "not_found"} == {*range(300, 400), 404, 405, 410}
    assert {status for status, kind in kinds.items() if kind == "timeout"} == {408, 504, 522, 524}
    assert {status for status, kind in kinds.items() if kind == "authentication"} == {401, 407}
    assert {status for status, kind in kinds.items() if kind == "permission"} == {403, 451}
    assert {status for status, kind in kinds.items() if kind == "quota"} == {402}
    assert {status for status, kind in kinds.items() if kind == "rate_limit"} == {429}
    assert {status for status, kind in kinds.items() if kind == "server"} == {
        409,
        425,
        499,
        *(set(range(500, 600)) - {501, 504, 522, 524}),
    }
    assert all(kind == "bad_request" for status, kind in kinds.items() if status in (400, 406, 413, 422, 431, 501))
