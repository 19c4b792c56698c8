"""What an author writes: classes, options, replies and errors, right and wrong."""

import asyncio
import logging
import ssl
from collections import UserDict
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import pytest

from hivetrace_core import (
    ConfigError,
    Messages,
    MissingDependencyError,
    ModelError,
    ModelOptions,
    ProviderModel,
    Reply,
)

T = TypeVar("T", bound=ModelOptions)
C = TypeVar("C")


class GlobexOptions(ModelOptions):
    region: str = "eu"
    provider: str = "routing"


class Globex(ProviderModel[GlobexOptions]):
    """Does what its attributes say."""

    gives: Any = None
    classified: Any = None
    translated: Any = None

    async def complete(self, client: Any, messages: Messages) -> Any:
        return act(self.gives, messages[-1]["content"])

    def classify(self, reply: Reply) -> Any:
        return super().classify(reply) if self.classified is None else act(self.classified, reply)

    def classify_error(self, exc: Exception) -> Any:
        return super().classify_error(exc) if self.translated is None else act(self.translated, exc)


def act(what: Any, *args: Any) -> Any:
    if isinstance(what, BaseException):
        raise what
    return what(*args) if callable(what) else what


def globex(**attributes: Any) -> Globex:
    model = Globex("g-1", max_attempts=1)
    vars(model).update(attributes)
    return model


def failure_of(model: Globex) -> ModelError:
    with pytest.raises(ModelError) as caught:
        model.invoke("a")
    assert model.batch(["a"])[0]["error"]["kind"] == caught.value.kind
    assert (caught.value.provider, caught.value.model) == ("globex", "g-1")
    return caught.value


# Classes


def test_the_options_class_is_read_from_the_type_argument() -> None:
    class Plain(Globex):
        pass

    class Own(Globex):
        options_class = ModelOptions

    class Base(ProviderModel[T]):
        async def complete(self, client: Any, messages: Messages) -> Any: ...

    class Leaf(Base[GlobexOptions]):
        pass

    class Twofold(ProviderModel[T], Generic[C, T]):
        async def complete(self, client: Any, messages: Messages) -> Any: ...

    class TwofoldLeaf(Twofold[dict[str, str], GlobexOptions]):
        pass

    class WithMixin(Leaf, Generic[C]):
        pass

    for cls in (Globex, Plain, Leaf, TwofoldLeaf, WithMixin):
        assert cls.options_class is GlobexOptions, cls
        assert cls("m", region="us").options.region == "us"
    for cls in (Base, Own, Twofold):
        assert cls.options_class is ModelOptions
    with pytest.raises(ConfigError, match="Base: unknown option 'region'"):
        Base("m", region="us")


def test_an_options_class_named_in_quotes_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match="Quoted: name the options class itself, not 'GlobexOptions'"):

        class Quoted(ProviderModel["GlobexOptions"]):
            pass


def test_the_provider_is_named_after_the_class_unless_it_says_otherwise() -> None:
    class HooliChatModel(Globex):
        pass

    class Named(Globex):
        provider = "hooli"

    class Below(Named):
        pass

    assert Globex.provider == "globex"
    assert HooliChatModel.provider == "hoolichat"
    assert Named.provider == "hooli"
    assert Below.provider == "below"


def test_a_name_that_the_registry_sets_is_the_one_in_responses() -> None:
    model = globex(gives={"content": "x"})
    model.provider = "acme"

    assert model.invoke("a")["response_metadata"]["provider"] == "acme"
    assert model.get_params()["provider"] == "acme"


def test_an_option_of_the_same_name_does_not_hide_who_the_provider_is() -> None:
    params = globex().get_params()

    assert (params["model_name"], params["provider"]) == ("g-1", "globex")


def test_a_class_without_complete_cannot_be_made() -> None:
    class Unfinished(ProviderModel[GlobexOptions]):
        pass

    with pytest.raises(TypeError, match=r"abstract method .?complete"):
        Unfinished("m")  # type: ignore[abstract]


# Replies


def test_a_finished_response_is_accepted_as_it_is() -> None:
    whole = {
        "content": "x",
        "extra": 1,
        "response_metadata": {
            "model_name": "g-1-2026",
            "finish_reason": "length",
            "outcome": "truncated",
            "custom": [1],
        },
    }

    response: Any = globex(gives=whole).invoke("a")

    assert response["extra"] == 1
    assert response["response_metadata"].pop("latency_s") >= 0
    assert response["response_metadata"] == {
        "provider": "globex",
        "model_name": "g-1-2026",
        "finish_reason": "length",
        "outcome": "truncated",
        "custom": [1],
        "attempts": 1,
    }


@pytest.mark.parametrize(
    ("given", "outcome", "finish"),
    [
        ({"content": "x"}, "answered", "stop"),
        ({"content": None}, "empty", "stop"),
        ({"content": "x", "response_metadata": {"finish_reason": "content_filter"}}, "blocked", "content_filter"),
        ({"content": "x", "response_metadata": {"outcome": "blocked"}}, "blocked", "content_filter"),
        ({"content": "x", "response_metadata": {"outcome": "splendid"}}, "unknown", "unknown"),
        (UserDict({"content": "x", "finish_reason": "length"}), "truncated", "length"),
    ],
)
def test_an_unfinished_response_is_completed(given: Any, outcome: str, finish: str) -> None:
    response = globex(gives=given).invoke("a")

    metadata = response["response_metadata"]
    assert type(response) is dict
    assert (metadata["outcome"], metadata["finish_reason"]) == (outcome, finish)
    assert (metadata["model_name"], metadata["provider"]) == ("g-1", "globex")
    assert ("block" in metadata) is (outcome == "blocked")
    assert isinstance(response["content"], str)


@pytest.mark.parametrize("named", ["splendid", None, 5, ["answered"]])
def test_a_whole_response_with_an_outcome_of_its_own_invention_is_no_success(named: Any) -> None:
    metadata = {"model_name": "m", "finish_reason": "unknown", "outcome": named}

    response = globex(gives={"content": "x", "response_metadata": metadata}).invoke("a")

    assert response["response_metadata"]["outcome"] == "unknown"


def test_a_block_without_its_reason_gets_one() -> None:
    metadata = {"model_name": "m", "finish_reason": "content_filter", "outcome": "blocked"}

    response = globex(gives={"content": "", "response_metadata": metadata}).invoke("a")

    assert response["response_metadata"]["block"]["rule"] == "finish_reason"


def test_the_same_dict_for_every_prompt_is_not_shared_between_responses() -> None:
    constant = {
        "content": "x",
        "response_metadata": {"model_name": "m", "finish_reason": "stop", "outcome": "answered"},
    }

    responses = globex(gives=constant).batch(["a", "b", "c"])

    assert [response["response_metadata"]["index"] for response in responses] == [0, 1, 2]
    assert constant["response_metadata"] == {"model_name": "m", "finish_reason": "stop", "outcome": "answered"}


@pytest.mark.parametrize(
    ("rubbish", "says"),
    [
        (None, "Globex returned an object of type NoneType, not a dict"),
        ("text", "Globex returned an object of type str"),
        ({}, "Globex returned a dict without `content`"),
        ({"choices": []}, "without `content` (its keys: choices)"),
    ],
)
def test_rubbish_is_an_error_that_says_what_came(rubbish: Any, says: str) -> None:
    for error in (
        failure_of(globex(gives=rubbish)),
        failure_of(globex(gives=Reply({}), classified=lambda _: rubbish)),
    ):
        assert error.kind == "response_format"
        assert says in error.message


def test_a_raw_reply_needs_a_classify() -> None:
    error = failure_of(globex(gives=Reply({"text": "x"})))

    assert error.kind == "unexpected"
    assert error.message == "Globex.complete returned a raw reply, but the class has no classify"


def test_classify_sees_every_status_and_decides() -> None:
    def classify(reply: Reply) -> Mapping[str, Any]:
        if reply.payload == "filtered":
            return {"content": "", "response_metadata": {"finish_reason": "content_filter"}}
        raise ModelError("No such model", kind="not_found", status=reply.status)

    blocked = globex(gives=Reply("filtered", 400), classified=classify).invoke("a")
    error = failure_of(globex(gives=Reply("gone", 404), classified=classify))

    assert blocked["response_metadata"]["outcome"] == "blocked"
    assert (error.kind, error.status) == ("not_found", 404)


# Verdicts


@pytest.mark.parametrize(
    ("verdict", "outcome"), [(True, "blocked"), (False, "answered"), (KeyError("x"), "unknown")], ids=str
)
def test_a_verdict_of_the_classs_own_decides_blocked_or_not(verdict: Any, outcome: str) -> None:
    class Judging(Globex):
        gives = {  # noqa: RUF012
            "content": "x",
            "response_metadata": {"model_name": "m", "finish_reason": "content_filter", "outcome": "blocked"},
        }

        def is_answer_blocked(self, response: Any) -> bool:
            return bool(act(verdict))

    metadata = Judging("m").invoke("a")["response_metadata"]

    assert metadata["outcome"] == outcome
    assert metadata["finish_reason"] == "content_filter"


def test_a_verdict_that_would_always_be_true_is_refused() -> None:
    class Coroutine(Globex):
        async def is_answer_blocked(self, response: Any) -> bool:  # type: ignore[override]
            return False

    with pytest.raises(ConfigError, match="is_answer_blocked of Coroutine is a coroutine function"):
        Coroutine("m")


# Errors


CERTIFICATE = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
CERTIFICATE.verify_message = "self-signed certificate"


def chained(outer: Exception, cause: Exception) -> Exception:
    outer.__cause__ = cause
    return outer


def circle() -> Exception:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first


@pytest.mark.parametrize(
    ("raised", "kind", "says", "retryable"),
    [
        (TimeoutError(), "timeout", "The request timed out", True),
        (ConnectionResetError(104, "reset"), "connection", "The connection failed (ConnectionResetError: ", True),
        (OSError(101, "Network is unreachable"), "connection", "The connection failed (OSError: ", True),
        (FileNotFoundError(2, "No such file", "/ca.pem"), "unexpected", "FileNotFoundError: ", False),
        (chained(RuntimeError("x"), CERTIFICATE), "connection", "TLS certificate not trusted: self-signed", False),
        (circle(), "unexpected", "ValueError: first", False),
        (KeyError("choices"), "unexpected", "KeyError: 'choices'", False),
        (SystemExit(3), "unexpected", "SystemExit: 3", False),
        (asyncio.CancelledError(), "unexpected", "cancelled from inside", False),
        (ModelError("Full", kind="quota"), "quota", "Full", False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_exceptions_have_a_meaning_by_default(raised: BaseException, kind: str, says: str, retryable: bool) -> None:
    error = failure_of(globex(gives=raised))

    assert error.kind == kind
    assert says in error.message
    assert error.retryable is retryable
    assert error.attempts == 1


def test_classify_error_gives_exceptions_their_meaning() -> None:
    def translate(exc: Exception) -> ModelError:
        return ModelError(f"SDK says {exc}", kind="context_length", code="too_long")

    error = failure_of(globex(gives=ValueError("too long"), translated=translate))

    assert (error.kind, error.message, error.code) == ("context_length", "SDK says too long", "too_long")


def test_classify_error_may_raise_the_error_as_well() -> None:
    error = failure_of(globex(gives=ValueError("x"), translated=ModelError("Busy", kind="bad_request")))

    assert (error.kind, error.message) == ("bad_request", "Busy")


@pytest.mark.parametrize("broken", [AttributeError("no status"), lambda exc: None, lambda exc: "a string"])
def test_a_broken_classify_error_leaves_the_exception_itself(broken: Any, caplog: pytest.LogCaptureFixture) -> None:
    error = failure_of(globex(gives=ValueError("the cause"), translated=broken))

    assert (error.kind, error.message) == ("unexpected", "ValueError: the cause")
    if isinstance(broken, Exception):
        assert "classify_error of Globex failed" in caplog.text
    assert "ValueError: the cause" in caplog.text


def test_one_prompts_exception_is_its_own_and_its_traceback_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def picky(content: str) -> Any:
        if content == "b":
            raise ZeroDivisionError("by b")
        return {"content": content}

    with caplog.at_level(logging.WARNING):
        responses = globex(gives=picky).batch(["a", "b", "c"])

    assert [response["content"] for response in responses] == ["a", "", "c"]
    assert responses[1]["error"]["message"] == "ZeroDivisionError: by b"
    assert "Traceback" in caplog.text


def test_the_partial_answer_of_an_error_stands_in_the_batch() -> None:
    partial = {"content": "half", "response_metadata": {"model_name": "g-1-2026"}}

    response = globex(gives=ModelError("Cut", kind="server", response=partial)).batch(["a"])[0]

    assert response["content"] == "half"
    assert response["response_metadata"]["model_name"] == "g-1-2026"
    assert response["response_metadata"]["outcome"] == "failed"


@pytest.mark.parametrize("reason", [ConfigError("The key fits no header."), MissingDependencyError("Install x.")])
def test_a_client_that_cannot_be_made_ends_the_call_with_the_reason(reason: Exception) -> None:
    class Unmakeable(Globex):
        def make_client(self) -> Any:
            raise reason

    async def streamed(model: Globex) -> Any:
        return [response async for response in model.stream_abatch(["a"])]

    model = Unmakeable("m")
    for call in (
        lambda: model.invoke("a"),
        lambda: model.batch(["a", "b"]),
        lambda: asyncio.run(streamed(model)),
        lambda: list(model.stream("a")),
    ):
        with pytest.raises(type(reason)) as caught:
            call()
        assert caught.value is reason


def test_a_client_that_fails_otherwise_is_an_error_of_the_prompt() -> None:
    class Failing(Globex):
        def make_client(self) -> Any:
            raise LookupError("sdk")

    response = Failing("m").batch(["a"])[0]

    assert (response["error"]["kind"], response["error"]["message"]) == ("unexpected", "LookupError: sdk")


def test_a_prompt_that_a_provider_cannot_be_sent_is_refused_before_anything_is_counted() -> None:
    class PickyModel(ProviderModel[ModelOptions]):
        sent = 0

        def check_prompt(self, messages: Messages) -> None:
            if messages[-1]["content"] == "an image":
                raise ModelError("images are not taken here", kind="bad_request")

        async def complete(self, client: Any, messages: Messages) -> dict[str, Any]:
            self.sent += 1
            return {"content": "yes"}

    model = PickyModel("m-1", max_attempts=3)
    first, refused, last = model.batch(["one", "an image", "two"])

    assert (first["content"], last["content"], model.sent) == ("yes", "yes", 2)
    assert refused["error"]["kind"] == "bad_request"
    assert refused["response_metadata"]["attempts"] == 0
    with pytest.raises(ModelError, match="images are not taken here") as caught:
        list(model.stream("an image"))
    assert (caught.value.attempts, model.sent) == (0, 2)
