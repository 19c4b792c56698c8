"""One client for each event loop, closed with it."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from hivetrace_core.engine import clients as module
from hivetrace_core.engine.clients import LoopClients
from hivetrace_core.engine.portal import portal, run_blocking

from .virtual_time import now, run


class Client:
    """Belongs to the loop that made it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed = 0
        self.gone = asyncio.Event()


async def close(client: Client) -> None:
    assert asyncio.get_running_loop() is client.loop
    await asyncio.sleep(0.001)
    client.closed += 1
    client.gone.set()


@pytest.fixture
def made() -> list[Client]:
    return []


@pytest.fixture
def clients(made: list[Client]) -> LoopClients[Client]:
    return LoopClients(maker(made), close)


def maker(made: list[Client]) -> Callable[[], Client]:
    def make() -> Client:
        made.append(Client())
        return made[-1]

    return make


def test_a_loop_has_one_client_however_many_ask_at_once(clients: LoopClients[Client], made: list[Client]) -> None:
    async def main() -> None:
        got = await asyncio.gather(*(clients.get() for _ in range(10)))
        assert set(got) == {await clients.get()} == set(made)

    asyncio.run(main())

    assert len(made) == 1


def test_each_run_has_a_client_of_its_own_and_closes_it(clients: LoopClients[Client], made: list[Client]) -> None:
    for _ in range(3):
        assert asyncio.run(clients.get()).closed == 1
        gc.collect()

    assert len(made) == 3
    assert len({id(client.loop) for client in made}) >= 1
    assert [client.closed for client in made] == [1, 1, 1]


def test_threads_do_not_share_clients(clients: LoopClients[Client], made: list[Client]) -> None:
    barrier = threading.Barrier(4)

    async def main() -> None:
        client = await clients.get()
        barrier.wait(30)
        assert await clients.get() is client
        barrier.wait(30)

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(made) == len({client.loop for client in made}) == 4
    assert [client.closed for client in made] == [1, 1, 1, 1]


def test_closing_closes_once_and_the_next_use_makes_a_new_one(clients: LoopClients[Client], made: list[Client]) -> None:
    async def main() -> None:
        first = await clients.get()
        await clients.aclose()
        await clients.aclose()
        assert first.closed == 1
        second = await clients.get()
        assert second is not first
        assert second.closed == 0

    asyncio.run(main())

    assert [client.closed for client in made] == [1, 1]


def test_closing_reaches_the_clients_of_other_loops(clients: LoopClients[Client], made: list[Client]) -> None:
    hosted = run_blocking(clients.get())

    async def main() -> None:
        here = await clients.get()
        assert here is not hosted
        await clients.aclose()
        assert (here.closed, hosted.closed) == (1, 1)

    asyncio.run(main())
    assert run_blocking(clients.get()) is not hosted
    run_blocking(clients.aclose())

    assert [client.closed for client in made] == [1, 1, 1]


def test_a_loop_that_stands_still_until_closing_returns_is_not_waited_for(clients: LoopClients[Client]) -> None:
    async def main() -> tuple[Client, float]:
        client = await clients.get()
        begin = now()
        run_blocking(clients.aclose())  # this very loop cannot run meanwhile
        took = now() - begin
        assert await clients.get() is not client
        await asyncio.wait_for(client.gone.wait(), 30)
        return client, took

    client, took = asyncio.run(main())

    assert client.closed == 1
    assert took < module._PATIENCE_S


def test_a_loop_that_stands_still_further_up_is_not_waited_for_either(clients: LoopClients[Client]) -> None:
    async def inner() -> None:
        await clients.get()  # in the hosted loop, which stands still in the next line
        run_blocking(clients.aclose())

    async def main() -> float:
        await clients.get()
        begin = now()
        run_blocking(inner())
        return now() - begin

    assert asyncio.run(main()) < module._PATIENCE_S


def test_a_busy_loop_is_waited_for_only_so_long(clients: LoopClients[Client], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.05)
    free = threading.Event()
    run_blocking(clients.get())

    async def block() -> None:
        free.wait(60)

    blocking = portal().start(block())
    asyncio.run(clients.aclose())
    free.set()
    blocking.wait()


def test_a_loop_that_has_stopped_is_forgotten(clients: LoopClients[Client], made: list[Client]) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(clients.get())
    asyncio.run(clients.aclose())
    gc.collect()

    assert made[0].closed == 0
    # The loop heard of it, should it run again.
    loop.run_until_complete(asyncio.sleep(0.05))
    assert made[0].closed == 1
    loop.close()


def test_a_new_loop_in_the_place_of_an_old_one_gets_a_client_of_its_own(clients: LoopClients[Client]) -> None:
    old = asyncio.new_event_loop()
    first = old.run_until_complete(clients.get())
    old.close()
    new = asyncio.new_event_loop()
    clients._entries[id(new)] = clients._entries.pop(id(old))  # as when the memory is used again
    assert new.run_until_complete(clients.get()) is not first
    assert len(clients._entries) == 1
    new.run_until_complete(clients.aclose())
    new.close()


def test_clients_of_loops_that_were_closed_are_dropped(clients: LoopClients[Client]) -> None:
    for _ in range(3):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(clients.get())
        loop.close()

    assert len(clients._entries) == 1


def test_a_client_that_cannot_be_made_fails_that_call_only() -> None:
    attempts: list[int] = []

    def make() -> str:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError("no such proxy")
        return "client"

    async def nothing(client: str) -> None:
        return

    async def main() -> str:
        clients = LoopClients(make, nothing)
        with pytest.raises(OSError, match="no such proxy"):
            await clients.get()
        return await clients.get()

    assert asyncio.run(main()) == "client"


def test_a_client_that_fails_to_close_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "hivetrace_core")

    async def fail(client: Any) -> None:
        raise OSError("already gone")

    async def main() -> None:
        clients = LoopClients(object, fail)
        await clients.get()
        await clients.aclose()
        await clients.get()

    asyncio.run(main())

    assert [record.getMessage() for record in caplog.records] == ["A client could not be closed"] * 2


def test_a_client_that_hangs_when_it_is_closed_is_left_after_a_while() -> None:
    async def hang(client: Any) -> None:
        await asyncio.sleep(10_000)

    async def main() -> float:
        clients = LoopClients(object, hang)
        await clients.get()
        begin = now()
        await clients.aclose()
        return now() - begin

    assert run(main()) == module._PATIENCE_S


def test_a_client_that_its_ending_loop_closes_already_is_left_to_it(clients: LoopClients[Client]) -> None:
    ready, asked = threading.Event(), threading.Event()
    unheard: list[dict[str, Any]] = []
    elsewhere: list[Client] = []

    async def other() -> None:
        elsewhere.append(await clients.get())
        ending = asyncio.create_task(asyncio.get_running_loop().shutdown_asyncgens())
        ready.set()
        assert asked.wait(60)  # busy at this very moment
        await ending

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        closing = asyncio.create_task(clients.aclose())
        await asyncio.sleep(0)
        asked.set()
        await closing
        del closing
        gc.collect()

    thread = threading.Thread(target=asyncio.run, args=(other(),))
    thread.start()
    assert ready.wait(60)
    asyncio.run(main())
    thread.join(60)

    assert elsewhere[0].closed == 1
    assert unheard == []


def test_a_client_whose_owner_is_gone_before_its_loop_could_close_it_is_closed_all_the_same() -> None:
    made: list[Client] = []
    collecting: list[asyncio.Task[None]] = []

    async def collect() -> None:
        try:
            await asyncio.sleep(1000)
        finally:  # all tasks have been cancelled: the one that closes among them, before it began
            for _ in range(3):
                await asyncio.sleep(0)
                gc.collect()

    async def main() -> None:
        owner = LoopClients(maker(made), close)
        await owner.get()
        collecting.append(asyncio.create_task(collect()))
        await asyncio.sleep(0)
        run_blocking(owner.aclose())

    asyncio.run(main())

    assert made[0].closed == 1


def test_a_loop_that_ends_while_a_client_is_being_closed_lets_it_finish(clients: LoopClients[Client]) -> None:
    closing: list[asyncio.Task[None]] = []

    async def main() -> Client:
        client = await clients.get()
        closing.append(asyncio.create_task(clients.aclose()))
        await asyncio.sleep(0)
        return client  # the end of `asyncio.run` cancels the closing

    client = asyncio.run(main())

    assert closing[0].cancelled()
    assert client.closed == 1
