"""Token streams: put together from pieces, classified as a whole answer, and what happens when they break."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from hivetrace_gemini import GeminiNativeModel
from hivetrace_gemini.assembly import Assembly
from hivetrace_gemini.dialect import GeminiDialect
from hivetrace_gemini.dialect_signals import SIGNALS
from hivetrace_gemini.dialect_streams import events_of
from hivetrace_gemini.events import StreamLines
from hivetrace_gemini.outcomes import classify

from hivetrace_core import ModelError, Reply
from hivetrace_core.mockserver import MockServer

EVENTS = "text/event-stream"


def piece(text: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    return {"candidates": [candidate if finish is None else {**candidate, "finishReason": finish}], **more}


def event(chunk: Any) -> str:
    return f"data: {json.dumps(chunk)}\r\n\r\n"


def streamed(body: str, content_type: str = EVENTS, status: int = 200) -> tuple[list[str], Any]:
    """The pieces of text that arrive, and the metadata of the last chunk or the error."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.query_string == "alt=sse"
        assert request.headers["Accept"] == EVENTS
        return web.Response(body=body.encode(), content_type=content_type, status=status)

    async def read(model: GeminiNativeModel) -> tuple[list[str], Any]:
        received: list[str] = []
        last: Any = None
        try:
            async for chunk in model.astream("Hello"):
                received.append(chunk["content"])
                last = chunk.get("response_metadata")
        except ModelError as error:
            return received, error
        return received, last

    return asyncio.run(_served(answer, read))


async def _served(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
    read: Callable[[GeminiNativeModel], Awaitable[tuple[list[str], Any]]],
) -> tuple[list[str], Any]:
    app = web.Application()
    app.router.add_post("/v1beta/models/{method}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1beta"
    try:
        async with GeminiNativeModel(
            model="m", base_url=url, api_key="k-12345678", max_attempts=1, timeout=10
        ) as model:
            return await read(model)
    finally:
        await runner.cleanup()


def test_the_last_words_usage_and_finish_reason_count() -> None:
    body = (
        event(piece("Hel", usageMetadata={"candidatesTokenCount": 1}, modelVersion="gemini-2.5-flash"))
        + event(piece("lo", "STOP", usageMetadata={"candidatesTokenCount": 2}))
        + event({"candidates": [{"finishReason": "MAX_TOKENS"}], "usageMetadata": {"candidatesTokenCount": 3}})
    )

    received, metadata = streamed(body)

    assert received == ["Hel", "lo", ""]
    assert metadata["outcome"] == "truncated"
    assert metadata["usage"]["output_tokens"] == 3
    assert metadata["model_name"] == "gemini-2.5-flash"


def test_a_finish_reason_before_the_text_does_not_end_the_stream() -> None:
    received, metadata = streamed(event(piece("", "STOP")) + event(piece("Hello")) + event(piece("", "STOP")))

    assert "".join(received) == "Hello"
    assert metadata["outcome"] == "answered"


def test_thoughts_are_not_streamed_as_text() -> None:
    thought = {"candidates": [{"content": {"parts": [{"text": "Hm.", "thought": True}]}}]}

    received, metadata = streamed(event(thought) + event(thought) + event(piece("42", "STOP")))

    assert "".join(received) == "42"
    assert metadata["reasoning"] == "Hm.Hm."


def test_a_filter_that_strikes_midway_blocks_and_keeps_the_text() -> None:
    end = {"candidates": [{"finishReason": "SAFETY", "safetyRatings": [{"category": "X", "probability": "HIGH"}]}]}

    received, metadata = streamed(event(piece("How to ")) + event(end))

    assert "".join(received) == "How to "
    assert (metadata["outcome"], metadata["block"]["categories"][0]["name"]) == ("blocked", "X")


def test_a_blocked_prompt_is_told_in_the_first_event() -> None:
    received, metadata = streamed(event({"promptFeedback": {"blockReason": "OTHER"}}))

    assert received == [""]
    assert (metadata["outcome"], metadata["block"]["stage"]) == ("blocked", "prompt")


@pytest.mark.parametrize("bare", [False, True], ids=["as an event", "as bare JSON"])
def test_an_error_midway_keeps_the_text(bare: bool) -> None:
    error = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Exceeded 50 requests per day"}}
    body = event(piece("one ")) + event(piece("two "))
    body += json.dumps(error, indent=2) + "\n" if bare else event(error)

    received, failed = streamed(body)

    assert received == ["one ", "two "]
    assert failed.kind == "quota"
    assert failed.response["content"] == "one two "


@pytest.mark.parametrize(
    "rest",
    ["", ": keep-alive\r\n\r\nevent: message\r\nid: 7\r\nretry: 5\r\n", 'data: {"candidates": [{"content": {"pa'],
    ids=["nothing", "fields without data", "half an event"],
)
def test_a_stream_without_an_end_is_a_broken_connection_with_its_text(rest: str) -> None:
    received, failed = streamed(event(piece("one ", modelVersion="m-1")) + rest)

    assert received == ["one "]
    assert failed.kind == "connection"
    assert failed.response == {"content": "one ", "response_metadata": {"model_name": "m-1"}}


def test_an_empty_stream_is_a_broken_connection() -> None:
    received, failed = streamed("")

    assert (received, failed.kind, failed.response) == ([], "connection", None)


@pytest.mark.parametrize(
    "body",
    ["data: hello\r\n\r\n", "data: hello\r\n\r\n" + event(piece("x", "STOP"))],
    ids=["alone", "before a good one"],
)
def test_an_event_that_is_not_json_is_an_error(body: str) -> None:
    received, failed = streamed(body)

    assert (received, failed.kind) == ([], "response_format")
    assert "hello" in failed.message


def test_an_event_may_go_on_over_several_lines() -> None:
    pretty = "".join(f"data: {line}\n" for line in json.dumps(piece("Hello", "STOP"), indent=1).splitlines())

    received, metadata = streamed(pretty + "\n")

    assert "".join(received) == "Hello"
    assert metadata["outcome"] == "answered"


def test_a_gateway_may_answer_with_a_list_of_chunks() -> None:
    body = json.dumps([piece("Hel"), piece("lo", "STOP")], indent=1)

    received, metadata = streamed(body, "application/json")

    assert "".join(received) == "Hello"
    assert metadata["outcome"] == "answered"


def test_a_list_of_chunks_without_an_end_is_a_broken_connection() -> None:
    _, failed = streamed(json.dumps([piece("Hel")]), "application/json")

    assert (failed.kind, failed.response["content"]) == ("connection", "Hel")


@pytest.mark.parametrize(
    ("body", "kind"),
    [('{"hello": 1}', "response_format"), ("Sign in", "response_format"), ('[{"error": {"code": 503}}]', "server")],
)
def test_what_is_no_stream_is_read_as_a_whole(body: str, kind: str) -> None:
    received, failed = streamed(body, "application/json")

    assert (received, failed.kind) == ([], kind)


def test_an_answer_in_one_piece_is_taken() -> None:
    received, metadata = streamed(json.dumps(piece("Hello", "STOP")), "application/json")

    assert received == ["Hello"]
    assert metadata["outcome"] == "answered"


def test_an_error_in_place_of_the_stream_is_an_error() -> None:
    body = [{"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "User location is not supported"}}]

    received, failed = streamed(json.dumps(body), "application/json", 400)

    assert (received, failed.kind, failed.status) == ([], "permission", 400)


@pytest.mark.parametrize("fault", ["cut", "reset", "half"])
def test_a_connection_that_breaks_midway_keeps_the_text(fault: str) -> None:
    script = {"text": "one two three", "rules": [{"fault": fault, "after": 2, "pace": 0.01}]}
    with MockServer(script, dialects=[GeminiDialect()]) as server:
        model = GeminiNativeModel(model="m", base_url=server.url("gemini"), api_key="k-12345678", max_attempts=1)
        with model:
            received = []
            with pytest.raises(ModelError) as caught:
                received.extend(chunk["content"] for chunk in model.stream("Hello"))
        requests = len(server.log)

    assert caught.value.kind == "connection"
    assert caught.value.response is not None
    assert caught.value.response["content"] == "one two "
    assert requests == 1


def test_a_stream_that_fails_before_its_first_piece_is_tried_again() -> None:
    script = {"rules": [{"times": 2, "error": "server", "retry_after": 0}]}
    with MockServer(script, dialects=[GeminiDialect()]) as server:
        model = GeminiNativeModel(model="m", base_url=server.url("gemini"), api_key="k-12345678")
        with model:
            chunks: list[Any] = list(model.stream("Hello"))

    assert chunks[-1]["response_metadata"]["attempts"] == 3


ENDING = [
    name
    for name, signal in SIGNALS.items()
    if isinstance(signal.build(""), dict) and name.startswith(("finish.", "content.", "prompt."))
]


@pytest.mark.parametrize("name", ENDING)
def test_pieces_put_together_are_classified_as_the_whole(name: str) -> None:
    whole = SIGNALS[name].build("It is a long answer.")
    answer, lines = Assembly(200, {}), StreamLines()
    for event_ in events_of(whole):
        for line in event_.decode().split("\r\n"):
            for chunk in lines.feed(line) if line else []:
                answer.add(chunk)

    assert verdict(answer.reply()) == verdict(Reply(whole))
    assert lines.end() == []


def verdict(reply: Reply) -> Any:
    try:
        response: Any = classify(reply)
    except ModelError as error:
        return error.kind, error.code, error.response and error.response["content"]
    metadata = dict(response["response_metadata"])
    metadata.pop("usage", None)
    return response["content"], metadata
