"""Custom models in every form that people write: what they get, and that what they wrote is used as it is."""

import asyncio
import threading
import time
from collections import UserDict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Dict, List, Optional, Union  # noqa: UP035  # as older code writes it

import pytest

from hivetrace_core import ConfigError, Model, ModelError, as_model
from hivetrace_core.contract import executor_of, model_name_of
from hivetrace_core.engine.portal import run_blocking
from hivetrace_core.responses import OUTCOMES

# The forms


class EverythingByHand(Model):
    """Writes all methods, keeps its own attributes, never calls super."""

    def __init__(self, model: str = "mine", api_key: Optional[str] = None, batch_size: int = 2, **kwargs: Any) -> None:  # noqa: UP045
        self.model_name = model
        self.batch_size = batch_size
        self.client = {"key": api_key, **kwargs}
        self.calls: List[str] = []  # noqa: UP006

    def invoke(self, prompt: Union[str, List[Dict[str, str]]]) -> Dict[str, Any]:  # noqa: UP006, UP007
        self.calls.append("invoke")
        return {"content": f"own {prompt}", "finish_reason": "stop", "model": self.model_name}

    async def ainvoke(self, prompt: Union[str, List[Dict[str, str]]]) -> Dict[str, Any]:  # noqa: UP006, UP007
        self.calls.append("ainvoke")
        return {"content": f"own {prompt}"}

    def batch(self, prompts: List[str], batch_size: int = 5) -> List[Dict[str, Any]]:  # noqa: UP006
        self.calls.append(f"batch {batch_size}")
        return [{"content": prompt, "own": True} for prompt in prompts]

    async def abatch(self, prompts: List[str], batch_size: int = 5) -> List[Dict[str, Any]]:  # noqa: UP006
        self.calls.append(f"abatch {batch_size}")
        return [{"content": prompt, "own": True} for prompt in prompts]

    async def stream_abatch(self, prompts: List[str], batch_size: int = 5) -> AsyncGenerator[Dict[str, Any], None]:  # noqa: UP006
        self.calls.append(f"stream_abatch {batch_size}")
        for prompt in prompts:
            yield {"content": prompt, "own": True}

    def is_answer_blocked(self, answer: Dict[str, Any]) -> bool:  # noqa: UP006
        return bool(answer["content"] == "own bad")

    def get_params(self) -> Dict[str, Any]:  # noqa: UP006
        return {"model_name": self.model_name, "batch_size": self.batch_size}


class AsyncWithItsOwnSync(Model):
    async def ainvoke(self, prompt: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"content": f"async {prompt}"}

    def invoke(self, prompt: str) -> dict[str, Any]:
        return asyncio.run(self.ainvoke(prompt))


class OnlyAsync(Model):
    async def ainvoke(self, prompt: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"content": f"async {prompt}"}


class OnlySync(Model):
    def invoke(self, prompt: Any) -> dict[str, Any]:
        return {"content": f"sync {prompt}"}


class OnlyItsOwnBlocks(OnlySync):
    def is_answer_blocked(self, response: Mapping[str, Any]) -> bool:
        return "bad" in response["content"]


class Neither(Model):
    pass


class Answers(Model):
    """Hands out what it is told to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def ainvoke(self, prompt: Any) -> Any:
        return self.answer(prompt) if callable(self.answer) else self.answer


async def astream(model: Model, prompts: Any, **kwargs: Any) -> list[Mapping[str, Any]]:
    return [response async for response in model.stream_abatch(prompts, **kwargs)]


async def items_of(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


def contents(responses: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [response["content"] for response in responses]


def kinds(responses: Sequence[Mapping[str, Any]]) -> list[str | None]:
    return [response["error"]["kind"] if "error" in response else None for response in responses]


# What is written is used


def test_a_model_that_writes_everything_is_used_as_it_is() -> None:
    model = EverythingByHand(api_key="k")

    assert isinstance(model, Model)
    assert as_model(model) is model
    assert model.invoke("a") == {"content": "own a", "finish_reason": "stop", "model": "mine"}
    assert asyncio.run(model.ainvoke("a")) == {"content": "own a"}
    assert model.batch(["a"], batch_size=3) == [{"content": "a", "own": True}]
    assert asyncio.run(model.abatch(["a"])) == [{"content": "a", "own": True}]
    assert asyncio.run(astream(model, ["a"], batch_size=1)) == [{"content": "a", "own": True}]
    assert model.get_params() == {"model_name": "mine", "batch_size": 2}
    assert model.calls == ["invoke", "ainvoke", "batch 3", "abatch 5", "stream_abatch 1"]


@pytest.mark.parametrize(
    ("model", "word"), [(AsyncWithItsOwnSync(), "async"), (OnlyAsync(), "async"), (OnlySync(), "sync")]
)
def test_one_method_gives_all_the_others(model: Model, word: str) -> None:
    assert isinstance(model, Model)
    assert model.invoke("a")["content"] == f"{word} a"
    assert asyncio.run(model.ainvoke("a"))["content"] == f"{word} a"
    assert contents(model.batch(["a", "b"], batch_size=2)) == [f"{word} a", f"{word} b"]
    assert contents(asyncio.run(model.abatch(["a", "b"]))) == [f"{word} a", f"{word} b"]
    assert contents(asyncio.run(astream(model, ["a", "b"], batch_size=1))) == [f"{word} a", f"{word} b"]
    assert model.get_params() == {"model_name": type(model).__name__}
    assert not model.is_answer_blocked({"content": "x"})


def test_a_single_call_returns_what_the_model_returned() -> None:
    answer = {"content": "x", "finish_reason": "stop"}

    assert Answers(answer).invoke("a") is answer
    assert asyncio.run(Answers(answer).ainvoke("a")) is answer


def test_a_single_call_raises_what_the_model_raises() -> None:
    def fail(prompt: Any) -> Any:
        raise LookupError(prompt)

    with pytest.raises(LookupError, match="a"):
        Answers(fail).invoke("a")


def test_a_method_may_call_the_one_it_overrides() -> None:
    class Logged(OnlySync):
        seen: list[Any]

        async def ainvoke(self, prompt: Any) -> Any:
            self.seen = [prompt]
            return await super().ainvoke(prompt)

    class LoggedSync(OnlyAsync):
        def invoke(self, prompt: Any) -> Any:
            return super().invoke(prompt)

    logged = Logged()

    assert asyncio.run(logged.ainvoke("a")) == {"content": "sync a"}
    assert logged.seen == ["a"]
    assert logged.batch(["b"])[0]["content"] == "sync b"
    assert LoggedSync().invoke("a") == {"content": "async a"}


def test_a_method_that_calls_super_with_nothing_to_derive_from_says_so() -> None:
    class Circle(Model):
        async def ainvoke(self, prompt: Any) -> Any:
            return await super().ainvoke(prompt)

    class Round(Model):
        def invoke(self, prompt: Any) -> Any:
            return super().invoke(prompt)

    with pytest.raises(ConfigError, match="Circle has no invoke of its own"):
        asyncio.run(Circle().ainvoke("a"))
    with pytest.raises(ConfigError, match="Round has no ainvoke of its own"):
        Round().invoke("a")


def test_a_model_that_writes_neither_method_says_which_to_write() -> None:
    model = Neither()
    says = "Neither writes neither invoke nor ainvoke: write one of them"

    with pytest.raises(ConfigError, match=says):
        model.invoke("a")
    with pytest.raises(ConfigError, match=says):
        asyncio.run(model.ainvoke("a"))
    with pytest.raises(ConfigError, match=says):
        model.batch(["a"])
    with pytest.raises(ConfigError, match=says):
        as_model(model)


def test_methods_may_be_set_on_the_instance() -> None:
    class Late(Model):
        def __init__(self) -> None:
            self.invoke = lambda prompt: {"content": f"late {prompt}"}  # type: ignore[method-assign]

    assert contents(as_model(Late()).batch(["a"])) == ["late a"]


def test_the_name_is_the_models_own_or_its_classs() -> None:
    class Named(OnlySync):
        def __init__(self, **names: Any) -> None:
            self.__dict__.update(names)

    assert model_name_of(Named()) == "Named"
    assert model_name_of(Named(name="n")) == "n"
    assert model_name_of(Named(name="n", model="m")) == "m"
    assert model_name_of(Named(name="n", model="m", model_name="mn")) == "mn"
    assert model_name_of(Named(model_name="", model=object(), name=None)) == "Named"
    assert Named(model="gpt").get_params() == {"model_name": "gpt"}


# Any object with invoke or ainvoke


class Foreign:
    """No model of ours, but it answers."""

    model = "foreign-1"

    def invoke(self, prompt: str) -> dict[str, Any]:
        return {"content": f"foreign {prompt}"}


class ForeignAsync:
    async def ainvoke(self, prompt: str) -> dict[str, Any]:
        return {"content": f"foreign {prompt}"}

    def is_answer_blocked(self, response: Any) -> bool:
        return True

    def get_params(self) -> dict[str, Any]:
        return {"model_name": "own"}


class Alike:
    """All seven methods, no inheritance."""

    invoke = EverythingByHand.invoke
    ainvoke = EverythingByHand.ainvoke
    batch = EverythingByHand.batch
    abatch = EverythingByHand.abatch
    stream_abatch = EverythingByHand.stream_abatch
    is_answer_blocked = EverythingByHand.is_answer_blocked
    get_params = EverythingByHand.get_params


def test_an_object_that_only_answers_becomes_a_model() -> None:
    model = as_model(Foreign())

    assert isinstance(model, Model)
    assert as_model(model) is model
    assert model.invoke("a") == {"content": "foreign a"}
    assert asyncio.run(model.ainvoke("a")) == {"content": "foreign a"}
    assert contents(model.batch(iter(["a", "b"]))) == ["foreign a", "foreign b"]
    assert model.get_params() == {"model_name": "foreign-1"}
    assert model.batch(["a"])[0]["response_metadata"]["model_name"] == "foreign-1"


def test_the_methods_that_an_object_has_are_its_own() -> None:
    model = as_model(ForeignAsync())

    assert model.invoke("a") == {"content": "foreign a"}
    assert model.is_answer_blocked({}) is True
    assert model.get_params() == {"model_name": "own"}
    assert model.batch(["a"])[0]["response_metadata"]["outcome"] == "blocked"


def test_an_object_with_all_seven_methods_is_a_model_already() -> None:
    alike = Alike()

    assert isinstance(alike, Model)
    assert as_model(alike) is alike
    assert not isinstance(Foreign(), Model)


@pytest.mark.parametrize("nothing", [object(), "gpt-4", None, 5, {"invoke": print}, type("X", (), {"invoke": 3})()])
def test_an_object_that_cannot_answer_is_refused(nothing: Any) -> None:
    with pytest.raises(ConfigError, match="is not a model: it has neither invoke nor ainvoke"):
        as_model(nothing)


@pytest.mark.parametrize("cls", [Foreign, OnlySync, EverythingByHand])
def test_a_class_in_place_of_an_instance_is_refused(cls: type) -> None:
    with pytest.raises(ConfigError, match=f"{cls.__name__} is a class: pass an instance"):
        as_model(cls)


# Batches


def test_responses_come_in_the_order_of_the_prompts_with_their_number() -> None:
    class Uneven(Model):
        async def ainvoke(self, prompt: int) -> dict[str, Any]:
            await asyncio.sleep(0.02 if prompt % 3 == 0 else 0)
            return {"content": str(prompt)}

    for responses in (
        Uneven().batch(range(20), batch_size=4),
        asyncio.run(Uneven().abatch(items_of(*range(20)), batch_size=4)),
        asyncio.run(astream(Uneven(), iter(range(20)))),
    ):
        assert contents(responses) == [str(number) for number in range(20)]
        assert [response["response_metadata"]["index"] for response in responses] == list(range(20))
        assert all(response["response_metadata"]["attempts"] == 1 for response in responses)


def test_batch_size_bounds_the_requests_in_flight() -> None:
    class Counting(Model):
        now = most = 0

        async def ainvoke(self, prompt: Any) -> dict[str, Any]:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.001)
            self.now -= 1
            return {"content": "x"}

    for size, most in ((1, 1), (3, 3), (None, 16)):
        model = Counting()
        model.batch(range(40), batch_size=size)
        assert model.most == most


def test_blocking_models_run_side_by_side_too() -> None:
    barrier = threading.Barrier(3, timeout=10)

    class Together(Model):
        def invoke(self, prompt: Any) -> dict[str, Any]:
            barrier.wait()
            return {"content": str(prompt)}

    assert contents(Together().batch(range(6), batch_size=3)) == [str(number) for number in range(6)]


def test_one_failed_prompt_becomes_a_response_in_its_place(caplog: pytest.LogCaptureFixture) -> None:
    def picky(prompt: str) -> dict[str, Any]:
        if prompt == "b":
            raise ValueError("not b")
        if prompt == "c":
            raise ModelError("Slow down", kind="rate_limit", status=429)
        return {"content": prompt}

    responses = Answers(picky).batch(["a", "b", "c", "d"])

    assert contents(responses) == ["a", "", "", "d"]
    assert kinds(responses) == [None, "unexpected", "rate_limit", None]
    assert [response["response_metadata"]["outcome"] for response in responses] == [
        "answered",
        "failed",
        "failed",
        "answered",
    ]
    assert responses[1]["error"]["message"] == "ValueError: not b"
    assert responses[1]["response_metadata"]["index"] == 1
    assert responses[2]["error"]["status"] == 429
    assert responses[2]["response_metadata"]["attempts"] == 1
    assert "Traceback" in caplog.text
    assert "Traceback" not in str(responses)


@pytest.mark.parametrize(
    "raised",
    [
        RuntimeError("x"),
        StopIteration("x"),
        StopAsyncIteration("x"),
        AssertionError(),
        NotImplementedError(),
        RecursionError(),
        MemoryError(),
        TimeoutError("x"),
        SystemExit(2),
        ExceptionGroup("many", [ValueError("x")]),
        asyncio.CancelledError("from inside"),
        ModelError("x", kind="context_length"),
    ],
    ids=lambda raised: type(raised).__name__,
)
@pytest.mark.parametrize("blocking", [False, True])
def test_a_model_may_raise_anything_and_the_other_prompts_go_on(raised: BaseException, blocking: bool) -> None:
    def answer(prompt: str) -> dict[str, Any]:
        if prompt == "b":
            raise raised
        return {"content": prompt}

    class Blocking(Model):
        def invoke(self, prompt: str) -> dict[str, Any]:
            return answer(prompt)

    responses = (Blocking() if blocking else Answers(answer)).batch(["a", "b", "c"], batch_size=1)

    assert contents(responses) == ["a", "", "c"]
    assert responses[1]["response_metadata"]["outcome"] == "failed"


@pytest.mark.parametrize("model", [Answers(lambda _: exec("raise KeyboardInterrupt")), OnlySync()])
def test_ctrl_c_inside_a_model_ends_the_batch(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Any, prompt: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(OnlySync, "invoke", interrupted)

    with pytest.raises(KeyboardInterrupt):
        model.batch(["a", "b"])


RUBBISH: list[tuple[Any, str]] = [
    (None, "The model returned an object of type NoneType, not a dict"),
    ("text", "of type str, not a dict"),
    (["content"], "of type list, not a dict"),
    (b"{}", "of type bytes, not a dict"),
    ({}, "The model returned a dict without `content` (its keys: none)"),
    ({"text": "hello", "model": "m"}, "a dict without `content` (its keys: text, model)"),
    ({("a", 1): "x" * 100}, "a dict without `content` (its keys: ('a', 1))"),
    ({f"k{number}" * 50: 1 for number in range(1000)}, "a dict without `content`"),
]


@pytest.mark.parametrize(("rubbish", "says"), RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_is_a_failure_that_says_what_came(rubbish: Any, says: str) -> None:
    response = Answers(rubbish).batch(["a"])[0]

    assert response["error"]["kind"] == "response_format"
    assert says in response["error"]["message"]
    assert len(response["error"]["message"]) < 600
    assert not response["error"]["retryable"]


def test_a_mapping_of_another_class_is_an_answer() -> None:
    response = Answers(UserDict({"content": "x", "model": "m"})).batch(["a"])[0]

    assert type(response) is dict
    assert response["content"] == "x"
    assert response["response_metadata"]["model_name"] == "m"


def test_an_answer_may_come_without_a_coroutine_or_in_a_future() -> None:
    class Plain(Model):
        def ainvoke(self, prompt: Any) -> Any:
            return {"content": f"plain {prompt}"}

    class Future(Model):
        def ainvoke(self, prompt: Any) -> Any:
            return asyncio.ensure_future(asyncio.sleep(0, {"content": f"future {prompt}"}))

    class Awaitable(Model):
        def invoke(self, prompt: Any) -> Any:
            return asyncio.sleep(0, {"content": f"awaited {prompt}"})

    assert Plain().invoke("a") == {"content": "plain a"}
    assert contents(Plain().batch(["a"])) == ["plain a"]
    assert Future().invoke("a") == {"content": "future a"}
    assert contents(Future().batch(["a"])) == ["future a"]
    assert contents(Awaitable().batch(["a"])) == ["awaited a"]


def test_the_same_dict_for_every_prompt_stays_untouched_and_each_response_is_its_own() -> None:
    constant = {"content": "x", "response_metadata": {"finish_reason": "stop"}}

    responses = Answers(constant).batch(range(3))

    assert [response["response_metadata"]["index"] for response in responses] == [0, 1, 2]
    assert constant == {"content": "x", "response_metadata": {"finish_reason": "stop"}}


def test_many_failures_of_the_account_stop_the_sending() -> None:
    asked: list[Any] = []

    def dead(prompt: Any) -> Any:
        asked.append(prompt)
        raise ModelError("Key revoked", kind="authentication")

    responses = Answers(dead).batch(range(10), batch_size=1)

    assert asked == [0]
    assert kinds(responses) == ["authentication", *["not_sent"] * 9]
    assert responses[-1]["response_metadata"]["attempts"] == 0
    assert "Key revoked" in responses[-1]["error"]["message"]


def test_a_custom_models_own_exceptions_never_stop_the_others() -> None:
    def broken(prompt: int) -> Any:
        if prompt < 50:
            raise ConnectionError("down")
        return {"content": "x"}

    assert kinds(Answers(broken).batch(range(60), batch_size=1)) == ["unexpected"] * 50 + [None] * 10


# What is blocked


def test_blocks_are_read_from_both_places() -> None:
    model = OnlySync()

    assert model.is_answer_blocked({"content": "", "finish_reason": "content_filter"})
    assert model.is_answer_blocked({"content": "", "response_metadata": {"finish_reason": "content_filter"}})
    assert model.is_answer_blocked({"content": "", "response_metadata": {"outcome": "blocked"}})
    assert not model.is_answer_blocked({"content": "", "response_metadata": {"outcome": "refused"}})
    assert not model.is_answer_blocked({"content": "", "finish_reason": "content_filter", "error": {"kind": "server"}})


class Evil(dict[str, Any]):
    def get(self, *_: Any) -> Any:
        raise RuntimeError("no")


class NoClass:
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize("anything", [None, 0, "x", b"", [], object(), {}, {1: 2}, Evil(), float("nan")])
def test_whether_an_answer_is_blocked_can_be_asked_of_anything(anything: Any) -> None:
    assert OnlySync().is_answer_blocked(anything) is False


def test_even_an_object_that_has_no_class_is_not_blocked() -> None:
    assert OnlySync().is_answer_blocked(NoClass()) is False


def test_a_custom_verdict_decides_in_batches() -> None:
    responses = OnlyItsOwnBlocks().batch(["good", "bad"])

    assert [response["response_metadata"]["outcome"] for response in responses] == ["answered", "blocked"]
    assert responses[1]["response_metadata"]["block"]["rule"] == "is_answer_blocked"
    assert "block" not in responses[0]["response_metadata"]


@pytest.mark.parametrize(
    ("verdict", "response", "outcome"),
    [
        (True, {"content": "x"}, "blocked"),
        (1, {"content": "x"}, "blocked"),
        (False, {"content": "x", "finish_reason": "content_filter"}, "answered"),
        (None, {"content": "x", "finish_reason": "content_filter"}, "answered"),
        (False, {"content": "x", "outcome": "refused"}, "refused"),
        (True, {"content": "x", "error": "down"}, "failed"),
        (KeyError("status"), {"content": "x"}, "unknown"),
        (KeyError("status"), {"content": "x", "finish_reason": "content_filter"}, "unknown"),
        (KeyError("status"), {"content": "x", "finish_reason": "error"}, "failed"),
    ],
)
def test_every_verdict_has_its_outcome(verdict: Any, response: dict[str, Any], outcome: str) -> None:
    class Judging(Answers):
        def is_answer_blocked(self, response: Any) -> Any:
            if isinstance(verdict, Exception):
                raise verdict
            return verdict

    settled = Judging(response).batch(["a"])[0]

    assert settled["response_metadata"]["outcome"] == outcome
    assert ("block" in settled["response_metadata"]) is (outcome == "blocked")


def test_a_verdict_that_would_always_be_true_is_refused() -> None:
    class Coroutine(OnlySync):
        async def is_answer_blocked(self, response: Any) -> bool:  # type: ignore[override]
            return False

    with pytest.raises(
        ConfigError, match="is_answer_blocked of Coroutine is a coroutine function: write it without async"
    ):
        Coroutine().batch(["a"])


def test_every_batch_response_names_one_outcome() -> None:
    for answer in ({"content": "x"}, {"content": ""}, {"content": None, "tool_calls": [1]}, {"error": "x"}, "rubbish"):
        metadata = Answers(answer).batch(["a"])[0]["response_metadata"]

        assert metadata["outcome"] in OUTCOMES
        assert {"model_name", "finish_reason", "provider", "attempts", "latency_s", "index"} <= metadata.keys()


# Where prompts come from


@pytest.mark.parametrize("one", ["a prompt", b"bytes", bytearray(b"x"), {"role": "user", "content": "x"}])
def test_one_prompt_in_place_of_many_is_refused(one: Any) -> None:
    says = f"take a list of prompts, not one {type(one).__name__}: pass \\[prompt\\]"

    with pytest.raises(ConfigError, match=says):
        OnlySync().batch(one)
    with pytest.raises(ConfigError, match=says):
        asyncio.run(OnlySync().abatch(one))
    with pytest.raises(ConfigError, match=says):
        asyncio.run(astream(OnlySync(), one))


@pytest.mark.parametrize("none", [None, 5, object()])
def test_what_is_no_iterable_is_refused(none: Any) -> None:
    with pytest.raises(ConfigError, match=f"not an object of type {type(none).__name__}"):
        OnlySync().batch(none)
    with pytest.raises(ConfigError, match=f"not an object of type {type(none).__name__}"):
        asyncio.run(OnlySync().abatch(none))


@pytest.mark.parametrize("size", [0, -1, 1.5, "4", True])
def test_a_batch_size_that_is_no_count_is_refused(size: Any) -> None:
    with pytest.raises(ConfigError, match=f"batch_size is a whole number of at least 1, not {size!r}"):
        OnlySync().batch(["a"], batch_size=size)


def test_no_prompts_are_no_responses() -> None:
    assert OnlySync().batch([]) == []
    assert OnlySync().batch(iter(())) == []
    assert asyncio.run(OnlyAsync().abatch(items_of())) == []


class Indexed:
    """A sequence of the old kind, such as a data set."""

    def __getitem__(self, number: int) -> str:
        return ["a", "b"][number]


@pytest.mark.parametrize(
    "source",
    [
        lambda: ["a", "b"],
        lambda: ("a", "b"),
        lambda: iter(["a", "b"]),
        lambda: (prompt for prompt in "ab"),
        lambda: dict.fromkeys("ab").keys(),
        lambda: items_of("a", "b"),
        Indexed,
    ],
)
def test_prompts_come_from_any_iterable(source: Any) -> None:
    assert contents(OnlyAsync().batch(source())) == ["async a", "async b"]
    assert contents(asyncio.run(OnlyAsync().abatch(source()))) == ["async a", "async b"]


def test_a_blocking_batch_reads_its_iterable_in_the_callers_thread() -> None:
    readers: set[str] = set()
    answerers: set[str] = set()

    def prompts() -> Iterator[str]:
        for number in range(50):
            readers.add(threading.current_thread().name)
            yield str(number)

    class Where(Model):
        async def ainvoke(self, prompt: Any) -> dict[str, Any]:
            answerers.add(threading.current_thread().name)
            return {"content": prompt}

    assert len(Where().batch(prompts(), batch_size=2)) == 50
    assert readers == {threading.current_thread().name}
    assert answerers.isdisjoint(readers)


def test_prompts_are_read_only_as_they_are_needed() -> None:
    read: list[int] = []

    def prompts() -> Iterator[int]:
        for number in range(100_000):
            read.append(number)
            yield number

    async def main() -> int:
        async with aclosing(OnlyAsync().stream_abatch(prompts(), batch_size=2)) as responses:  # type: ignore[type-var]
            async for _ in responses:
                return len(read)
        return -1

    assert 1 <= asyncio.run(main()) <= 1024 + 2


def test_an_error_of_the_iterable_ends_the_batch() -> None:
    def prompts() -> Iterator[str]:
        yield "a"
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        OnlyAsync().batch(prompts())
    with pytest.raises(OSError, match="disk gone"):
        asyncio.run(OnlyAsync().abatch(prompts()))


def test_a_batch_method_of_the_models_own_gets_a_list_from_the_blocking_batch() -> None:
    class OwnStream(OnlySync):
        async def stream_abatch(self, prompts: list[str], batch_size: int = 2) -> AsyncIterator[dict[str, Any]]:
            for start in range(0, len(prompts), batch_size):
                for prompt in prompts[start : start + batch_size]:
                    yield {"content": f"own {prompt} {batch_size}"}

    class OwnBatch(OnlySync):
        async def abatch(self, prompts: list[str], batch_size: int = 2) -> list[dict[str, Any]]:
            return [{"content": f"own {prompt} {batch_size}"} for prompt in prompts[::-1]]

    class Misnamed(OnlySync):
        def abatch(self, prompts: list[str]) -> Any:  # type: ignore[override]
            return [{"content": "at once"} for _ in prompts]

    assert contents(OwnStream().batch(iter("abc"))) == ["own a 2", "own b 2", "own c 2"]
    assert contents(OwnStream().batch(iter("a"), batch_size=7)) == ["own a 7"]
    assert contents(OwnBatch().batch(iter("ab"))) == ["own b 2", "own a 2"]
    assert contents(Misnamed().batch(iter("ab"))) == ["at once", "at once"]


# Early ends


def test_closing_a_stream_cancels_what_is_in_flight() -> None:
    cancelled: list[Any] = []
    started: list[Any] = []

    class Slow(Model):
        async def ainvoke(self, prompt: int) -> dict[str, Any]:
            started.append(prompt)
            try:
                await asyncio.sleep(0 if prompt == 0 else 60)
            except asyncio.CancelledError:
                cancelled.append(prompt)
                raise
            return {"content": "x"}

    async def main() -> int:
        async with aclosing(Slow().stream_abatch(range(10), batch_size=3)) as responses:  # type: ignore[type-var]
            async for _ in responses:
                await asyncio.sleep(0.01)
                break
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1
    assert sorted(cancelled) == sorted(set(started) - {0})
    assert cancelled


def test_cancelling_a_batch_cancels_what_is_in_flight() -> None:
    ended: list[Any] = []

    class Slow(Model):
        async def ainvoke(self, prompt: int) -> dict[str, Any]:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(prompt)
            return {"content": "x"}

    async def main() -> None:
        task = asyncio.create_task(Slow().abatch(range(5), batch_size=5))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert sorted(ended) == [0, 1, 2, 3, 4]


# Loops and threads


@pytest.mark.parametrize("model", [OnlyAsync(), OnlySync()])
def test_blocking_calls_work_inside_a_running_loop(model: Model) -> None:
    async def main() -> tuple[Any, Any]:
        return model.invoke("a"), model.batch(iter(["a", "b"]))

    single, many = asyncio.run(main())

    assert single["content"].endswith("a")
    assert len(many) == 2


def test_blocking_calls_work_inside_a_blocking_call() -> None:
    inner = OnlyAsync()

    class Judge(Model):
        async def ainvoke(self, prompt: Any) -> dict[str, Any]:
            return {"content": f"judged {inner.invoke(prompt)['content']}"}

    assert Judge().invoke("a")["content"] == "judged async a"
    assert contents(Judge().batch(["a", "b"])) == ["judged async a", "judged async b"]


def test_one_model_serves_many_threads_and_loops() -> None:
    model = OnlyAsync()
    results: list[Any] = []

    def work(number: int) -> None:
        results.append(model.invoke(number)["content"])
        results.append(asyncio.run(model.ainvoke(number))["content"])
        results.extend(contents(asyncio.run(model.abatch([number]))))
        results.extend(contents(model.batch([number])))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(results) == sorted(f"async {number}" for number in range(6) for _ in range(4))


# As `run` uses it


def test_an_executor_around_a_custom_model_uses_its_answer_and_its_verdict() -> None:
    model = EverythingByHand()
    executor = executor_of(model, provider="registered", model_name="run-1", batch_size=2)

    good, bad = (run_blocking(executor.call(prompt)) for prompt in ("good", "bad"))

    assert model.calls == ["ainvoke", "ainvoke"]
    assert good["response_metadata"]["provider"] == "registered"
    assert good["response_metadata"]["model_name"] == "run-1"
    assert good["response_metadata"]["outcome"] == "answered"
    assert bad["response_metadata"]["outcome"] == "blocked"


def test_only_a_retryable_model_error_is_tried_again() -> None:
    tries: list[str] = []

    def flaky(prompt: str) -> dict[str, Any]:
        tries.append(prompt)
        if prompt == "wait" and len(tries) < 3:
            raise ModelError("Wait", kind="rate_limit", retry_after=0.001)
        if prompt == "bug":
            raise ConnectionError("no ModelError")
        return {"content": "x"}

    executor = executor_of(Answers(flaky), provider="custom", model_name="m", max_attempts=5)
    assert run_blocking(executor.call("wait"))["response_metadata"]["attempts"] == 3

    tries.clear()
    with pytest.raises(ModelError) as caught:
        run_blocking(executor.call("bug"))
    assert (caught.value.kind, caught.value.attempts, caught.value.provider) == ("unexpected", 1, "custom")
    assert tries == ["bug"]


def test_a_model_that_hangs_ends_with_the_timeout() -> None:
    class Hanging(Model):
        async def ainvoke(self, prompt: Any) -> Any:
            await asyncio.sleep(60)

    class Stuck(Model):
        def invoke(self, prompt: Any) -> Any:
            time.sleep(3)

    for model in (Hanging(), Stuck()):
        executor = executor_of(model, provider="custom", model_name="m", timeout=0.05)
        with pytest.raises(ModelError) as caught:
            run_blocking(executor.call("a"))
        assert caught.value.kind == "timeout"
        assert "No answer within 0.05 s" in caught.value.message
