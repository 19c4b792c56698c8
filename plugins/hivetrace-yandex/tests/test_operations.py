"""Operations: what is read, how often, and what becomes of one that fails, vanishes or never ends."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hivetrace_yandex import YandexGPTModel
from hivetrace_yandex.dialect import YandexDialect
from hivetrace_yandex.operations import GROWTH, Operation, OperationReply, Readings, operation_id

from hivetrace_core import ModelError, Reply
from hivetrace_core.mockserver import MockServer

DONE = Reply({"id": "op", "done": True, "response": {"alternatives": []}})
RUNNING = Reply({"id": "op", "done": False})
GONE = Reply({"code": 5, "message": "not found"}, 404)
BUSY = Reply({"code": 14, "message": "busy"}, 503)
RESET = ModelError("reset", kind="connection")
BAD_TLS = ModelError("certificate", kind="connection", retryable=False)


def follow(*readings: Any, until: float | None = None, longest: float = 0.001) -> tuple[Any, Operation]:
    """The end of an operation whose readings are these, the last one again and again."""
    operation = Operation(RUNNING, readings=Readings(100_000), first=0.0005, longest=longest, until=until)
    left = list(readings)

    async def read(path: str) -> Reply:
        assert path == "operations/op"
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, ModelError):
            raise found
        return found  # type: ignore[no-any-return]

    async def outcome() -> Any:
        try:
            return await operation.outcome(read)
        except ModelError as error:
            return error

    return asyncio.run(outcome()), operation


def test_it_is_read_until_it_is_done_and_the_readings_are_counted() -> None:
    reply, operation = follow(RUNNING, RUNNING, DONE)

    assert isinstance(reply, OperationReply)
    assert reply.payload == DONE.payload
    assert reply.facts == operation.facts == {"id": "op", "polls": 3, "failed_polls": 0}


@pytest.mark.parametrize(
    "trouble",
    [
        RESET,
        BUSY,
        Reply(None, 500),
        Reply({"code": 8, "message": "x"}, 429),
        Reply(None, 408),
        Reply(None, 499),
        GONE,
        Reply("<html>", 200),
        Reply({"hello": 1}),
    ],
    ids=lambda trouble: trouble.kind if isinstance(trouble, ModelError) else f"{trouble.status} {trouble.payload}",
)
def test_a_reading_that_fails_for_a_moment_is_made_again(trouble: Any) -> None:
    reply, operation = follow(RUNNING, trouble, trouble, RUNNING, trouble, trouble, DONE)

    assert reply.payload == DONE.payload
    assert (operation.polls, operation.failed_polls) == (7, 4)


@pytest.mark.parametrize("done", [{"id": "op"}, {"id": "op", "done": None}, {"done": False}])
def test_a_reading_that_does_not_say_done_is_not_done(done: Any) -> None:
    reply, operation = follow(Reply(done), Reply(done), Reply(done), Reply(done), DONE)

    assert reply.payload == DONE.payload
    assert operation.polls == 5


def test_one_that_was_never_seen_is_not_found_and_one_that_vanishes_is_the_services_fault() -> None:
    never, _ = follow(GONE)
    vanished, operation = follow(RUNNING, GONE)

    assert (never.kind, never.status) == ("not_found", 404)
    assert "operations_url" in str(never)
    assert (vanished.kind, vanished.retryable) == ("server", True)
    assert (
        vanished.response["response_metadata"]["operation"]
        == operation.facts
        == {
            "id": "op",
            "polls": 4,
            "failed_polls": 3,
        }
    )


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_is_believed_at_once(status: int) -> None:
    reply, operation = follow(Reply({"code": 7, "message": "x"}, status))

    assert reply.status == status
    assert operation.polls == 1


def test_what_is_never_readable_comes_back_for_what_it_is() -> None:
    reply, operation = follow(Reply("<html>", 200))

    assert reply.payload == "<html>"
    assert operation.polls == 3


def test_a_connection_that_is_refused_for_good_ends_it() -> None:
    error, operation = follow(RUNNING, BAD_TLS)

    assert error is BAD_TLS
    assert operation.polls == 2
    assert error.response["response_metadata"]["operation"]["id"] == "op"


def test_one_that_never_ends_is_given_up_in_time_with_its_id_and_the_last_trouble() -> None:
    began = time.monotonic()
    error, operation = follow(RUNNING, BUSY, until=began + 0.2)

    assert error.kind == "timeout"
    assert 0.1 < time.monotonic() - began < 5
    for part in ("op", "503", "charges", "timeout"):
        assert part in str(error)
    assert error.response["response_metadata"]["operation"] == operation.facts


def test_a_last_reading_is_made_before_it_is_given_up() -> None:
    """However long the waits have become."""
    error, operation = follow(RUNNING, until=time.monotonic() + 0.3, longest=60)

    assert error.kind == "timeout"
    waits = [0.0005 * GROWTH**number for number in range(30)]
    assert operation.polls >= next(n for n in range(30) if sum(waits[:n]) > 0.15)


def test_the_service_may_ask_for_a_longer_wait() -> None:
    began = time.monotonic()
    reply, _ = follow(Reply({"code": 8, "message": "x"}, 429, {"retry-after": "0.2"}), DONE)

    assert reply.payload == DONE.payload
    assert time.monotonic() - began >= 0.15


@pytest.mark.parametrize(
    "reply",
    [
        DONE,
        Reply({"id": "op", "error": {"code": 13}}),
        Reply({"id": "op"}, 429),
        Reply({"id": ""}),
        Reply({"id": 3}),
        Reply([]),
        Reply(None),
    ],
)
def test_there_is_nothing_to_wait_for_without_an_operation_that_runs(reply: Reply) -> None:
    assert operation_id(reply) is None


def test_all_operations_of_an_instance_share_one_pace_over_threads() -> None:
    readings = Readings(100)

    async def several() -> None:
        await asyncio.gather(*(readings.turn() for _ in range(10)))

    began = time.monotonic()
    threads = [threading.Thread(target=lambda: asyncio.run(several())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert time.monotonic() - began >= 0.28
    assert readings.sent == 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_does_not_wait_for_a_lock_of_its_parent() -> None:
    readings = Readings(100)
    with readings._lock:
        child = os.fork()
        if not child:
            thread = threading.Thread(target=lambda: asyncio.run(readings.turn()), daemon=True)
            thread.start()
            thread.join(5)
            os._exit(int(thread.is_alive()))
        _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


# Over the wire


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    names = [name for name in YandexDialect.variants if name.startswith("operation.")]
    rules = [{"match": f"^{name}", "variant": name} for name in names]
    with MockServer({"rules": rules, "text": "echo {prompt}"}, dialects=[YandexDialect()]) as server:
        yield server


def model_at(server: MockServer, **options: Any) -> YandexGPTModel:
    given: dict[str, Any] = {"base_url": server.url("yandex"), "poll_interval": 0.02, "max_poll_interval": 0.05}
    return YandexGPTModel("ds://x", api_key="k", mode="async", **{**given, "timeout": 10, **options})


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # it happens in another thread
            await asyncio.sleep(0.005)


def test_polls_are_reported_and_are_no_attempts(server: MockServer) -> None:
    server.reset()
    with model_at(server) as model:
        responses: Any = model.batch(["operation.slow 1", "operation.flaky 2", "plain"])
        reads = model.operation_reads
    posts = [record for record in server.log if record.method == "POST"]
    gets = [record for record in server.log if record.method == "GET"]

    facts = [response["response_metadata"]["operation"] for response in responses]
    assert [response["response_metadata"]["attempts"] for response in responses] == [1, 1, 1]
    assert len(posts) == 3
    assert sum(fact["polls"] for fact in facts) == len(gets) == reads
    assert facts[0]["polls"] > 1
    assert facts[1]["failed_polls"] >= 1
    assert (facts[2]["polls"], facts[2]["failed_polls"]) == (1, 0)
    assert {record.path.split("/")[-1] for record in gets} == {fact["id"] for fact in facts}


def test_a_failed_operation_says_which_and_is_submitted_again_where_that_may_help(server: MockServer) -> None:
    server.reset()
    with model_at(server, max_attempts=2) as model:
        broken, invalid = model.batch(["operation.internal", "operation.invalid"])
    posts = [record.prompt for record in server.log if record.method == "POST"]

    assert (broken["error"]["kind"], broken["response_metadata"]["attempts"]) == ("server", 2)
    assert (invalid["error"]["kind"], invalid["response_metadata"]["attempts"]) == ("bad_request", 1)
    assert sorted(posts) == ["operation.internal"] * 2 + ["operation.invalid"]
    for response in (broken, invalid):
        facts: Any = response["response_metadata"]["operation"]  # type: ignore[typeddict-item]
        assert facts["id"].startswith("mock")
        assert facts["polls"] >= 1


def test_one_that_never_ends_costs_one_submission_where_one_attempt_is_allowed(server: MockServer) -> None:
    server.reset()
    with model_at(server, max_attempts=1, timeout=1.5) as model, pytest.raises(ModelError) as caught:
        model.invoke("operation.never")
    posts = [record for record in server.log if record.method == "POST"]

    assert caught.value.kind == "timeout"
    assert caught.value.attempts == len(posts) == 1


def test_an_operation_survives_a_restart_of_the_server() -> None:
    script = {"rules": [{"variant": "operation.slow"}], "text": "echo {prompt}"}
    server = MockServer(script, dialects=[YandexDialect()])
    server.start()

    async def scenario() -> Any:
        async with model_at(server) as model:
            asking = asyncio.create_task(model.ainvoke("Hello"))
            await until(lambda: model.operation_reads > 0)
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(0.3)
            await asyncio.to_thread(server.start)
            return await asking

    try:
        response = asyncio.run(scenario())
        posts = [record for record in server.log if record.method == "POST"]
    finally:
        server.stop()

    assert response["content"] == "echo Hello"
    assert response["response_metadata"]["attempts"] == len(posts) == 1
    assert response["response_metadata"]["operation"]["failed_polls"] >= 1


def test_a_reading_that_hangs_does_not_cost_the_operation() -> None:
    submitted = Reply({"id": "op-1", "done": False}, 200, {})
    asked: list[str] = []

    async def read(path: str) -> Reply:
        asked.append(path)
        if len(asked) == 1:
            await asyncio.Event().wait()
        return Reply({"id": "op-1", "done": True, "response": {}}, 200, {})

    async def scenario() -> Any:
        until = time.monotonic() + 3
        operation = Operation(submitted, readings=Readings(100), first=0.01, longest=0.01, until=until)
        return await operation.outcome(read)

    reply = asyncio.run(scenario())

    assert reply.facts == {"id": "op-1", "polls": 2, "failed_polls": 1}


def test_a_cancelled_prompt_stops_reading_and_cancels_no_operation(server: MockServer) -> None:
    server.reset()

    async def scenario() -> int:
        async with model_at(server) as model:
            asking = asyncio.create_task(model.ainvoke("operation.never"))
            await until(lambda: model.operation_reads > 1)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            return model.operation_reads

    reads = asyncio.run(scenario())
    time.sleep(0.1)

    gets = [record.path for record in server.log if record.method == "GET"]
    assert len(gets) in (reads, reads - 1)
    assert not [path for path in gets if "cancel" in path]


def test_a_wrong_address_of_operations_is_named(server: MockServer) -> None:
    model = model_at(server, operations_url=f"{server.address}/elsewhere", max_attempts=3)
    with model, pytest.raises(ModelError, match="operations_url") as caught:
        model.invoke("Hello")

    assert (caught.value.kind, caught.value.attempts) == ("not_found", 1)


def test_no_more_readings_are_sent_than_the_pace_allows(server: MockServer) -> None:
    server.reset()
    with model_at(server, operation_reads_per_second=50) as model:
        began = time.monotonic()
        model.batch([f"prompt {number}" for number in range(25)], batch_size=25)
        took = time.monotonic() - began

    assert took >= 24 / 50


def test_a_stream_of_an_operation_is_one_chunk(server: MockServer) -> None:
    with model_at(server) as model:
        (chunk,) = list(model.stream("Hello"))

    assert chunk["content"] == "echo Hello"
    assert chunk["response_metadata"]["operation"]["polls"] == 1  # type: ignore[typeddict-item]
