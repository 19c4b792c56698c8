"""Each fault, as it looks on the wire."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from hivetrace_core.mockserver import MockServer

Serve = Callable[..., MockServer]
Connect = Callable[[MockServer], Any]

ANSWER = {"text": "This is a scripted answer.", "finish": "answered", "variant": None, "categories": []}


def test_a_reset_is_a_reset(serve: Serve, connect: Connect) -> None:
    server = serve({"rules": [{"fault": "reset"}]})
    client = connect(server)

    with pytest.raises(ConnectionResetError):
        client.ask()

    stats = server.stats()
    assert (stats["in_flight"], stats["abandoned"]) == (0, 0)


def test_a_hang_answers_nothing_until_the_client_gives_up(serve: Serve, connect: Connect) -> None:
    server = serve({"rules": [{"fault": "hang"}]})
    client = connect(server)
    client.sock.settimeout(0.2)

    with pytest.raises(TimeoutError):
        client.ask()
    assert server.stats()["in_flight"] == 1

    client.sock.close()
    deadline = time.monotonic() + 5
    while server.stats()["in_flight"] and time.monotonic() < deadline:
        time.sleep(0.01)
    stats = server.stats()
    assert (stats["in_flight"], stats["abandoned"]) == (0, 1)


def test_garbage_is_no_http(serve: Serve, connect: Connect, wire: Any) -> None:
    client = connect(serve({"rules": [{"fault": "garbage"}]}))

    client.send(wire.question())
    received = client.rest()

    assert received
    assert not received.startswith(b"HTTP/")


@pytest.mark.parametrize("status", [None, 502])
def test_html_is_a_page_with_any_status(serve: Serve, connect: Connect, status: int | None) -> None:
    rule = {"fault": "html"} | ({"status": status} if status else {})

    reply = connect(serve({"rules": [rule]})).ask()

    assert reply.status == (status or 200)
    assert reply.headers["content-type"].startswith("text/html")
    assert b"<html>" in reply.body


def test_empty_is_a_reply_without_a_body_and_the_connection_goes_on(serve: Serve, connect: Connect) -> None:
    client = connect(serve({"rules": [{"fault": "empty", "times": 1}]}))

    first, second = client.ask(), client.ask()

    assert (first.status, first.headers["content-length"], first.body) == (200, "0", b"")
    assert second.json == ANSWER


def test_a_redirect_points_to_a_place_that_is_logged(serve: Serve, connect: Connect, wire: Any) -> None:
    server = serve({"rules": [{"fault": "redirect", "status": 302}]})
    client = connect(server)

    reply = client.ask()
    client.send(wire.request("GET", reply.headers["location"]))
    client.read()

    assert reply.status == 302
    assert [record.path for record in server.log] == ["/plain/v1/ask", "/_elsewhere"]


def test_a_cut_body_is_shorter_than_its_length_says(serve: Serve, connect: Connect) -> None:
    client = connect(serve({"rules": [{"fault": "cut"}]}))

    with pytest.raises(EOFError) as caught:
        client.ask()

    whole = json.dumps(ANSWER, separators=(",", ":"))
    assert str(caught.value) == whole[: len(whole) // 2]


def test_half_is_half_of_the_answer_with_a_length_that_fits(serve: Serve, connect: Connect) -> None:
    client = connect(serve({"rules": [{"fault": "half", "times": 1}]}))

    first, second = client.ask(), client.ask()

    assert json.dumps(ANSWER, separators=(",", ":")).encode().startswith(first.body)
    assert len(first.body) == int(first.headers["content-length"])
    assert second.json == ANSWER


def test_a_wrong_length_leaves_the_rest_of_the_body_in_front_of_the_next_reply(serve: Serve, connect: Connect) -> None:
    client = connect(serve({"rules": [{"fault": "wrong_length", "times": 1}]}))

    first, second = client.ask(), client.ask()

    whole = json.dumps(ANSWER, separators=(",", ":"))
    assert first.body.decode() == whole[: len(whole) // 2]
    assert second.start == f"{whole[len(whole) // 2 :]}HTTP/1.1 200 OK"


@pytest.mark.parametrize("fault", ["trickle", "slow_headers"])
def test_slow_replies_arrive_byte_by_byte_and_whole(serve: Serve, connect: Connect, wire: Any, fault: str) -> None:
    client = connect(serve({"rules": [{"fault": fault, "pace": 0.001}]}))

    client.send(wire.question())
    start = time.monotonic()
    reply = client.read()

    assert reply.json == ANSWER
    assert time.monotonic() - start > 0.05
    assert client.ask().json == ANSWER


def test_a_trickled_stream_has_a_byte_in_each_chunk(serve: Serve, connect: Connect) -> None:
    client = connect(serve({"text": "a b", "rules": [{"fault": "trickle", "pace": 0.001}]}))

    assert client.ask(stream=True).events == ["a", "b", "[DONE]"]


def test_close_idle_answers_and_closes_without_saying_so(serve: Serve, connect: Connect) -> None:
    client = connect(serve({"rules": [{"fault": "close_idle"}]}))

    reply = client.ask()

    assert reply.json == ANSWER
    assert "connection" not in reply.headers
    assert client.rest() == b""


def test_drop_next_answers_and_drops_the_next_request_which_no_rule_counts(serve: Serve, connect: Connect) -> None:
    script = {"rules": [{"match": "a", "fault": "drop_next"}, {"match": "b", "times": 1, "outcome": "blocked"}]}
    server = serve(script)
    client = connect(server)

    answered = client.ask("a")
    with pytest.raises((EOFError, ConnectionError)):
        client.ask("b")
    again = connect(server).ask("b")

    assert answered.json == ANSWER
    assert again.json["finish"] == "blocked"
    assert [record.said for record in server.log] == ["drop_next", "drop_next", "blocked"]
    assert server.stats()["in_flight"] == 0


@pytest.mark.parametrize(("fault", "ends"), [("cut", EOFError), ("reset", ConnectionResetError)])
def test_a_stream_breaks_off_after_so_many_pieces(
    serve: Serve, connect: Connect, wire: Any, fault: str, ends: type[Exception]
) -> None:
    client = connect(serve({"text": "a b c d", "rules": [{"fault": fault, "after": 2}]}))

    client.send(wire.question(stream=True))
    received = b""
    error: Exception | None = None
    while error is None:
        try:
            data = client.sock.recv(65536)
            error = None if data else EOFError()
        except ConnectionResetError as exc:
            data, error = b"", exc
        received += data

    assert isinstance(error, ends)
    assert received.count(b"data: ") == 2
    assert not received.endswith(b"0\r\n\r\n")


def test_a_stream_can_hang_midway(serve: Serve, connect: Connect, wire: Any) -> None:
    client = connect(serve({"text": "a b c d", "rules": [{"fault": "hang", "after": 3}]}))
    client.sock.settimeout(0.3)

    client.send(wire.question(stream=True))
    with pytest.raises(TimeoutError):
        client.rest()

    assert client.received.count(b"data: ") == 3


def test_half_of_a_stream_ends_properly_as_http_but_without_its_end_mark(serve: Serve, connect: Connect) -> None:
    client = connect(serve({"text": "a b c", "rules": [{"fault": "half", "times": 1}]}))

    assert client.ask(stream=True).events == ["a", "b"]
    assert client.ask(stream=True).events == ["a", "b", "c", "[DONE]"]


def test_an_error_midway_is_spelt_by_the_dialect(serve: Serve, connect: Connect) -> None:
    client = connect(serve({"text": "a b c", "rules": [{"error": "server", "after": 1}]}))

    assert client.ask(stream=True).events == ["a", '{"error": "server"}']
    whole = client.ask()
    assert (whole.status, whole.json["error"]) == (500, "server")


def test_an_error_instead_of_a_stream_is_a_whole_reply(serve: Serve, connect: Connect) -> None:
    reply = connect(serve({"rules": [{"error": "quota"}]})).ask(stream=True)

    assert (reply.status, reply.headers["content-type"]) == (402, "application/json")


def test_a_stream_of_wrong_length_is_no_proper_chunking(serve: Serve, connect: Connect) -> None:
    client = connect(serve({"rules": [{"fault": "wrong_length"}]}))

    with pytest.raises(ValueError):  # noqa: PT011  # the next chunk's length is no number
        client.ask(stream=True)


def test_a_paced_stream_takes_its_time(serve: Serve, connect: Connect) -> None:
    client = connect(serve({"text": "a b c", "rules": [{"pace": 0.05}]}))

    start = time.monotonic()
    events = client.ask(stream=True).events

    assert events == ["a", "b", "c", "[DONE]"]
    assert time.monotonic() - start >= 0.14
