"""The token endpoint: what is sent to it, what its replies mean, and how its faults look to the user."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp import web
from hivetrace_gigachat import GigaChatModel
from hivetrace_gigachat.dialect import GigaChatDialect
from hivetrace_gigachat.dialect_tokens import mint
from hivetrace_gigachat.login import lifetime_of, token_of

from hivetrace_core import ModelError, Reply
from hivetrace_core.mockserver import MockServer

KEY = "Y2xpZW50LWlkOmNsaWVudC1zZWNyZXQtMTIz"
WHERE = "https://ngw.example:9443/api/v2/oauth"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def good() -> web.Response:
    return web.json_response({"access_token": mint(KEY, lifetime=60), "expires_at": round(time.time() * 1000) + 60_000})


@pytest.mark.parametrize(
    "payload",
    [
        {"access_token": "abc.def", "expires_at": 1_760_000_000_000},
        {"tok": "abc.def", "exp": 1_760_000_000_000},
        {"access_token": "abc.def"},
        {"access_token": "abc.def", "expires_at": "soon"},
        {"access_token": "abc.def", "expires_at": True},
    ],
)
def test_a_token_is_read_from_either_form_of_the_reply(payload: dict[str, Any]) -> None:
    assert token_of(Reply(payload), WHERE, buffer=60).value == "abc.def"


@pytest.mark.parametrize(
    ("status", "payload", "kind", "retryable", "word"),
    [
        (400, {"code": 4, "message": "Can't decode 'Authorization' header"}, "authentication", False, "base64"),
        (400, {"code": 1, "message": "invalid request"}, "authentication", False, "credentials"),
        (400, {"code": 5, "message": "scope is empty"}, "authentication", False, "check scope"),
        (400, {"code": 7, "message": "scope from db not fully includes"}, "authentication", False, "check scope"),
        (401, {"code": 6, "message": "credentials doesn't match db data"}, "authentication", False, "credentials"),
        (401, None, "authentication", False, "empty body"),
        (403, "<html>Forbidden</html>", "permission", False, "auth_url"),
        (404, {"message": "no route"}, "not_found", False, "auth_url"),
        (429, {"code": 9, "message": "too many"}, "rate_limit", True, "10 requests a second"),
        (500, {"message": "oops"}, "server", True, "500"),
        (502, "<html>Bad gateway</html>", "server", True, "not JSON"),
        (503, None, "server", True, "empty body"),
        (200, "<html>Sign in</html>", "response_format", False, "auth_url"),
        (200, None, "response_format", False, "auth_url"),
        (200, {"hello": 1}, "response_format", False, "no token"),
        (200, {"message": "fine"}, "response_format", False, "no token"),
        (200, {"access_token": ""}, "response_format", False, "no token"),
        (200, {"access_token": 5}, "response_format", False, "no token"),
        (200, {"access_token": "two\r\nlines"}, "response_format", False, "no token"),
        (200, [1], "response_format", False, "unknown shape"),
    ],
)
def test_a_reply_without_a_token_is_an_error_that_says_what_to_check(
    status: int, payload: Any, kind: str, retryable: bool, word: str
) -> None:
    with pytest.raises(ModelError, match=word) as caught:
        token_of(Reply(payload, status), WHERE, buffer=60)

    error = caught.value
    assert (error.kind, error.retryable, error.status) == (kind, retryable, status)
    assert error.message.startswith(f"No access token: {WHERE} answered")


def test_a_wait_that_the_endpoint_asks_for_is_read() -> None:
    with pytest.raises(ModelError) as caught:
        token_of(Reply({"message": "slow down"}, 429, {"retry-after": "3"}), WHERE, buffer=60)

    assert caught.value.retry_after == 3


@pytest.mark.parametrize("scale", [1, 1000], ids=["seconds", "milliseconds"])
def test_the_expiry_is_compared_with_the_replys_own_date(scale: int) -> None:
    served = 1_500_000_000  # years ago, as this machine's clock sees it

    lifetime = lifetime_of({"expires_at": (served + 1800) * scale}, {"date": formatdate(served, usegmt=True)})

    assert lifetime == 1800


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}])
def test_without_a_date_the_expiry_is_compared_with_this_machines_clock(headers: dict[str, str]) -> None:
    assert lifetime_of({"expires_at": (time.time() + 100) * 1000}, headers) == pytest.approx(100, abs=2)


def test_the_request_carries_the_key_the_scope_and_an_id_of_its_own_and_no_extra_header(
    serve: Any, model_of: Any
) -> None:
    seen: list[Any] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append((request.method, request.path, dict(request.headers), await request.text()))
        return good()

    with MockServer(dialects=[GigaChatDialect()]) as server:
        for _ in range(2):
            model = model_of(
                server,
                auth_url=serve(handle) + "/oauth",
                scope="GIGACHAT_API_CORP",
                extra_headers={"X-Session-ID": "s-1"},
                extra_body={"x": 1},
            )
            model.invoke("Hello")

    (method, path, headers, body), (_, _, again, _) = seen
    assert (method, path, body) == ("POST", "/oauth", "scope=GIGACHAT_API_CORP")
    assert headers["Authorization"] == f"Basic {KEY}"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert len(headers["RqUID"]) == 36
    assert headers["RqUID"] != again["RqUID"]
    assert "X-Session-ID" not in headers


def failing(*answers: Callable[[], web.StreamResponse]) -> tuple[list[int], Answer]:
    """An endpoint that answers in this order, the last answer again and again."""
    calls: list[int] = []

    async def handle(_: web.Request) -> web.StreamResponse:
        calls.append(1)
        return answers[min(len(calls), len(answers)) - 1]()

    return calls, handle


def json_with(status: int, **headers: str) -> Callable[[], web.StreamResponse]:
    return lambda: web.json_response({"code": 6, "message": "no"}, status=status, headers=headers)


@pytest.mark.parametrize("status", [400, 401])
def test_a_wrong_key_costs_one_token_request_and_no_model_request(serve: Any, model_of: Any, status: int) -> None:
    calls, handle = failing(json_with(status))
    with MockServer(dialects=[GigaChatDialect()]) as server:
        model = model_of(server, auth_url=serve(handle))
        responses = model.batch([f"prompt {number}" for number in range(100)], batch_size=16)
        sent = len(server.log)

    assert (len(calls), sent) == (1, 0)
    assert responses[0]["error"]["kind"] == "authentication"
    assert "check credentials" in responses[0]["error"]["message"]
    assert {response["error"]["kind"] for response in responses} == {"authentication", "not_sent"}
    assert KEY not in str(responses)


def test_an_outage_of_the_endpoint_is_waited_for_by_the_retries(serve: Any, model_of: Any) -> None:
    calls, handle = failing(json_with(503), good)
    with MockServer(dialects=[GigaChatDialect()]) as server:
        responses = model_of(server, auth_url=serve(handle)).batch([f"prompt {n}" for n in range(20)], batch_size=8)
        sent = len(server.log)

    assert {response["response_metadata"]["outcome"] for response in responses} == {"answered"}
    assert len(calls) == 2
    assert sent == 20


def test_an_endpoint_that_is_not_there_is_named(model_of: Any) -> None:
    with MockServer(dialects=[GigaChatDialect()]) as server:
        model = model_of(server, auth_url="http://127.0.0.1:9/oauth", max_attempts=1)
        with pytest.raises(ModelError) as caught:
            model.invoke("Hello")

        assert server.log == []
    assert caught.value.kind == "connection"
    assert caught.value.message.startswith("No access token: http://127.0.0.1:9: could not connect")
    assert "check auth_url" in caught.value.message


@pytest.mark.parametrize("options", [{"auth_timeout": 0.2}, {"timeout": 0.3}])
def test_an_endpoint_that_does_not_answer_is_named(serve: Any, model_of: Any, options: dict[str, Any]) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return good()

    with MockServer(dialects=[GigaChatDialect()]) as server:
        model = model_of(server, auth_url=serve(hang), max_attempts=1, **options)
        with pytest.raises(ModelError, match=r"No access token: http://127\S+ gave no answer within") as caught:
            model.invoke("Hello")

        assert server.log == []
    assert caught.value.kind == "timeout"


def test_user_and_password_log_in_at_the_service_itself(model_of: Any) -> None:
    with MockServer({"key": "пароль-123"}, dialects=[GigaChatDialect()]) as server:
        model = model_of(server, user="me", password="пароль-123")
        outcome = model.invoke("Hello")["response_metadata"]["outcome"]
        stranger = model_of(server, user="me", password="another-one", max_attempts=3)
        with pytest.raises(ModelError) as caught:
            stranger.invoke("Hello")
        paths = [record.path for record in server.log]

    assert outcome == "answered"
    assert caught.value.kind == "authentication"
    assert paths == ["/gigachat/v1/token", "/gigachat/v1/chat/completions"] * 2


def test_a_token_of_ones_own_is_used_as_it_is_and_never_renewed(model_of: Any) -> None:
    with MockServer(dialects=[GigaChatDialect()]) as server:
        alive: GigaChatModel = model_of(server, access_token=mint("x", lifetime=60))
        dead: GigaChatModel = model_of(server, access_token=mint("x", lifetime=-1))
        assert alive.invoke("Hello")["response_metadata"]["outcome"] == "answered"
        with pytest.raises(ModelError, match="30 minutes") as caught:
            dead.invoke("Hello")
        paths = [record.path for record in server.log]

    assert (caught.value.kind, caught.value.retryable) == ("authentication", False)
    assert paths == ["/gigachat/v1/chat/completions"] * 2
