"""Answers in pieces: events and lines, however the network cuts them."""

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hivetrace_core import ModelError
from hivetrace_core.http import ServerEvent
from hivetrace_core.http.streams import EventParser, LineParser

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def parse(parser: Any, chunks: list[bytes]) -> list[Any]:
    return [*(item for piece in chunks for item in parser.feed(piece)), *parser.end()]


def reference(text: str) -> list[ServerEvent]:
    """The specification's algorithm, line by line, on the whole text."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    events: list[ServerEvent] = []
    data: list[str] = []
    name = ""
    for line in text.split("\n")[:-1]:
        if line == "":
            if data:
                events.append(ServerEvent("\n".join(data), name or "message"))
            data, name = [], ""
        elif ":" in line:
            field, value = line.split(":", 1)
            value = value[1:] if value[:1] == " " else value
            data += [value] if field == "data" else []
            name = value if field == "event" else name
        elif line == "data":
            data.append("")
        elif line == "event":
            name = ""
    return events


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: one\n\ndata: two\n\n", ["one", "two"]),
        (b"data: one\r\n\r\ndata: two\r\n\r\n", ["one", "two"]),
        (b"data: one\r\rdata: two\r\r", ["one", "two"]),
        (b"data: a\ndata: b\ndata:\ndata\n\n", ["a\nb\n\n"]),
        (b"data:tight\n\ndata:  two blanks\n\n", ["tight", " two blanks"]),
        (b": keep-alive\n\n:\n\ndata: x\n: inside\n\n", ["x"]),
        (b"id: 7\nretry: 10\nother: y\ndata: x\n\n", ["x"]),
        (b"\xef\xbb\xbfdata: x\n\n", ["x"]),
        (b"data: x\n\n\xef\xbb\xbfdata: y\n\n", ["x"]),
        (b"\n\n\n", []),
        (b"event: ping\n\n", []),
        (b"data: cut", []),
        (b"data: cut\n", []),
        (b"data: line\xe2\x80\xa8separator\n\n", ["line\u2028separator"]),
        (b"data: \xff\n\n", ["\ufffd"]),
    ],
)
def test_events(body: bytes, events: list[str]) -> None:
    for pieces in ([body], [body[i : i + 1] for i in range(len(body))]):
        assert [event.data for event in parse(EventParser(), pieces)] == events


def test_an_event_has_a_type() -> None:
    body = b"event: done\ndata: 1\n\ndata: 2\n\nevent: a\nevent: b\ndata: 3\n\n"

    assert parse(EventParser(), [body]) == [
        ServerEvent("1", "done"),
        ServerEvent("2", "message"),
        ServerEvent("3", "b"),
    ]


def test_an_event_is_there_as_soon_as_its_blank_line_is() -> None:
    parser = EventParser()

    assert parser.feed(b"data: x\r\n\r") == [ServerEvent("x")]
    assert parser.feed(b"\ndata: y\r\n\r\n") == [ServerEvent("y")]


def test_only_the_line_feed_right_after_a_carriage_return_belongs_to_it() -> None:
    assert parse(EventParser(), [b"data: x\r", b"data: y", b"\n\n"]) == [ServerEvent("x\ny")]


@settings(max_examples=150)
@given(
    st.lists(
        st.sampled_from(["data", "event", "id", ":", ": ", " ", "x", "я", "😀", "\n", "\r", "\r\n", "\u2028", "\ufeff"])
    ),
    st.lists(st.integers(0, 10_000), max_size=8),
)
@example(["data:", "x", "\r\n", "\r\n"], [7])
@example(["data:", "x", "\r", "\n", "\r", "\n"], [7, 8, 9])
def test_any_cut_of_any_event_stream_gives_the_events_of_the_whole(parts: list[str], places: list[int]) -> None:
    text = "".join(parts)

    assert parse(EventParser(), cut(text.encode(), places)) == reference(text)


@settings(max_examples=100)
@given(st.lists(st.text(alphabet="aя😀 \u2028\r")), st.booleans(), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_cut_of_any_lines_gives_the_lines_of_the_whole(lines: list[str], ended: bool, places: list[int]) -> None:
    body = "\r\n".join(lines) + ("\n" if ended else "")

    parsed = parse(LineParser(), cut(body.encode(), places))

    assert parsed == [stripped for line in lines if (stripped := line.strip("\r "))]


def test_a_long_line_in_many_pieces_is_not_copied_for_each_of_them() -> None:
    for parser in (LineParser(), EventParser()):
        for _ in range(60_000):
            assert parser.feed(b":" * 100) == []
        last = parser.feed(b"\ndata: x\n\n")

        assert last in ([":" * 6_000_000, "data: x"], [ServerEvent("x")])


async def collect(opened: Any, into: list[str]) -> None:
    async with opened as stream:
        async for event in stream:
            into.append(event.data)  # noqa: PERF401 - what came before a failure counts


def test_events_arrive_over_the_wire_in_any_chunks(play: Any) -> None:
    texts = ["Привет, ", "😀", "", "line\nline"]
    body = b": hello\r\n\r\n" + b"".join(
        b"".join(b"data: %s\r\n" % line.encode() for line in text.split("\n")) + b"\r\n" for text in texts
    )

    async def main() -> None:
        async def reply(request: Any, __: Any, writer: asyncio.StreamWriter) -> None:
            step = json.loads(request.body)["step"]
            writer.write(HEAD)
            for start in range(0, len(body), step):
                writer.write(chunk(body[start : start + step]))
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(LAST)

        async with play.wire(reply) as wire, play.client(wire.url, headers={"Authorization": "k"}) as client:
            for step in (1, 2, 3, 7, 1000):
                async with client.sse("/chat", {"step": step}, headers={"X-A": "b"}) as stream:
                    assert (stream.status, stream.reply) == (200, None)
                    assert stream.headers["content-type"] == "text/event-stream"
                    assert [event.data async for event in stream] == texts

        assert wire.connections == 1
        sent = wire.requests[0]
        assert json.loads(sent.body) == {"step": 1}
        assert sent.headers["accept"] == "text/event-stream"
        assert sent.headers["accept-encoding"] == "identity"
        assert (sent.headers["authorization"], sent.headers["x-a"]) == ("k", "b")

    asyncio.run(main())


def test_lines_arrive_one_by_one(play: Any) -> None:
    async def main() -> None:
        go_on = asyncio.Event()

        async def reply(_: Any, __: Any, writer: asyncio.StreamWriter) -> None:
            writer.write(HEAD.replace(b"text/event-stream", b"application/json") + chunk(b'{"n": 1}\n{"n"'))
            await go_on.wait()
            writer.write(chunk(b': 2}\n\n{"n": 3}') + LAST)

        async with play.wire(reply) as wire, play.client(wire.url) as client, client.lines("/", {}) as stream:
            assert await anext(stream) == '{"n": 1}'
            go_on.set()
            assert [line async for line in stream] == ['{"n": 2}', '{"n": 3}']
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

        assert wire.requests[0].headers["accept"] == "application/x-ndjson, application/json"

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["sse", "lines"])
@pytest.mark.parametrize(
    ("status", "content_type", "body", "payload"),
    [
        ("400 Bad Request", "application/json", b'{"error": 1}', {"error": 1}),
        ("429 Too Many", "text/event-stream", b"data: x\n\n", "data: x\n\n"),
        ("500 Oops", "text/plain", b"", None),
        ("200 OK", "text/html; charset=utf-8", b"<html>", "<html>"),
    ],
)
def test_what_is_no_stream_is_a_reply_to_classify(
    play: Any, mode: str, status: str, content_type: str, body: bytes, payload: Any
) -> None:
    async def main() -> None:
        sent = play.answer(body, status=status, headers=(f"Content-Type: {content_type}",))
        async with play.wire(sent) as wire, play.client(wire.url) as client:
            async with getattr(client, mode)("/", {}) as stream:
                assert stream.reply is not None
                assert (stream.reply.status, stream.reply.payload) == (int(status[:3]), payload)
                assert stream.reply.headers == stream.headers
                assert [item async for item in stream] == []
            await client.post("/", {})

        assert wire.connections == 1

    asyncio.run(main())


def test_a_whole_json_answer_where_events_were_asked_for_is_a_reply(play: Any) -> None:
    async def main() -> None:
        async with play.wire(play.answer(b'{"error": {}}')) as wire, play.client(wire.url) as client:
            async with client.sse("/", {}) as stream:
                assert stream.reply is not None
                assert stream.reply.payload == {"error": {}}
            async with client.lines("/", {}) as lines:
                assert [line async for line in lines] == ['{"error": {}}']

    asyncio.run(main())


@pytest.mark.parametrize(
    "content_type", ["Content-Type: text/plain", "X-None: 1", "Content-Type: Text/Event-Stream;x=y"]
)
def test_events_under_another_name_are_events(play: Any, content_type: str) -> None:
    async def main() -> None:
        async with (
            play.wire(play.answer(b"data: x\n\n", headers=(content_type,))) as wire,
            play.client(wire.url) as client,
            client.sse("/", {}) as stream,
        ):
            assert [event.data async for event in stream] == ["x"]

    asyncio.run(main())


def test_a_stream_that_is_cut_fails_after_what_arrived(play: Any) -> None:
    async def main() -> None:
        async def reply(_: Any, __: Any, writer: asyncio.StreamWriter) -> None:
            writer.write(HEAD + chunk(b"data: x\n\ndata: y"))
            await writer.drain()
            writer.close()

        async with play.wire(reply) as wire, play.client(wire.url) as client:
            events: list[str] = []
            with pytest.raises(ModelError, match="cut off before its end") as caught:
                await collect(client.sse("/", {}), events)

        assert events == ["x"]
        assert caught.value.kind == "connection"

    asyncio.run(main())


def test_a_stream_over_the_limit_fails(play: Any) -> None:
    async def main() -> None:
        async def endless(_: Any, __: Any, writer: asyncio.StreamWriter) -> None:
            writer.write(HEAD)
            while True:
                writer.write(chunk(b"data: x\n\n" * 10))
                await writer.drain()
                await asyncio.sleep(0.001)

        async with play.wire(endless) as wire, play.client(wire.url, max_response_bytes=10_000) as client:
            events: list[str] = []
            with pytest.raises(ModelError, match="larger than 10,000 bytes") as caught:
                await collect(client.sse("/", {}), events)

        assert (caught.value.kind, caught.value.status) == ("response_format", 200)
        assert 0 < len(events) <= 10_000 / 9

    asyncio.run(main())


@pytest.mark.usefixtures("nothing_left_open")
@pytest.mark.parametrize("read", [0, 1])
def test_leaving_a_stream_early_closes_its_connection(play: Any, read: int) -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def endless(_: Any, __: Any, writer: asyncio.StreamWriter) -> None:
            writer.write(HEAD)
            try:
                while True:
                    writer.write(chunk(b"data: x\n\n"))
                    await writer.drain()
                    await asyncio.sleep(0.001)
            finally:
                ended.set()

        async with play.wire(endless) as wire, play.client(wire.url) as client:
            async with client.sse("/", {}) as stream:
                for _ in range(read):
                    await anext(stream)
            await asyncio.wait_for(ended.wait(), 5)

    asyncio.run(main())


@pytest.mark.usefixtures("nothing_left_open")
def test_a_timeout_in_a_stream_closes_its_connection(play: Any) -> None:
    async def main() -> None:
        async def stall(_: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(HEAD + chunk(b"data: x\n\n"))
            await writer.drain()
            await reader.read()
            ended.set()

        ended = asyncio.Event()
        async with play.wire(stall) as wire, play.client(wire.url) as client:
            events: list[str] = []
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(collect(client.sse("/", {}), events), 0.05)
            assert events == ["x"]
            await asyncio.wait_for(ended.wait(), 5)

    asyncio.run(main())


def test_redirects_of_a_stream_are_refused(play: Any) -> None:
    async def main() -> None:
        answer = play.answer(status="307 Moved", headers=("Location: https://elsewhere.example/x?k=secret",))
        async with play.wire(answer) as wire, play.client(wire.url) as client:
            with pytest.raises(ModelError, match=r"to https://elsewhere\.example; redirects") as caught:
                async with client.sse("/", {}):
                    pass

        assert "secret" not in str(caught.value)
        assert len(wire.requests) == 1

    asyncio.run(main())


def test_extra_headers_and_body_reach_streams(play: Any) -> None:
    async def main() -> None:
        async with (
            play.wire(play.answer(b"data: x\n\n", headers=("Content-Type: text/event-stream",))) as wire,
            play.client(wire.url, extra_headers={"Accept": "mine/*"}, extra_body={"n": 2}) as client,
            client.sse("/", {"n": 1}),
        ):
            pass

        assert wire.requests[0].headers["accept"] == "mine/*"
        assert json.loads(wire.requests[0].body) == {"n": 2}

    asyncio.run(main())
