"""One request, and the exact reply to it."""

import asyncio
import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivetrace_core import ConfigError, ModelError, Reply, __version__
from hivetrace_core.http.bodies import json_bytes, payload_of

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def test_a_post_sends_json_and_returns_the_reply_as_it_came(play: Any) -> None:
    async def main() -> None:
        headers = ("Content-Type: application/json", "X-Request-ID: r-1", "X-Twice: a", "x-twice: b")
        async with (
            play.wire(play.answer(b'{"text": "\\u2028 \xd1\x8f"}', headers=headers)) as wire,
            play.client(f"{wire.url}/v1", headers={"Authorization": "Bearer k"}) as client,
        ):
            reply = await client.post("/chat", {"prompt": "я \ud800 \x00", "n": 1})

        assert reply == Reply(
            {"text": "\u2028 я"},
            200,
            {
                "content-type": "application/json",
                "x-request-id": "r-1",
                "x-twice": "a, b",
                "content-length": str(len(b'{"text": "\\u2028 \xd1\x8f"}')),
            },
        )
        (request,) = wire.requests
        assert (request.method, request.target) == ("POST", "/v1/chat")
        assert request.body == b'{"prompt":"\\u044f \\ud800 \\u0000","n":1}'
        assert request.headers == {
            "host": f"localhost:{wire.port}",
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
            "user-agent": f"hivetrace/{__version__}",
            "authorization": "Bearer k",
            "content-type": "application/json",
            "content-length": str(len(request.body)),
        }

    asyncio.run(main())


def test_get_and_form_send_what_they_should(play: Any) -> None:
    async def main() -> None:
        async with play.wire(play.answer()) as wire, play.client(wire.url) as client:
            await client.get("/models?limit=2")
            await client.post_form("/token", {"scope": "a b", "код": "&"}, headers={"Authorization": "Basic eA=="})

        get, form = wire.requests
        assert (get.method, get.target, get.body) == ("GET", "/models?limit=2", b"")
        assert "content-type" not in get.headers
        assert (form.method, form.target) == ("POST", "/token")
        assert form.body == b"scope=a+b&%D0%BA%D0%BE%D0%B4=%26"
        assert form.headers["content-type"] == "application/x-www-form-urlencoded"
        assert form.headers["authorization"] == "Basic eA=="

    asyncio.run(main())


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("", "/chat", "/chat"),
        ("/", "/chat", "/chat"),
        ("/v1", "chat", "/v1/chat"),
        ("/v1/", "/chat", "/v1/chat"),
        ("/v1", "", "/v1"),
        ("/v1", "/models/a%2Fb:run?alt=sse", "/v1/models/a%2Fb:run?alt=sse"),
        ("/v1", "https://elsewhere.example/x", "/v1/https://elsewhere.example/x"),
        ("/v1", "//elsewhere.example/x", "/v1/elsewhere.example/x"),
    ],
)
def test_paths_stay_below_the_base_url(play: Any, base: str, path: str, target: str) -> None:
    async def main() -> None:
        async with play.wire(play.answer()) as wire, play.client(wire.url + base) as client:
            await client.post(path, {})

        assert [request.target for request in wire.requests] == [target]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "body", "content_type", "payload"),
    [
        ("200 OK", b'{"a": [1, 2.5, null]}', "application/json", {"a": [1, 2.5, None]}),
        ("200 OK", b'\xef\xbb\xbf{"a": 1}', "application/json", {"a": 1}),
        ("200 OK", b'\n\n {"a": 1}\n', "text/plain", {"a": 1}),
        ("200 OK", b'{"p": [NaN, -Infinity]}', "application/json", {"p": ["NaN", "-Infinity"]}),
        ("200 OK", b'{"s": "\\ud800"}', "application/json", {"s": "\ud800"}),
        ("200 OK", b"", "application/json", None),
        ("200 OK", b"<html>\xd0\xaf</html>", "text/html", "<html>Я</html>"),
        ("200 OK", b"\xdf \xff", "text/plain; charset=windows-1251", "Я я"),
        ("200 OK", b"\xdf", "text/plain; charset=rot13", "\ufffd"),
        ("200 OK", b"\xdf", "text/plain; charset=utf-none", "\ufffd"),
        ("200 OK", b"ok \xff\xfe", "text/plain", "ok \ufffd\ufffd"),
        ("200 OK", b'{"cut": ', "application/json", '{"cut": '),
        ("200 OK", b"[" * 100_000, "application/json", "[" * 100_000),
        ("200 OK", b"9" * 10_000, "application/json", "9" * 10_000),
        ("400 Bad Request", b'{"error": {}}', "application/json", {"error": {}}),
        ("401 Unauthorized", b"no", "text/plain", "no"),
        ("429 Too Many Requests", b'{"error": {}}', "application/json", {"error": {}}),
        ("500 Oops", b"", "text/plain", None),
        ("599 Strange", b"1", "text/plain", 1),
        ("204 No Content", b"", "text/plain", None),
    ],
)
def test_every_status_is_a_reply_and_every_body_a_payload(
    play: Any, status: str, body: bytes, content_type: str, payload: Any
) -> None:
    async def main() -> None:
        sent = play.answer(body, status=status, headers=(f"Content-Type: {content_type}",))
        async with play.wire(sent) as wire, play.client(wire.url) as client:
            first = await client.post("/", {})
            second = await client.get("/")

        assert (first.status, first.payload) == (int(status[:3]), payload)
        assert second == first
        assert wire.connections == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("x-unknown", lambda body: body)]
)
def test_compressed_bodies_are_read(play: Any, encoding: str, pack: Any) -> None:
    async def main() -> None:
        sent = play.answer(pack(b'{"ok": true}'), headers=(f"Content-Encoding: {encoding}",))
        async with play.wire(sent) as wire, play.client(wire.url) as client:
            assert (await client.post("/", {})).payload == {"ok": True}

    asyncio.run(main())


def test_chunked_and_unframed_bodies_are_read(play: Any) -> None:
    async def main() -> None:
        chunked = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n'
        async with play.wire(chunked) as wire, play.client(wire.url) as client:
            assert (await client.post("/", {})).payload == {"a": 1}

        async def until_close(_: Any, __: Any, writer: asyncio.StreamWriter) -> None:
            writer.write(b'HTTP/1.0 200 OK\r\n\r\n{"a": 2}')
            writer.close()

        async with play.wire(until_close) as wire, play.client(wire.url) as client:
            assert (await client.post("/", {})).payload == {"a": 2}

    asyncio.run(main())


def test_interim_answers_are_skipped(play: Any) -> None:
    async def main() -> None:
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        async with play.wire(interim + play.answer()) as wire, play.client(wire.url) as client:
            assert (await client.post("/", {})).payload == {"ok": True}

    asyncio.run(main())


def test_a_switch_of_protocols_is_a_reply_and_the_end_of_its_connection(play: Any) -> None:
    async def main() -> None:
        switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        async with play.wire(switch) as wire, play.client(wire.url) as client:
            for _ in range(2):
                reply = await client.post("/", {})
                assert (reply.status, reply.payload) == (101, None)

        assert wire.connections == 2

    asyncio.run(main())


def test_large_prompts_and_headers_go_through(play: Any) -> None:
    async def main() -> None:
        policy = "x" * 40_000
        async with (
            play.wire(play.answer(headers=(f"Content-Security-Policy: {policy}",))) as wire,
            play.client(wire.url) as client,
        ):
            reply = await client.post("/", {"prompt": "p" * 10_000_000})

        assert reply.headers["content-security-policy"] == policy
        assert json.loads(wire.requests[0].body) == {"prompt": "p" * 10_000_000}
        assert wire.requests[0].headers["content-type"] == "application/json"

    asyncio.run(main())


def test_extra_headers_and_body_win_over_the_providers(play: Any) -> None:
    async def main() -> None:
        async with (
            play.wire(play.answer()) as wire,
            play.client(
                wire.url,
                headers={"Authorization": "Bearer k", "X-Title": "Acme"},
                extra_headers={"x-title": "Mine", "User-Agent": "me"},
                extra_body={"n": 2, "seed": 7},
            ) as client,
        ):
            body = {"n": 1}
            await client.post("/", body)
            await client.post("/", body, headers={"X-TITLE": "Now"})
            await client.get("/")

        first, second, third = wire.requests
        assert json.loads(first.body) == {"n": 2, "seed": 7}
        assert body == {"n": 1}
        assert [r.headers["x-title"] for r in wire.requests] == ["Mine", "Now", "Mine"]
        assert first.headers["user-agent"] == "me"
        assert second.headers["authorization"] == "Bearer k"
        assert third.body == b""

    asyncio.run(main())


def test_extras_stay_away_from_a_second_server(play: Any) -> None:
    async def main() -> None:
        async with (
            play.wire(play.answer()) as wire,
            play.client(wire.url, extras=False, extra_headers={"X-Key": "k"}, extra_body={"n": 2}) as client,
        ):
            await client.post("/token", {"a": 1})

        assert json.loads(wire.requests[0].body) == {"a": 1}
        assert "x-key" not in wire.requests[0].headers

    asyncio.run(main())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1}, b"bytes"])
def test_what_json_cannot_say_is_a_bad_request_and_nothing_is_sent(play: Any, value: Any) -> None:
    async def main() -> None:
        async with play.wire(play.answer()) as wire, play.client(wire.url) as client:
            with pytest.raises(ModelError, match="cannot be written as JSON") as caught:
                await client.post("/", {"temperature": value})

        assert caught.value.kind == "bad_request"
        assert wire.connections == 0

    asyncio.run(main())


def test_a_body_nested_without_end_is_a_bad_request() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless

    with pytest.raises(ModelError, match="cannot be written as JSON"):
        json_bytes(endless)


def test_a_pasted_key_with_a_line_break_is_found_before_anything_is_sent(play: Any) -> None:
    async def main() -> None:
        async with play.wire(play.answer()) as wire:
            with pytest.raises(ConfigError, match="the value of Authorization contains a line break") as caught:
                async with play.client(wire.url, headers={"Authorization": "Bearer sk-secret\n"}):
                    pass
            async with play.client(wire.url) as client:
                with pytest.raises(ModelError, match="characters that HTTP does not allow") as late:
                    await client.post("/", {}, headers={"Authorization": "Bearer sk-secret\r\nX: y"})

        assert "sk-secret" not in str(caught.value) + str(late.value)
        assert late.value.kind == "bad_request"
        assert wire.requests == []

    asyncio.run(main())


def test_a_second_base_url_is_checked_like_the_first(play: Any) -> None:
    from hivetrace_core.http import HttpOptions, JsonHttp

    async def main() -> None:
        with pytest.raises(ConfigError, match="base_url must start with http"):
            JsonHttp(HttpOptions(base_url="http://localhost"), base_url="elsewhere")

    asyncio.run(main())


def test_cookies_are_not_kept(play: Any) -> None:
    async def main() -> None:
        headers = ("Set-Cookie: session=abc; Path=/", "Set-Cookie: b=2")
        async with play.wire(play.answer(headers=headers)) as wire, play.client(wire.url) as client:
            reply = await client.post("/", {})
            await client.post("/", {})

        assert reply.headers["set-cookie"] == "session=abc; Path=/, b=2"
        assert all("cookie" not in request.headers for request in wire.requests)

    asyncio.run(main())


def test_the_environment_is_not_read(play: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def main() -> None:
        async with play.wire(play.answer()) as wire, play.client(wire.url) as client:
            await client.post("/", {})

        assert "authorization" not in wire.requests[0].headers

    asyncio.run(main())


@settings(max_examples=50)
@given(st.dictionaries(st.text(), st.lists(st.none() | st.booleans() | st.text() | st.integers() | FINITE)))
def test_any_json_survives_the_way_there_and_back(value: Any) -> None:
    body = json_bytes({"value": value})

    assert body.isascii()
    assert payload_of(body, "application/json") == {"value": value}


@given(st.binary(), st.text())
def test_any_bytes_have_a_payload(body: bytes, content_type: str) -> None:
    payload = payload_of(body, content_type)

    assert payload is not None or body == b"" or body.replace(b"\0", b"").strip() == b"null"
    json.dumps(payload, allow_nan=False)
