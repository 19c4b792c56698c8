"""The store of the access token: one fetch at a time, whoever waits, wherever they run."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest
from hivetrace_gigachat.tokens import LIFETIME_S, AccessToken, Held, TokenStore

from hivetrace_core import ModelError

Fetch = Callable[[], Awaitable[AccessToken]]


class Endpoint:
    """Hands out numbered tokens, slowly; fails as told."""

    def __init__(self, *failures: ModelError | None, took: float = 0.02, lifetime: float = LIFETIME_S) -> None:
        self.calls = 0
        self._failures = list(failures)
        self._took, self._lifetime = took, lifetime
        self._lock = threading.Lock()

    async def fetch(self) -> AccessToken:
        with self._lock:
            self.calls += 1
            number = self.calls
            failure = self._failures.pop(0) if self._failures else None
        await asyncio.sleep(self._took)
        if failure is not None:
            raise failure
        return AccessToken.lasting(f"token-{number}", self._lifetime, buffer=60)


def store() -> TokenStore:
    return TokenStore(patience=5)


def outage() -> ModelError:
    return ModelError("No access token: down", kind="connection")


def test_many_requests_in_one_loop_wait_for_one_fetch() -> None:
    endpoint, tokens = Endpoint(), store()

    async def main() -> list[Held]:
        first = await asyncio.gather(*(tokens.get(endpoint.fetch) for _ in range(50)))
        return [*first, await tokens.get(endpoint.fetch)]

    *first, later = asyncio.run(main())
    assert endpoint.calls == 1
    assert first == [Held("token-1", new=True)] * 50
    assert later == Held("token-1", new=False)


def test_loops_in_several_threads_wait_for_one_fetch() -> None:
    endpoint, tokens = Endpoint(took=0.2), store()
    barrier = threading.Barrier(4)
    found: list[Held] = []

    async def several() -> list[Held]:
        return await asyncio.gather(*(tokens.get(endpoint.fetch) for _ in range(10)))

    def work() -> None:
        barrier.wait()
        found.extend(asyncio.run(several()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert endpoint.calls == 1
    assert [held.value for held in found] == ["token-1"] * 40


def test_whoever_waits_takes_over_from_a_fetch_that_is_cancelled() -> None:
    endpoint, tokens = Endpoint(took=0.1), store()

    async def main() -> list[Held]:
        leader = asyncio.create_task(tokens.get(endpoint.fetch))
        await asyncio.sleep(0.02)
        waiting = [asyncio.create_task(tokens.get(endpoint.fetch)) for _ in range(5)]
        await asyncio.sleep(0.02)
        leader.cancel()
        return await asyncio.gather(*waiting)

    assert asyncio.run(main()) == [Held("token-2", new=True)] * 5
    assert endpoint.calls == 2


def test_a_waiter_that_is_cancelled_takes_nothing_from_the_others() -> None:
    endpoint, tokens = Endpoint(took=0.1), store()

    async def main() -> Held:
        leader = asyncio.create_task(tokens.get(endpoint.fetch))
        await asyncio.sleep(0.02)
        waiting = [asyncio.create_task(tokens.get(endpoint.fetch)) for _ in range(2)]
        await asyncio.sleep(0.02)
        waiting[0].cancel()
        await leader
        return await waiting[1]

    assert asyncio.run(main()).value == "token-1"
    assert endpoint.calls == 1


def test_a_fetch_whose_loop_stands_still_is_taken_over_in_the_end() -> None:
    endpoint, tokens = Endpoint(), TokenStore(patience=0.1)
    loop = asyncio.new_event_loop()
    never = loop.create_task(tokens.get(lambda: asyncio.sleep(3600)))  # type: ignore[arg-type,return-value]
    loop.run_until_complete(asyncio.sleep(0.01))  # the fetch has begun, and its loop stops

    assert asyncio.run(tokens.get(endpoint.fetch)).value == "token-1"
    never.cancel()
    loop.run_until_complete(asyncio.gather(never, return_exceptions=True))
    loop.close()
    assert asyncio.run(tokens.get(endpoint.fetch)) == Held("token-1", new=False)


def test_everybody_who_waits_gets_an_error_of_his_own() -> None:
    endpoint, tokens = Endpoint(ModelError("no", kind="authentication", status=401, code="6")), store()

    async def main() -> list[Any]:
        return await asyncio.gather(*(tokens.get(endpoint.fetch) for _ in range(10)), return_exceptions=True)

    errors = asyncio.run(main())
    assert endpoint.calls == 1
    assert [(error.kind, error.status, error.code) for error in errors] == [("authentication", 401, "6")] * 10
    assert len({id(error) for error in errors}) == 10


def test_what_the_one_who_fetched_writes_into_his_error_is_his_own() -> None:
    endpoint, tokens = Endpoint(ModelError("no", kind="rate_limit", retry_after=30)), store()

    async def failed() -> tuple[str, int]:
        try:
            await tokens.get(endpoint.fetch)
        except ModelError as error:
            found = error.message, error.attempts
            error.message, error.attempts = f"{error.message}, and advice", 3
            return found
        return "a token", 0

    async def main() -> list[tuple[str, int]]:
        return [*await asyncio.gather(*(failed() for _ in range(5))), await failed(), await failed()]

    assert asyncio.run(main()) == [("no", 0)] * 7
    assert endpoint.calls == 1


def test_after_a_failure_the_next_fetch_waits_a_moment_and_then_succeeds() -> None:
    endpoint, tokens = Endpoint(outage()), store()

    async def main() -> tuple[Held, float]:
        with pytest.raises(ModelError):
            await tokens.get(endpoint.fetch)
        began = time.monotonic()
        return await tokens.get(endpoint.fetch), time.monotonic() - began

    held, took = asyncio.run(main())
    assert held.value == "token-2"
    assert took > 0.9


def test_a_wait_that_the_endpoint_asks_for_is_kept_without_a_request() -> None:
    endpoint = Endpoint(ModelError("slow down", kind="rate_limit", status=429, retry_after=30))
    tokens = store()

    async def main() -> Any:
        for _ in range(2):
            with pytest.raises(ModelError) as caught:
                await tokens.get(endpoint.fetch)
        return caught.value

    error = asyncio.run(main())
    assert endpoint.calls == 1
    assert (error.kind, error.retryable) == ("rate_limit", True)
    assert 25 < error.retry_after <= 30


def test_the_old_token_goes_on_while_it_lives_and_the_endpoint_is_down() -> None:
    endpoint, tokens = Endpoint(None, outage(), outage(), lifetime=2.2), store()

    async def main() -> list[str]:
        first = await tokens.get(endpoint.fetch)
        await asyncio.sleep(1.2)  # past half its life: a new one is due, the old one lives
        second = await tokens.get(endpoint.fetch)
        third = await tokens.get(endpoint.fetch)
        assert not second.new
        return [first.value, second.value, third.value]

    assert asyncio.run(main()) == ["token-1"] * 3
    assert endpoint.calls == 2


def test_the_old_token_that_goes_on_is_new_to_nobody_who_waited() -> None:
    endpoint, tokens = Endpoint(outage()), store()

    async def due() -> AccessToken:
        return AccessToken("old", time.monotonic(), time.monotonic() + 60)

    async def main() -> list[Held]:
        assert (await tokens.get(due)).new
        return await asyncio.gather(*(tokens.get(endpoint.fetch) for _ in range(5)))

    assert asyncio.run(main()) == [Held("old", new=False)] * 5
    assert endpoint.calls == 1


def test_a_fetch_that_is_closed_by_a_thread_that_holds_the_lock_ends() -> None:
    class Never:
        def __await__(self) -> Generator[None, None, AccessToken]:
            yield
            raise AssertionError

    tokens = store()

    def work() -> None:
        fetching = tokens.get(Never)
        fetching.send(None)
        with tokens._lock:
            fetching.close()  # as the garbage collector does, whenever it runs

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(5)

    assert not thread.is_alive()
    assert asyncio.run(tokens.get(Endpoint().fetch)).value == "token-1"


def test_a_token_that_was_refused_is_not_kept_when_the_endpoint_is_down() -> None:
    endpoint, tokens = Endpoint(None, outage()), store()

    async def main() -> None:
        tokens.discard((await tokens.get(endpoint.fetch)).value)
        with pytest.raises(ModelError, match="down"):
            await tokens.get(endpoint.fetch)

    asyncio.run(main())


def test_an_old_token_that_is_refused_late_does_not_cost_the_new_one() -> None:
    endpoint, tokens = Endpoint(), store()

    async def main() -> list[str]:
        old = await tokens.get(endpoint.fetch)
        tokens.discard(old.value)
        new = await tokens.get(endpoint.fetch)
        tokens.discard(old.value)
        return [new.value, (await tokens.get(endpoint.fetch)).value]

    assert asyncio.run(main()) == ["token-2", "token-2"]


def test_a_fault_of_the_program_stops_nobody_else() -> None:
    endpoint, tokens = Endpoint(), store()

    async def broken() -> AccessToken:
        await asyncio.sleep(0.05)
        raise ZeroDivisionError

    async def main() -> list[Any]:
        return await asyncio.gather(tokens.get(broken), tokens.get(endpoint.fetch), return_exceptions=True)

    first, second = asyncio.run(main())
    assert isinstance(first, ZeroDivisionError)
    assert second.value == "token-1"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # fork with threads, which is the point
def test_a_forked_child_does_not_wait_for_its_parents_threads() -> None:
    endpoint, tokens = Endpoint(took=5), store()
    thread = threading.Thread(target=lambda: asyncio.run(_quietly(tokens, endpoint)), daemon=True)
    thread.start()
    time.sleep(0.1)
    assert _in_a_child(lambda: asyncio.run(tokens.get(Endpoint(took=0).fetch)).value == "token-1")


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_goes_on_with_the_token_and_not_with_the_lock() -> None:
    endpoint, tokens = Endpoint(), store()
    asyncio.run(tokens.get(endpoint.fetch))
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with tokens._lock:
            holding.set()
            done.wait(10)

    def child() -> bool:
        first = asyncio.run(tokens.get(endpoint.fetch))
        tokens.discard(first.value)
        return [first, asyncio.run(tokens.get(endpoint.fetch))] == [Held("token-1", False), Held("token-2", True)]

    def refused() -> bool:
        tokens.discard("token-1")
        return asyncio.run(tokens.get(endpoint.fetch)).value == "token-2"

    thread = threading.Thread(target=hold)
    thread.start()
    assert holding.wait(5)
    try:
        assert _in_a_child(child)
        assert _in_a_child(refused)
    finally:
        done.set()
        thread.join(5)


def _in_a_child(check: Callable[[], bool]) -> bool:
    """What a forked process finds; False where it does not end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if check() else 1
        finally:
            os._exit(code)
    until = time.monotonic() + 4
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


async def _quietly(tokens: TokenStore, endpoint: Endpoint) -> None:
    task = asyncio.ensure_future(tokens.get(endpoint.fetch))
    await asyncio.wait([task], timeout=0.5)
    task.cancel()


@pytest.mark.parametrize(
    ("lifetime", "buffer", "used", "alive"),
    [
        (1800, 60, 1740, 1800),
        (None, 60, 1740, 1800),
        (100, 60, 50, 100),  # half its life at the least
        (100, 10, 90, 100),
        (10, 60, 5, 10),
        (0.001, 60, 1, 1),  # never a request for a token per prompt
        (0, 60, 1740, 1800),  # dead on arrival: a clock is wrong
        (-86400, 60, 1740, 1800),
        (10**9, 60, 1740, 1800),  # never for ever
        (1800, 10**6, 900, 1800),
    ],
)
def test_a_token_is_used_for_a_sensible_time_whatever_its_expiry_says(
    lifetime: float | None, buffer: float, used: float, alive: float
) -> None:
    now = time.monotonic()
    token = AccessToken.lasting("x", lifetime, buffer=buffer)

    assert token.refresh_at - now == pytest.approx(used, abs=0.5)
    assert token.dies_at - now == pytest.approx(alive, abs=0.5)
