"""IAM tokens: one call for all who wait, a new one when it is due or refused, and no token where none may be shown."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hivetrace_yandex import YandexGPTModel
from hivetrace_yandex.dialect import YandexDialect
from hivetrace_yandex.dialect_signals import flat
from hivetrace_yandex.tokens import IamTokens

from hivetrace_core import ModelError
from hivetrace_core.mockserver import MockServer, WireReply, WireRequest, json_reply


class Guarded(YandexDialect):
    """Takes the tokens that are valid now, and echoes a part of any other."""

    def __init__(self) -> None:
        self.valid = {"t1.first-token-000"}
        self.answers = 0
        self.expire_after: int | None = None

    def reply(self, request: WireRequest, turn: Any) -> WireReply:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        self.answers += 1
        if self.answers == self.expire_after:
            self.valid = {"t1.second-token-111"}
        return super().reply(request, turn)

    def stream(self, request: WireRequest, turn: Any) -> Any:
        return super().stream(request, turn) if self._refusal(request) is None else None

    def side(self, request: WireRequest) -> WireReply | None:
        return self._refusal(request) or super().side(request)

    def _refusal(self, request: WireRequest) -> WireReply | None:
        key = self.key_of(request) or ""
        return None if key in self.valid else json_reply(flat(16, f"The token {key[3:15]} has expired")(""), 401)


@pytest.fixture
def dialect() -> Guarded:
    return Guarded()


@pytest.fixture
def server(dialect: Guarded) -> Iterator[MockServer]:
    with MockServer({"text": "echo {prompt}"}, dialects=[dialect]) as server:
        yield server


class Provider:
    """Hands out its tokens in order, the last one again and again."""

    def __init__(self, *tokens: str, delay: float = 0.0) -> None:
        self.tokens = list(tokens) or ["t1.first-token-000", "t1.second-token-111"]
        self.delay = delay
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        time.sleep(self.delay)
        return self.tokens[min(self.calls, len(self.tokens)) - 1]


def model_at(server: MockServer, provider: Any, **options: Any) -> YandexGPTModel:
    fast: dict[str, Any] = {"poll_interval": 0.02, "max_poll_interval": 0.05, "operation_reads_per_second": 500}
    given = {"base_url": server.url("yandex"), "timeout": 20, **fast, **options}
    return YandexGPTModel("ds://x", iam_token_provider=provider, **given)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_token_that_expires_in_the_middle_of_a_batch_is_renewed_once_and_nothing_is_lost(
    mode: Any, dialect: Guarded, server: MockServer
) -> None:
    dialect.expire_after = 60
    provider = Provider()
    prompts = [f"prompt {number}" for number in range(150)]
    with model_at(server, provider, mode=mode) as model:
        responses: Any = model.batch(prompts, batch_size=16)
    submitted = [record for record in server.log if record.method == "POST"]

    assert [response["content"] for response in responses] == [f"echo {prompt}" for prompt in prompts]
    assert provider.calls == 2
    attempts = [response["response_metadata"]["attempts"] for response in responses]
    assert sum(attempts) == len(submitted)
    assert set(attempts) <= {1, 2}
    assert dialect.answers == len(prompts), "an operation was begun twice"


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_refused_token_that_a_renewal_does_not_cure_ends_after_two_requests(mode: Any, server: MockServer) -> None:
    provider = Provider("t1.wrong-token-xyz", "t1.wrong-again-xyz")
    with model_at(server, provider, mode=mode) as model, pytest.raises(ModelError) as caught:
        model.invoke("Hello")

    assert (caught.value.kind, caught.value.retryable, caught.value.attempts) == ("authentication", False, 2)
    assert provider.calls == 2
    assert len(server.log) == 2
    assert "wrong" not in str(caught.value)


def test_a_refused_token_is_renewed_in_a_stream_too(dialect: Guarded, server: MockServer) -> None:
    dialect.valid = {"t1.second-token-111"}
    with model_at(server, Provider()) as model:
        chunks: Any = list(model.stream("Hi"))

    assert "".join(chunk["content"] for chunk in chunks) == "echo Hi"
    assert chunks[-1]["response_metadata"]["attempts"] == 2


@pytest.mark.parametrize("credential", [{"iam_token": "t1.wrong-token-xyz"}, {"api_key": "AQVNwrong-key-xyz"}])
def test_a_wrong_static_credential_is_tried_once_and_shown_nowhere(
    credential: Any, server: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="hivetrace_core")
    with YandexGPTModel("ds://x", base_url=server.url("yandex"), **credential) as model:
        with pytest.raises(ModelError) as caught:
            model.invoke("Hello")
        responses = model.batch(["a", "b"], batch_size=1)

    assert (caught.value.kind, caught.value.attempts, caught.value.retryable) == ("authentication", 1, False)
    assert len(server.log) == 2
    assert "wrong" not in f"{caught.value}{responses}{caplog.text}"


def test_what_the_service_repeats_of_a_key_is_not_in_the_raw_reply(server: MockServer) -> None:
    async def refused() -> Any:
        model = model_at(server, Provider("t1.wrong-token-xyz"))
        client = model.make_client()
        try:
            with pytest.raises(ModelError):  # the first one can be renewed
                await model.complete(client, [{"role": "user", "content": "Hello"}])
            return await model.complete(client, [{"role": "user", "content": "Hello"}])
        finally:
            await client.aclose()

    reply = asyncio.run(refused())

    assert reply.status == 401
    assert reply.payload["message"] == "The token *** has expired"


def test_many_threads_and_loops_cause_one_call() -> None:
    provider = Provider("t1.a", delay=0.2)
    tokens = IamTokens(provider, lifetime=60)
    found: list[str] = []

    async def several() -> None:
        got = await asyncio.gather(*(tokens.get() for _ in range(5)))
        found.extend(token.value for token in got)

    threads = [threading.Thread(target=lambda: asyncio.run(several())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == ["t1.a"] * 20
    assert provider.calls == 1


def test_a_token_is_renewed_when_its_lifetime_is_over() -> None:
    now = 0.0
    provider = Provider("t1.a", "t1.b")
    tokens = IamTokens(provider, lifetime=60, clock=lambda: now)

    async def value() -> str:
        return (await tokens.get()).value

    assert asyncio.run(value()) == "t1.a"
    now = 59.9
    assert asyncio.run(value()) == "t1.a"
    now = 60.0
    assert asyncio.run(value()) == "t1.b"


def test_who_waits_takes_over_from_one_who_is_cancelled() -> None:
    began = 0

    async def provider() -> str:
        nonlocal began
        began += 1
        await asyncio.sleep(60 if began == 1 else 0)
        return "t1.a"

    async def scenario() -> str:
        tokens = IamTokens(provider, lifetime=60)
        first, second = asyncio.create_task(tokens.get()), asyncio.create_task(tokens.get())
        await asyncio.sleep(0.05)
        first.cancel()
        return (await asyncio.wait_for(second, 10)).value

    assert asyncio.run(scenario()) == "t1.a"
    assert began == 2


def test_who_is_cancelled_while_waiting_disturbs_nobody() -> None:
    async def scenario() -> tuple[str, str]:
        tokens = IamTokens(Provider("t1.a", delay=0.2), lifetime=60)
        first, second, third = (asyncio.create_task(tokens.get()) for _ in range(3))
        await asyncio.sleep(0.05)
        second.cancel()
        return (await first).value, (await third).value

    assert asyncio.run(scenario()) == ("t1.a", "t1.a")


def test_a_late_refusal_of_an_old_token_does_not_drop_the_new_one() -> None:
    async def scenario() -> tuple[bool, bool, str, int]:
        provider = Provider("t1.a", "t1.b", "t1.c")
        tokens = IamTokens(provider, lifetime=60)
        old = await tokens.get()
        first = tokens.refused(old)
        await tokens.get()
        late = tokens.refused(old)
        return first, late, (await tokens.get()).value, provider.calls

    assert asyncio.run(scenario()) == (True, True, "t1.b", 2)


def test_a_renewed_token_that_was_good_for_a_while_may_be_renewed_again() -> None:
    async def scenario() -> tuple[bool, bool]:
        tokens = IamTokens(Provider("t1.a", "t1.b"), lifetime=60)
        tokens.refused(await tokens.get())
        renewed = await tokens.get()
        at_once = tokens.refused(renewed)
        renewed.accepted = True
        return at_once, tokens.refused(renewed)

    assert asyncio.run(scenario()) == (False, True)


class WrappedError(Exception):
    """As HTTP libraries wrap what the system said."""

    def __init__(self, cause: Exception) -> None:
        super().__init__("secret-in-the-text")
        self.__cause__ = cause


@pytest.mark.parametrize(
    ("raised", "kind", "requests"),
    [
        (ConnectionRefusedError(), "connection", 2),
        (TimeoutError(), "timeout", 2),
        (WrappedError(ConnectionResetError()), "connection", 2),
        (ValueError("secret-in-the-text"), "authentication", 1),
        (FileNotFoundError(2, "no", "secret-in-the-text"), "authentication", 1),
        (ModelError("quota", kind="quota"), "quota", 1),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_provider_that_fails_is_named_and_retried_where_the_network_is_to_blame(
    raised: Exception, kind: str, requests: int, is_async: bool, server: MockServer
) -> None:
    calls = 0

    def plain() -> str:
        nonlocal calls
        calls += 1
        raise raised

    async def coroutine() -> str:
        return plain()

    provider: Any = coroutine if is_async else plain
    with model_at(server, provider, max_attempts=2) as model, pytest.raises(ModelError) as caught:
        model.invoke("Hello")

    assert caught.value.kind == kind
    assert calls == requests
    assert "secret-in-the-text" not in str(caught.value)
    assert server.log == []


@pytest.mark.parametrize("nothing", [None, "", "  ", 3, "t1.a\nX-Other: 1"])
def test_a_provider_that_returns_no_token_is_named(nothing: Any) -> None:
    async def scenario() -> None:
        await IamTokens(lambda: nothing, lifetime=60).get()

    with pytest.raises(ModelError, match="iam_token_provider returned no token") as caught:
        asyncio.run(scenario())

    assert caught.value.kind == "authentication"


def test_each_prompt_gets_an_error_of_its_own(server: MockServer) -> None:
    def down() -> str:
        time.sleep(0.05)
        raise ConnectionRefusedError

    with model_at(server, down, max_attempts=1) as model:
        responses: Any = model.batch(["a", "b", "c"], batch_size=3)

    assert [response["response_metadata"]["attempts"] for response in responses] == [1, 1, 1]
    assert [response["response_metadata"]["index"] for response in responses] == [0, 1, 2]


def test_a_callable_object_may_return_an_awaitable() -> None:
    class Source:
        def __call__(self) -> Any:
            return self.token()

        async def token(self) -> str:
            return " t1.a\n"

    assert asyncio.run(IamTokens(Source(), lifetime=60).get()).value == "t1.a"


def test_a_plain_provider_that_is_slower_than_the_attempt_still_yields_its_token(server: MockServer) -> None:
    provider = Provider(delay=0.7)
    with model_at(server, provider, timeout=0.3, max_attempts=6) as model:
        response: Any = model.invoke("Hello")

    assert response["content"] == "echo Hello"
    assert response["response_metadata"]["attempts"] > 1
    assert provider.calls == 1


def test_the_token_of_a_plain_provider_is_kept_though_nobody_waits_for_it() -> None:
    provider = Provider("t1.a", delay=0.2)
    tokens = IamTokens(provider, lifetime=60)

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(tokens.get(), 0.05)

    asyncio.run(impatient())
    time.sleep(0.4)

    assert asyncio.run(tokens.get()).value == "t1.a"
    assert provider.calls == 1


def test_a_leader_whose_loop_stands_still_is_not_waited_for_without_end() -> None:
    calls = 0

    async def provider() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.sleep(60)
        return "t1.a"

    tokens = IamTokens(provider, lifetime=60, patience=0.3)
    loop = asyncio.new_event_loop()
    leader = loop.create_task(tokens.get())
    loop.run_until_complete(asyncio.sleep(0.01))  # and then the loop runs no more

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(tokens.get(), 0.2)

    began = time.monotonic()
    asyncio.run(impatient())
    assert asyncio.run(asyncio.wait_for(tokens.get(), 10)).value == "t1.a"
    assert time.monotonic() - began < 2
    assert calls == 2
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(leader)
    loop.close()
    assert asyncio.run(tokens.get()).value == "t1.a"
    assert calls == 2


def test_a_leader_may_be_closed_by_a_thread_that_holds_the_lock() -> None:
    async def provider() -> str:
        await asyncio.Event().wait()
        return ""

    tokens = IamTokens(provider, lifetime=60)
    leader = tokens.get()

    async def begin() -> None:
        leader.send(None)

    asyncio.run(begin())

    def close() -> None:
        with tokens._lock:
            leader.close()

    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    thread.join(5)

    assert not thread.is_alive()
    assert tokens._flight is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_does_not_wait_for_a_lock_of_its_parent() -> None:
    tokens = IamTokens(Provider("t1.a"), lifetime=60)
    token = asyncio.run(tokens.get())
    with tokens._lock:
        assert forked(lambda: tokens.refused(token)) == 0


def forked(act: Any) -> int:
    """Exit status of a child that does this in a thread which does not hold what the parent's thread holds."""
    child = os.fork()
    if not child:
        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        thread.join(5)
        os._exit(int(thread.is_alive()))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
