"""Errors: one tree, facts of the promised types, nothing lost on the way to another process."""

import copy
import json
import math
import pickle
from typing import Any, get_args

import pytest

from hivetrace_core import errors
from hivetrace_core.errors import ERROR_KINDS, RETRYABLE_KINDS, ErrorKind, HiveTraceError, ModelError, unexpected
from hivetrace_core.responses import error_info


def test_every_error_has_the_one_base_and_none_is_a_key_error() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]

    assert len(classes) == 10
    assert all(issubclass(cls, HiveTraceError) and not issubclass(cls, LookupError) for cls in classes)
    plugin = {cls.__name__ for cls in classes if issubclass(cls, errors.PluginError)}
    assert plugin == {
        "PluginError",
        "UnknownModelError",
        "NameConflictError",
        "PluginLoadError",
        "IncompatiblePluginError",
        "MissingDependencyError",
    }


def test_the_kinds_are_those_of_the_design() -> None:
    assert set(get_args(ErrorKind)) == ERROR_KINDS
    assert " ".join(get_args(ErrorKind)) == (
        "authentication permission rate_limit quota context_length bad_request not_found timeout connection server "
        "response_format unexpected not_sent"
    )


@pytest.mark.parametrize("kind", sorted(ERROR_KINDS))
def test_another_attempt_may_cure_only_waits_and_faults_on_the_way(kind: ErrorKind) -> None:
    assert ModelError("x", kind=kind).retryable is (kind in {"rate_limit", "timeout", "connection", "server"})
    assert ModelError("x", kind=kind, retryable=True).retryable is True
    assert ModelError("x", kind=kind, retryable=False).retryable is False
    assert (kind in RETRYABLE_KINDS) is ModelError("x", kind=kind).retryable


def test_a_kind_outside_the_list_is_unexpected() -> None:
    error = ModelError("x", kind="overloaded")  # type: ignore[arg-type]

    assert error.kind == "unexpected"
    assert not error.retryable


@pytest.mark.parametrize("wait", [-1.0, math.inf, -math.inf, math.nan])
def test_a_wait_that_is_no_wait_counts_as_none(wait: float) -> None:
    assert ModelError("x", retry_after=wait).retry_after is None
    assert ModelError("x", retry_after=0).retry_after == 0
    assert ModelError("x", retry_after=2.5).retry_after == 2.5


def test_what_an_sdk_hands_on_becomes_text() -> None:
    error = ModelError(ValueError("from the SDK"), code=1234)  # type: ignore[arg-type]

    assert (error.message, str(error), error.code) == ("from the SDK", "from the SDK", "1234")
    assert json.loads(json.dumps(error_info(error)))["code"] == "1234"


def test_an_error_says_nothing_that_it_does_not_know() -> None:
    assert error_info(ModelError("Gone", kind="not_found")) == {
        "kind": "not_found",
        "message": "Gone",
        "status": None,
        "retryable": False,
    }
    full = ModelError("Wait", kind="rate_limit", status=429, code="slow_down", retry_after=2.0)
    assert error_info(full) == {
        "kind": "rate_limit",
        "message": "Wait",
        "status": 429,
        "retryable": True,
        "code": "slow_down",
        "retry_after": 2.0,
    }


class SdkError(ModelError):
    """Of a plugin, with a constructor of its own."""

    def __init__(self, response: dict[str, Any], *, region: str) -> None:
        super().__init__(f"{response['message']} in {region}", kind="server", status=503, request_id="r-1")
        self.region = region


@pytest.mark.parametrize("duplicate", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize(
    "error",
    [
        ModelError(
            "Wait",
            kind="rate_limit",
            provider="acme",
            model="large",
            status=429,
            code="slow_down",
            retry_after=2.0,
            retryable=False,
            attempts=3,
            request_id="r-1",
            response={"content": "par"},
        ),
        SdkError({"message": "Down"}, region="eu"),
    ],
)
def test_an_error_survives_pickling_and_copying_whole(error: ModelError, duplicate: Any) -> None:
    twin = duplicate(error)

    assert type(twin) is type(error)
    assert vars(twin) == vars(error)
    assert str(twin) == str(error)
    assert twin.args == error.args


def test_an_unforeseen_exception_is_named_with_its_text() -> None:
    assert unexpected(ValueError("no such thing")).message == "ValueError: no such thing"
    assert unexpected(KeyError()).message == "KeyError"
    assert unexpected(SystemExit(3)).message == "SystemExit: 3"
    assert unexpected(ValueError("x")).kind == "unexpected"


def test_an_exception_that_cannot_be_shown_is_named() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert unexpected(MuteError()).message == "MuteError"


def test_an_exception_that_repeats_the_whole_prompt_is_cut() -> None:
    message = unexpected(ValueError("x" * 10_000_000)).message

    assert len(message) < 2100
    assert message.endswith("x...")
    assert unexpected(ValueError("x" * 2000)).message == "ValueError: " + "x" * 2000
