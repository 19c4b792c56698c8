"""The model against the mock server: tokens that end, loops and threads, streams, and requests counted on the wire."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from aiohttp import web
from hivetrace_gigachat.dialect import GigaChatDialect
from hivetrace_gigachat.dialect_tokens import mint

from hivetrace_core import ModelError
from hivetrace_core.mockserver import MockServer

KEY = "Y2xpZW50LWlkOmNsaWVudC1zZWNyZXQtMTIz"


def counted(server: MockServer) -> tuple[int, int]:
    """Requests for tokens and for answers."""
    side = sum(record.said == "side" for record in server.log)
    return side, len(server.log) - side


def test_loops_and_threads_share_one_token(model_of: Any) -> None:
    with MockServer(dialects=[GigaChatDialect()]) as server:
        model = model_of(server)
        barrier = threading.Barrier(3)
        found: list[Any] = []

        async def several() -> list[Any]:
            return await model.abatch([f"prompt {number}" for number in range(20)], batch_size=10)

        def work() -> None:
            barrier.wait()
            found.extend(asyncio.run(several()))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        found.extend(asyncio.run(several()))
        found.append(model.invoke("blocking"))

        assert counted(server) == (1, 81)
    assert {response["response_metadata"]["outcome"] for response in found} == {"answered"}


@pytest.mark.parametrize("clock_error", [0.0, 10 * 86_400.0], ids=["true expiry", "told to live long"])
def test_tokens_that_end_during_a_run_cost_attempts_that_are_counted_and_no_prompt(
    model_of: Any, clock_error: float
) -> None:
    # The service drops each token after 1.5 s; where the expiry is told wrong, only a 401 says so.
    dialect = GigaChatDialect(token_lifetime=1.5, clock_error=clock_error)
    with MockServer({"delay": 0.05}, dialects=[dialect]) as server:
        responses = model_of(server, max_attempts=10).batch([f"prompt {n}" for n in range(400)], batch_size=8)
        tokens, requests = counted(server)

    assert {response["response_metadata"]["outcome"] for response in responses} == {"answered"}
    assert sum(response["response_metadata"]["attempts"] for response in responses) == requests
    assert requests > 400 if clock_error else requests >= 400
    assert 2 <= tokens <= 30


@pytest.mark.parametrize("clock_error", [-86_400.0, -1800.0, 86_400.0 * 365])
def test_a_wrong_clock_costs_no_token_per_prompt(model_of: Any, clock_error: float) -> None:
    with MockServer(dialects=[GigaChatDialect(clock_error=clock_error)]) as server:
        model_of(server).batch([f"prompt {number}" for number in range(100)], batch_size=4)

        assert counted(server) == (1, 100)


def test_a_key_whose_tokens_the_service_never_takes_costs_one_request(model_of: Any) -> None:
    with MockServer({"key": "another-key-123"}, dialects=[GigaChatDialect()]) as server:
        model = model_of(server)
        for _ in range(2):
            with pytest.raises(ModelError) as caught:
                model.invoke("Hello")

            assert (caught.value.kind, caught.value.retryable, caught.value.attempts) == ("authentication", False, 1)
        assert counted(server) == (2, 2)


def test_a_credential_that_is_withdrawn_during_a_run_stops_it_soon(model_of: Any) -> None:
    rules = [{"match": r"^prompt \d$"}, {"error": "authentication"}]  # from the tenth prompt on
    with MockServer({"rules": rules}, dialects=[GigaChatDialect()]) as server:
        responses = model_of(server).batch([f"prompt {number}" for number in range(200)], batch_size=4)
        tokens, requests = counted(server)

    assert {response["response_metadata"]["outcome"] for response in responses[:10]} == {"answered"}
    assert {response["error"]["kind"] for response in responses[10:]} == {"authentication", "not_sent"}
    assert requests <= 10 + 2 * 4
    assert tokens <= 5
    assert sum(response["response_metadata"]["attempts"] for response in responses) == requests


def test_a_prompt_that_cannot_be_sent_fails_alone_and_unsent(model_of: Any) -> None:
    system = {"role": "system", "content": "Отвечай кратко"}
    with MockServer(dialects=[GigaChatDialect()]) as server:
        responses = model_of(server).batch(["one", [system, {"role": "user", "content": "x"}, system], "two"])
        _, requests = counted(server)

    assert [response["response_metadata"]["outcome"] for response in responses] == ["answered", "failed", "answered"]
    assert responses[1]["error"]["kind"] == "bad_request"
    assert responses[1]["response_metadata"]["attempts"] == 0
    assert requests == 2


def test_what_is_sent_is_what_was_set(serve: Any, model_of: Any) -> None:
    seen: list[Any] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/chat/completions":
            seen.append((dict(request.headers), await request.json()))
            message = {"role": "assistant", "content": "Да"}
            return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}]})
        return web.json_response({"access_token": "token-1", "expires_at": 0})

    with MockServer(dialects=[GigaChatDialect()]) as server:
        address = serve(handle)
        one = model_of(
            server,
            base_url=f"{address}/v1",
            auth_url=address,
            model="GIGACHAT-2-max",
            extra_headers={"X-Session-ID": "session-1"},
            extra_body={"one": 1},
            top_p=0,
            profanity_check=False,
        )
        bare = model_of(server, base_url=f"{address}/v1", auth_url=address)
        user = {"role": "user", "content": "Кто ты?"}
        one.invoke([user, {"role": "system", "content": "Кратко"}])
        bare.invoke("Привет")

    (headers, body), (_, plain) = seen
    assert headers["Authorization"] == "Bearer token-1"
    assert headers["X-Session-ID"] == "session-1"
    assert body == {
        "model": "GigaChat-2-Max",
        "messages": [{"role": "system", "content": "Кратко"}, user],
        "top_p": 0,
        "profanity_check": False,
        "one": 1,
    }
    assert plain == {"model": "GigaChat", "messages": [{"role": "user", "content": "Привет"}]}


def test_a_token_that_a_server_repeats_is_shown_to_nobody(serve: Any, model_of: Any) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/chat/completions":
            token = request.headers["Authorization"].removeprefix("Bearer ")
            return web.json_response({"status": 400, "message": f"bad {token}", token: [token]}, status=400)
        return web.json_response({"access_token": "eyJ-secret-token"})

    address = serve(handle)
    with MockServer(dialects=[GigaChatDialect()]) as server:
        model = model_of(server, base_url=f"{address}/v1", auth_url=address)
        (response,) = model.batch(["Hello"])
        assert "eyJ-secret" not in str(response)
        assert "bad ***" in response["error"]["message"]


# Streams


def test_an_error_in_the_middle_of_a_stream_comes_after_the_text_so_far(model_of: Any) -> None:
    script = {"text": "one two three four", "rules": [{"error": "server", "after": 2}]}
    with MockServer(script, dialects=[GigaChatDialect()]) as server:
        received: list[str] = []
        with pytest.raises(ModelError) as caught:
            received.extend(chunk["content"] for chunk in model_of(server).stream("Hello"))

    assert (caught.value.kind, received) == ("server", ["one ", "two "])
    assert caught.value.response is not None
    assert caught.value.response["content"] == "one two "


@pytest.mark.parametrize("fault", ["cut", "half", "reset"])
def test_a_stream_that_breaks_off_is_a_lost_connection_with_the_text_so_far(model_of: Any, fault: str) -> None:
    script = {"text": "one two three four", "rules": [{"fault": fault, "after": 2, "pace": 0.01}]}
    with MockServer(script, dialects=[GigaChatDialect()]) as server:
        received: list[str] = []
        with pytest.raises(ModelError) as caught:
            received.extend(chunk["content"] for chunk in model_of(server).stream("Hello"))

    assert (caught.value.kind, received) == ("connection", ["one ", "two "])
    assert caught.value.response is not None
    assert caught.value.response["content"] == "one two "


@pytest.mark.parametrize(
    ("variant", "outcome"), [("finish.blacklist_partial", "blocked"), ("finish.function_call", "tool_calls")]
)
def test_what_the_closing_event_says_counts(model_of: Any, variant: str, outcome: str) -> None:
    script = {"text": "one two", "rules": [{"variant": variant}]}
    with MockServer(script, dialects=[GigaChatDialect()]) as server:
        chunks: list[Any] = list(model_of(server).stream("Hello"))

    metadata = chunks[-1]["response_metadata"]
    assert metadata["outcome"] == outcome
    assert "".join(chunk["content"] for chunk in chunks) == ("one two" if outcome == "blocked" else "")
    assert ("tool_calls" in metadata) is (outcome == "tool_calls")


def test_reasoning_and_refusals_of_a_stream_are_kept_apart(model_of: Any) -> None:
    rules = [{"match": "think", "variant": "message.reasoning"}, {"variant": "message.refusal"}]
    with MockServer({"text": "Yes.", "rules": rules}, dialects=[GigaChatDialect()]) as server:
        model = model_of(server)
        thought: list[Any] = list(model.stream("think"))
        refused: list[Any] = list(model.stream("no"))

    assert "".join(chunk["content"] for chunk in thought) == "Yes."
    assert thought[-1]["response_metadata"]["reasoning"] == "Because."
    assert "".join(chunk["content"] for chunk in refused) == "I can't help with that."


def test_an_old_token_is_replaced_before_the_first_piece_of_a_stream(model_of: Any) -> None:
    with MockServer(dialects=[GigaChatDialect(token_lifetime=0.3, clock_error=1800)]) as server:
        model = model_of(server)
        first: list[Any] = list(model.stream("one"))
        time.sleep(0.4)
        second: list[Any] = list(model.stream("two"))

        assert counted(server) == (2, 3)
    assert first[-1]["response_metadata"]["attempts"] == 1
    assert second[-1]["response_metadata"]["attempts"] == 2


def test_an_event_that_is_no_json_is_named(serve: Any, model_of: Any) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path != "/v1/chat/completions":
            return web.json_response({"access_token": mint(KEY, lifetime=60)})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\ndata: <html>\n\n')
        return response

    address = serve(handle)
    with MockServer(dialects=[GigaChatDialect()]) as server:
        model = model_of(server, base_url=f"{address}/v1", auth_url=address)
        with pytest.raises(ModelError, match="not JSON: <html>") as caught:
            list(model.stream("Hello"))

    assert caught.value.kind == "response_format"
    assert caught.value.response is not None
