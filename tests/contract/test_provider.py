"""A provider over a real socket: what core makes of one coroutine that makes one request."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web

from hivetrace_core import ConfigError, Model, ModelError, as_model
from hivetrace_core.engine.events import Observers, RequestFinished, RequestStarted, RetryScheduled

from .acme import CANARY, Acme, AcmeModel, failure


async def items_of(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        yield item


def outcomes(responses: Any) -> list[str]:
    return [response["response_metadata"]["outcome"] for response in responses]


# One answer


def test_a_prompt_is_one_request_and_one_whole_response(acme: Acme) -> None:
    model = acme.model(temperature=0.5)

    response = model.invoke("Hello")

    assert acme.bodies == [{"model": "large", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0.5}]
    metadata = response["response_metadata"]
    assert response["content"] == "echo Hello"
    assert "error" not in response
    assert metadata.pop("latency_s") > 0  # type: ignore[misc]
    assert metadata == {
        "provider": "acme",
        "model_name": "acme-large-2026",
        "finish_reason": "stop",
        "native_finish_reason": "stop",
        "outcome": "answered",
        "attempts": 1,
    }
    assert json.loads(json.dumps(response)) == response


def test_messages_arrive_in_canonical_form(acme: Acme) -> None:
    acme.model().invoke([{"role": "human", "content": [{"type": "image_url", "image_url": "https://a/b.png"}]}])

    content = [{"type": "image", "url": "https://a/b.png"}]
    assert acme.bodies[0]["messages"] == [{"role": "user", "content": content}]


def test_a_malformed_prompt_is_an_error_for_that_prompt_alone_and_is_never_sent(acme: Acme) -> None:
    model = acme.model()

    responses = model.batch(["a", ["not a message"], None, [], "b"])

    assert outcomes(responses) == ["answered", "failed", "failed", "failed", "answered"]
    assert [response.get("error", {}).get("kind") for response in responses[1:4]] == ["bad_request"] * 3
    assert [response["response_metadata"]["attempts"] for response in responses] == [1, 0, 0, 0, 1]
    assert sorted(acme.prompts) == ["a", "b"]
    with pytest.raises(ModelError, match="message 1 is of type str") as caught:
        model.invoke(["not a message"])
    assert (caught.value.kind, caught.value.attempts, caught.value.provider) == ("bad_request", 0, "acme")


@pytest.mark.parametrize(
    ("payload", "outcome", "finish"),
    [
        ({"text": "x", "finish": "max"}, "truncated", "length"),
        ({"text": "", "finish": "filter"}, "blocked", "content_filter"),
        ({"text": "I can't", "finish": "refusal"}, "refused", "stop"),
        ({"text": "x", "finish": "never_seen"}, "unknown", "unknown"),
    ],
)
def test_a_block_a_refusal_and_the_unknown_are_responses(
    acme: Acme, payload: dict[str, Any], outcome: str, finish: str
) -> None:
    async def answer(text: str, number: int) -> web.Response:
        return web.json_response(payload)

    acme.answer = answer
    model = acme.model()

    response = model.invoke("a")

    metadata = response["response_metadata"]
    assert (metadata["outcome"], metadata["finish_reason"]) == (outcome, finish)
    assert metadata["native_finish_reason"] == payload["finish"]
    assert model.is_answer_blocked(response) is (outcome == "blocked")
    assert ("block" in metadata) is (outcome in ("blocked", "refused"))
    assert len(acme.prompts) == 1
    assert outcomes(model.batch(["a"])) == [outcome]


# Batches


def test_batches_keep_the_order_of_the_prompts_however_the_answers_come(acme: Acme) -> None:
    async def answer(text: str, number: int) -> web.Response:
        await asyncio.sleep(0.03 if int(text) % 4 == 0 else 0)
        return web.json_response({"text": text, "finish": "stop"})

    acme.answer = answer
    model = acme.model(batch_size=6)
    prompts = [str(number) for number in range(24)]

    async def many() -> list[Any]:
        return await model.abatch(items_of(*prompts))

    async def one_by_one() -> list[Any]:
        return [response async for response in model.stream_abatch(iter(prompts), batch_size=5)]

    for responses in (model.batch(prompts), model.batch(iter(prompts)), asyncio.run(many()), asyncio.run(one_by_one())):
        assert [response["content"] for response in responses] == prompts
        assert [response["response_metadata"]["index"] for response in responses] == list(range(24))
    assert acme.most_in_flight <= 6


def test_unordered_responses_come_as_they_complete_and_say_which_they_are(acme: Acme) -> None:
    async def answer(text: str, number: int) -> web.Response:
        await asyncio.sleep(0.3 if text == "slow" else 0)
        return web.json_response({"text": text, "finish": "stop"})

    acme.answer = answer

    async def main() -> list[tuple[str, int]]:
        responses = acme.model(batch_size=2).stream_abatch(["slow", "b", "c"], ordered=False)
        return [(response["content"], response["response_metadata"]["index"]) async for response in responses]

    assert asyncio.run(main()) == [("b", 1), ("c", 2), ("slow", 0)]


def test_a_blocking_batch_sends_while_it_still_reads(acme: Acme) -> None:
    here = threading.current_thread()
    first_answered = threading.Event()

    async def answer(text: str, number: int) -> web.Response:
        first_answered.set()
        return web.json_response({"text": text, "finish": "stop"})

    def prompts() -> Iterator[str]:
        yield "a"
        assert first_answered.wait(10)
        assert threading.current_thread() is here
        yield "b"

    acme.answer = answer

    assert [response["content"] for response in acme.model().batch(prompts())] == ["a", "b"]


def test_the_cap_holds_over_calls_threads_and_loops(acme: Acme) -> None:
    async def answer(text: str, number: int) -> web.Response:
        await asyncio.sleep(0.01)
        return web.json_response({"text": text, "finish": "stop"})

    acme.answer = answer
    model = acme.model(max_concurrency=3)
    prompts = ["x"] * 12
    threads = [
        threading.Thread(target=lambda: model.batch(prompts, batch_size=10)),
        threading.Thread(target=lambda: asyncio.run(model.abatch(prompts, batch_size=10))),
        threading.Thread(target=lambda: [model.invoke("x") for _ in range(4)]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(acme.prompts) == 28
    assert acme.most_in_flight == 3


@pytest.mark.parametrize("one", ["a prompt", {"role": "user", "content": "x"}, 5])
def test_one_prompt_in_place_of_many_is_refused(acme: Acme, one: Any) -> None:
    model = acme.model()

    with pytest.raises(ConfigError, match="Batch calls take"):
        model.batch(one)
    with pytest.raises(ConfigError, match="Batch calls take"):
        asyncio.run(model.abatch(one))
    assert acme.prompts == []


@pytest.mark.parametrize("size", [0, True, 2.0])
def test_a_batch_size_that_is_no_count_is_refused(acme: Acme, size: Any) -> None:
    with pytest.raises(ConfigError, match="batch_size is a whole number of at least 1"):
        acme.model().batch(["a"], batch_size=size)


def test_closing_a_stream_early_hangs_up(acme: Acme) -> None:
    async def answer(text: str, number: int) -> web.Response:
        await asyncio.sleep(0 if text == "0" else 30)
        return web.json_response({"text": text, "finish": "stop"})

    acme.answer = answer

    async def main() -> int:
        model = acme.model()
        async with aclosing(model.stream_abatch([str(number) for number in range(8)], batch_size=4)) as responses:  # type: ignore[type-var]
            async for _ in responses:
                break
        for _ in range(200):
            if not acme.in_flight:
                break
            await asyncio.sleep(0.01)
        return len(asyncio.all_tasks()) - 1

    assert asyncio.run(main()) == 0
    assert acme.in_flight == 0
    assert acme.hung_up == len(acme.prompts) - 1


# Errors and retries


def test_a_passing_failure_is_tried_again_and_the_attempts_are_the_requests(acme: Acme) -> None:
    async def answer(text: str, number: int) -> web.Response:
        if number < 3:
            return failure(503, Retry_After="0.01")
        return web.json_response({"text": "at last", "finish": "stop"})

    acme.answer = answer

    response = acme.model().invoke("a")

    assert response["content"] == "at last"
    assert response["response_metadata"]["attempts"] == 3
    assert len(acme.prompts) == 3


def test_a_lasting_failure_ends_after_max_attempts_with_all_that_is_known(acme: Acme) -> None:
    async def answer(text: str, number: int) -> web.Response:
        return failure(429, "Too many", Retry_After="0.01", X_Request_Id=f"r-{number}")

    acme.answer = answer

    with pytest.raises(ModelError) as caught:
        acme.model(max_attempts=3).invoke("a")

    error = caught.value
    assert (error.kind, error.status, error.code, error.message) == ("rate_limit", 429, "acme_429", "Too many")
    assert (error.attempts, error.retry_after, error.request_id) == (3, 0.01, "r-3")
    assert (error.provider, error.model, error.retryable) == ("acme", "large", True)
    assert len(acme.prompts) == 3


@pytest.mark.parametrize(("status", "kind"), [(400, "bad_request"), (401, "authentication"), (404, "not_found")])
def test_what_another_attempt_cannot_cure_is_sent_once(acme: Acme, status: int, kind: str) -> None:
    async def answer(text: str, number: int) -> web.Response:
        return failure(status)

    acme.answer = answer

    with pytest.raises(ModelError) as caught:
        acme.model().invoke("a")

    assert (caught.value.kind, caught.value.attempts) == (kind, 1)
    assert len(acme.prompts) == 1


def test_a_wait_that_a_server_asks_for_holds_for_the_whole_instance(acme: Acme) -> None:
    times: list[float] = []
    first_came = threading.Event()

    async def answer(text: str, number: int) -> web.Response:
        times.append(asyncio.get_running_loop().time())
        first_came.set()
        if number == 1:
            return failure(429, Retry_After="0.4")
        return web.json_response({"text": text, "finish": "stop"})

    acme.answer = answer
    model = acme.model()

    async def main() -> None:
        first = asyncio.create_task(model.ainvoke("first"))
        assert await asyncio.to_thread(first_came.wait, 10)
        await asyncio.sleep(0.05)
        await asyncio.gather(first, *(model.ainvoke("others") for _ in range(5)))

    asyncio.run(main())
    assert len(times) == 7
    assert min(times[1:]) - times[0] >= 0.38


def test_a_dead_key_costs_few_requests_and_the_rest_say_that_they_were_not_sent(acme: Acme) -> None:
    async def answer(text: str, number: int) -> web.Response:
        return failure(401, "Key revoked")

    acme.answer = answer
    model = acme.model()

    responses = model.batch(["x"] * 20, batch_size=1)

    assert outcomes(responses) == ["failed"] * 20
    assert [response["error"]["kind"] for response in responses] == ["authentication", *["not_sent"] * 19]
    assert [response["response_metadata"]["attempts"] for response in responses] == [1, *[0] * 19]
    assert "authentication (Key revoked)" in responses[-1]["error"]["message"]
    assert responses[-1]["error"]["status"] == 401
    assert len(acme.prompts) == 1


def test_a_poison_prompt_is_recorded_and_the_others_go_on(acme: Acme) -> None:
    async def answer(text: str, number: int) -> web.Response:
        if text == "poison":
            return failure(400, "Too long")
        return web.json_response({"text": text, "finish": "stop"})

    acme.answer = answer

    responses = acme.model().batch(["a", "poison", "b"] * 10)

    assert outcomes(responses) == ["answered", "failed", "answered"] * 10


def test_an_attempt_that_hangs_is_a_timeout_and_the_next_may_succeed(acme: Acme) -> None:
    async def answer(text: str, number: int) -> web.Response:
        if number == 1:
            await asyncio.sleep(30)
        return web.json_response({"text": "late", "finish": "stop"})

    acme.answer = answer
    response = acme.model(timeout=0.7).invoke("a")
    assert (response["content"], response["response_metadata"]["attempts"]) == ("late", 2)

    acme.prompts.clear()
    with pytest.raises(ModelError) as caught:
        acme.model(timeout=0.2, max_attempts=1).invoke("a")
    assert (caught.value.kind, caught.value.message) == ("timeout", "No answer within 0.2 s")


def test_a_server_that_is_not_there_is_a_connection_error(acme: Acme) -> None:
    with pytest.raises(ModelError) as caught:
        acme.model(base_url="http://127.0.0.1:9", max_attempts=1).invoke("a")

    assert caught.value.kind == "connection"
    assert caught.value.message.startswith("The connection failed (")


def test_an_answer_that_is_not_json_is_an_error_and_no_answer(acme: Acme, caplog: pytest.LogCaptureFixture) -> None:
    async def answer(text: str, number: int) -> web.Response:
        return web.Response(text="<html>proxy</html>")

    acme.answer = answer

    response = acme.model().batch(["a"])[0]

    assert response["error"]["kind"] == "unexpected"
    assert response["error"]["message"].startswith("AttributeError")
    assert "Traceback" in caplog.text


# Who is told


def test_observers_hear_of_every_request_and_may_be_set_at_any_time(acme: Acme) -> None:
    heard: list[Any] = []
    told = Observers(started=(heard.append,), finished=(heard.append,), retry=(heard.append,))

    async def answer(text: str, number: int) -> web.Response:
        if number == 1:
            return failure(503, Retry_After="0.01")
        return web.json_response({"text": "x", "finish": "max"})

    acme.answer = answer
    model = acme.model()
    assert model.observers is None
    model.observers = told

    model.invoke("a")

    first, failed, again, second, finished = heard
    assert first == RequestStarted("acme", "large", None, 1)
    assert isinstance(failed, RequestFinished)
    assert (failed.attempt, failed.outcome, failed.error and failed.error["kind"]) == (1, None, "server")
    assert isinstance(again, RetryScheduled)
    assert again.delay_s >= 0.01
    assert second == RequestStarted("acme", "large", None, 2)
    assert (finished.attempt, finished.outcome, finished.error) == (2, "truncated", None)
    assert finished.latency_s > 0

    heard.clear()
    model.observers = None
    model.invoke("a")
    assert heard == []

    model.observers = told
    assert model.observers is told
    model.batch(["a"])
    assert [event.index for event in heard] == [0, 0]


def test_an_observer_that_raises_changes_nothing(acme: Acme, caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Any) -> None:
        raise RuntimeError("observer")

    model = acme.model()
    model.observers = Observers(started=(broken,), finished=(broken,))

    assert model.invoke("a")["content"] == "echo a"
    assert caplog.text.count("An observer failed on Request") == 2


# What a model says of itself


def test_params_are_json_ready_and_name_the_model_and_the_provider(acme: Acme) -> None:
    params = acme.model(temperature=0, batch_size=4).get_params()

    assert json.loads(json.dumps(params)) == params
    assert params == {
        "model_name": "large",
        "provider": "acme",
        "model": "large",
        "batch_size": 4,
        "max_concurrency": 4,
        "timeout": 120.0,
        "max_attempts": 5,
        "deadline": 600.0,
        "base_url": acme.url,
        "api_key": "***",
        "temperature": 0.0,
    }
    assert list(params)[:2] == ["model_name", "provider"]


def test_a_provider_is_a_model_and_shows_its_id_only(acme: Acme) -> None:
    model = acme.model()

    assert isinstance(model, Model)
    assert as_model(model) is model
    assert repr(model) == "AcmeModel(model='large')"


def test_a_model_without_an_id_can_be_made() -> None:
    model = AcmeModel(api_key=CANARY)

    assert model.options.model == ""
    assert AcmeModel(model="m", api_key=CANARY).options.model == "m"


def test_wrong_options_are_named_and_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACME_API_KEY", raising=False)

    with pytest.raises(ConfigError, match=r"AcmeModel: api_key is missing: .* set ACME_API_KEY"):
        AcmeModel("large")
    with pytest.raises(ConfigError, match="unknown option 'temprature'; did you mean 'temperature'"):
        AcmeModel("large", api_key=CANARY, temprature=1)
    monkeypatch.setenv("ACME_API_KEY", "from-env")
    assert AcmeModel("large").options.api_key.get_secret_value() == "from-env"
    assert AcmeModel("large", api_key="given").options.api_key.get_secret_value() == "given"


def test_importing_and_making_a_model_logs_nothing(acme: Acme, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        acme.model()

    assert caplog.text == ""
