"""Token streams over a real socket: pieces as they come, attempts only before the first of them."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from hivetrace_core import ConfigError, Messages, ModelError, ModelOptions, ProviderModel, Reply, ResponseChunk

from .acme import Acme, acme_response, failure, wait_until

HUNG_UP = None


def script(*events: Any, wait: float = 0.0) -> Any:
    async def stream(text: str) -> AsyncIterator[Any]:
        for event in events:
            await asyncio.sleep(wait)
            yield event

    return stream


def end(finish: str = "stop") -> dict[str, Any]:
    return {"finish": finish, "usage": {"output_tokens": 3}}


async def chunks_of(model: ProviderModel[Any], prompt: Any = "a") -> list[ResponseChunk]:
    return [chunk async for chunk in model.astream(prompt)]


def check_whole(chunks: list[ResponseChunk], text: str) -> None:
    assert "".join(chunk["content"] for chunk in chunks) == text
    assert [set(chunk) for chunk in chunks[:-1]] == [{"content"}] * (len(chunks) - 1)
    metadata = chunks[-1]["response_metadata"]
    assert metadata["outcome"] == "answered"
    assert metadata["provider"] == "acme"
    assert metadata["attempts"] == 1
    assert metadata["latency_s"] > 0
    assert metadata["usage"] == {"output_tokens": 3}


def test_an_answer_comes_in_pieces_and_the_last_has_the_metadata(acme: Acme) -> None:
    acme.stream = script({"text": "Hel"}, {"text": ""}, {"text": "lo"}, end())
    model = acme.model()

    check_whole(list(model.stream("a")), "Hello")
    check_whole(asyncio.run(chunks_of(model)), "Hello")


def test_pieces_arrive_before_the_answer_is_complete(acme: Acme) -> None:
    second = threading.Event()

    async def stream(text: str) -> AsyncIterator[Any]:
        yield {"text": "first"}
        assert await asyncio.to_thread(second.wait, 10)
        yield {"text": "second"}
        yield end()

    acme.stream = stream
    pieces = acme.model().stream("a")

    assert next(pieces) == {"content": "first"}
    second.set()
    assert next(pieces) == {"content": "second"}
    assert "response_metadata" in next(pieces)
    assert next(pieces, None) is None


def test_a_stream_works_inside_a_running_loop(acme: Acme) -> None:
    acme.stream = script({"text": "Hello"}, end())
    model = acme.model()

    async def main() -> list[ResponseChunk]:
        return list(model.stream("a"))

    check_whole(asyncio.run(main()), "Hello")


@pytest.mark.parametrize(("finish", "outcome"), [("filter", "blocked"), ("max", "truncated"), ("new", "unknown")])
def test_the_end_of_a_stream_tells_the_outcome_of_the_whole(acme: Acme, finish: str, outcome: str) -> None:
    acme.stream = script({"text": "par"}, end(finish))
    model = acme.model()

    *_, last = model.stream("a")

    assert last["response_metadata"]["outcome"] == outcome
    assert model.is_answer_blocked(last) is (outcome == "blocked")


def test_a_failure_before_the_first_piece_is_tried_again(acme: Acme) -> None:
    async def stream(text: str) -> AsyncIterator[Any]:
        if len(acme.prompts) == 1:
            yield failure(503)
        yield {"text": "Hello"}
        yield end()

    acme.stream = stream

    *_, last = acme.model().stream("a")

    assert last["response_metadata"]["attempts"] == 2
    assert len(acme.prompts) == 2


def test_a_failure_after_the_first_piece_keeps_the_text_and_is_not_tried_again(acme: Acme) -> None:
    acme.stream = script({"text": "Half an "}, {"text": "answer"}, HUNG_UP, wait=0.01)
    received: list[str] = []

    with pytest.raises(ModelError) as caught:
        received.extend(chunk["content"] for chunk in acme.model().stream("a"))

    error = caught.value
    assert (error.kind, error.attempts, error.retryable) == ("connection", 1, False)
    assert error.response == {"content": "Half an answer"}
    assert len(acme.prompts) == 1


def test_a_stream_that_ends_without_its_end_is_no_answer(acme: Acme) -> None:
    acme.stream = script({"text": "Hello"})

    with pytest.raises(ModelError, match="The stream ended before the answer did") as caught:
        list(acme.model().stream("a"))

    assert caught.value.kind == "connection"
    assert caught.value.response == {"content": "Hello"}


def test_a_stream_that_stands_still_is_a_timeout(acme: Acme) -> None:
    async def stream(text: str) -> AsyncIterator[Any]:
        yield {"text": "Hello"}
        await asyncio.sleep(30)

    acme.stream = stream

    with pytest.raises(ModelError) as caught:
        list(acme.model(timeout=0.7).stream("a"))

    assert caught.value.kind == "timeout"
    assert caught.value.response == {"content": "Hello"}


def test_a_malformed_prompt_is_never_sent(acme: Acme) -> None:
    with pytest.raises(ModelError, match="the list of messages is empty") as caught:
        list(acme.model().stream([]))

    assert (caught.value.kind, caught.value.attempts, acme.prompts) == ("bad_request", 0, [])


@pytest.mark.parametrize("way", ["close", "drop", "aclose"])
def test_a_stream_that_is_left_early_hangs_up(acme: Acme, way: str) -> None:
    async def stream(text: str) -> AsyncIterator[Any]:
        for _ in range(3000):
            yield {"text": "more"}
            await asyncio.sleep(0.01)

    acme.stream = stream
    model = acme.model()

    async def asynchronously() -> None:
        async with aclosing(model.astream("a")) as chunks:
            async for _ in chunks:
                break

    if way == "aclose":
        asyncio.run(asynchronously())
    else:
        pieces = model.stream("a")
        next(pieces)
        if way == "close":
            pieces.close()  # type: ignore[attr-defined]
        del pieces

    wait_until(lambda: acme.hung_up == 1)


# What an author may write


class Streaming(ProviderModel[ModelOptions]):
    """Yields what it is told to."""

    items: list[Any]
    tasks: set[Any]

    async def complete(self, client: Any, messages: Messages) -> Reply:
        return Reply({"text": "whole", "finish": "max"})

    def classify(self, reply: Reply) -> Any:
        return acme_response(reply)

    async def stream_complete(self, client: Any, messages: Messages) -> AsyncIterator[str | ResponseChunk]:
        self.tasks = {asyncio.current_task()}
        async with asyncio.timeout(5):
            for item in self.items:
                yield item
                self.tasks.add(asyncio.current_task())


class WithoutStream(Streaming):
    stream_complete = ProviderModel.stream_complete  # type: ignore[assignment]


def streaming(*items: Any) -> Streaming:
    model = Streaming("m", max_attempts=1)
    model.items = list(items)
    return model


def test_without_a_stream_of_its_own_a_provider_streams_one_piece() -> None:
    chunks = list(WithoutStream("m").stream("a"))

    assert [chunk["content"] for chunk in chunks] == ["whole"]
    assert chunks[0]["response_metadata"]["outcome"] == "truncated"
    assert chunks[0]["response_metadata"]["attempts"] == 1


def test_the_last_chunk_may_have_text_or_none() -> None:
    said = {"finish_reason": "stop"}

    with_text = list(streaming("a", {"content": "b", "response_metadata": said}).stream("x"))
    assert [chunk["content"] for chunk in with_text] == ["a", "b"]

    for last in ({"response_metadata": said}, {"content": None, "response_metadata": said}):
        without = list(streaming("a", last).stream("x"))

        assert [chunk["content"] for chunk in without] == ["a", ""]
        assert without[-1]["response_metadata"]["outcome"] == "answered"
        assert without[-1]["response_metadata"]["model_name"] == "m"
    assert said == {"finish_reason": "stop"}


def test_an_empty_stream_that_ends_properly_is_an_empty_answer() -> None:
    (last,) = streaming({"content": "", "response_metadata": {"finish_reason": "stop"}}).stream("x")

    assert last["response_metadata"]["outcome"] == "empty"


@pytest.mark.parametrize("rubbish", [5, None, ["x"], {"content": 5}])
def test_rubbish_in_a_stream_is_an_error(rubbish: Any) -> None:
    with pytest.raises(ModelError) as caught:
        list(streaming("a", rubbish, {"content": "", "response_metadata": {}}).stream("x"))

    assert (caught.value.kind, caught.value.message) == (
        "response_format",
        "Streaming streamed what is no piece of an answer",
    )
    assert caught.value.response == {"content": "a"}


@pytest.mark.parametrize("blocking", [True, False])
def test_one_task_reads_the_whole_of_a_stream(blocking: bool) -> None:
    model = streaming("a", "b", {"content": "", "response_metadata": {"finish_reason": "stop"}})

    chunks = list(model.stream("x")) if blocking else asyncio.run(chunks_of(model))

    assert len(chunks) == 3
    assert len(model.tasks) == 1


def test_a_client_that_cannot_be_made_ends_the_stream_with_the_reason() -> None:
    class Unmakeable(Streaming):
        def make_client(self) -> Any:
            raise ConfigError("The key fits no header.")

    model = Unmakeable("m")
    model.items = []

    with pytest.raises(ConfigError, match="The key fits no header"):
        list(model.stream("x"))
