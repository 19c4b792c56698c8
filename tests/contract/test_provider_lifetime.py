"""Clients: one per event loop, kept between calls, closed with the loop or by the user, made anew after that."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hivetrace_core import Messages, ModelOptions, ProviderModel

from .acme import Acme, wait_until


class Client:
    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.loop = asyncio.get_running_loop()
        log.append("made")

    async def aclose(self) -> None:
        assert asyncio.get_running_loop() is self.loop
        self.log.append("closed")

    def close(self) -> None:
        raise AssertionError("aclose comes first")


class Initech(ProviderModel[ModelOptions]):
    """Remembers what became of its clients, and answers with the one it used."""

    def __init__(self, **options: Any) -> None:
        super().__init__("m", **options)
        self.log: list[str] = []

    def make_client(self) -> Client:
        return Client(self.log)

    async def complete(self, client: Client, messages: Messages) -> dict[str, Any]:
        assert asyncio.get_running_loop() is client.loop
        await asyncio.sleep(0)
        return {"content": str(id(client))}


def client_of(response: Any) -> str:
    return str(response["content"])


# Where clients live


def test_blocking_calls_share_one_client_and_one_connection(acme: Acme) -> None:
    model, real = Initech(), acme.model(batch_size=1)

    used = {client_of(model.invoke("a")), client_of(model.invoke("b")), *map(client_of, model.batch(["c", "d"]))}
    real.invoke("a")
    real.batch(["b", "c"])

    assert len(used) == 1
    assert model.log == ["made"]
    assert len(acme.connections) == 1
    model.close()


def test_every_event_loop_has_its_own_client_which_is_closed_with_it() -> None:
    model = Initech()

    async def twice() -> set[str]:
        return {client_of(await model.ainvoke("a")), client_of(await model.ainvoke("b"))}

    assert len(asyncio.run(twice())) == 1
    assert model.log == ["made", "closed"]
    assert len(asyncio.run(twice())) == 1
    assert model.log == ["made", "closed"] * 2


def test_two_loops_at_once_do_not_share(acme: Acme) -> None:
    model, real = Initech(), acme.model()
    both = threading.Barrier(2, timeout=10)
    used: list[str] = []

    async def work() -> None:
        used.append(client_of(await model.ainvoke("a")))
        await real.ainvoke("a")
        await asyncio.to_thread(both.wait)
        await real.abatch(["b", "c"])

    threads = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(used) == 2
    assert len(acme.prompts) == 6
    assert sorted(model.log) == ["closed", "closed", "made", "made"]


def test_many_threads_share_the_client_of_blocking_calls() -> None:
    model = Initech()
    used: set[str] = set()
    threads = [threading.Thread(target=lambda: used.add(client_of(model.invoke("a")))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(used) == 1
    assert model.log == ["made"]
    model.close()


# Closing


def test_closing_closes_once_and_a_later_call_makes_a_new_client() -> None:
    model = Initech()
    model.close()
    assert model.log == []

    model.invoke("a")
    model.close()
    model.close()
    assert model.log == ["made", "closed"]

    model.invoke("a")
    model.close()
    assert model.log == ["made", "closed"] * 2


def test_a_with_block_closes_at_its_end() -> None:
    with Initech() as model:
        model.invoke("a")
        assert model.log == ["made"]
    assert model.log == ["made", "closed"]

    async def main() -> Initech:
        async with Initech() as inner:
            await inner.ainvoke("a")
            assert inner.log == ["made"]
        assert inner.log == ["made", "closed"]
        return inner

    assert asyncio.run(main()).log == ["made", "closed"]


def test_a_with_block_closes_also_after_an_error() -> None:
    model = Initech()

    model.invoke("a")
    with pytest.raises(LookupError), model:
        raise LookupError

    assert model.log == ["made", "closed"]


def test_a_model_that_nobody_holds_any_more_is_closed(acme: Acme) -> None:
    log: list[str] = []

    def use() -> None:
        model = Initech()
        model.log = log
        model.invoke("a")
        real = acme.model()
        real.invoke("a")
        acme.models.clear()

    use()
    gc.collect()

    wait_until(lambda: log == ["made", "closed"])
    wait_until(lambda: all(connection.is_closing() for connection in acme.connections))


def test_closing_reaches_the_clients_of_other_loops_that_still_run() -> None:
    model = Initech()
    asked, closed = threading.Event(), threading.Event()

    async def elsewhere() -> None:
        await model.ainvoke("a")
        asked.set()
        assert await asyncio.to_thread(closed.wait, 10)

    thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
    thread.start()
    assert asked.wait(10)
    model.invoke("b")

    model.close()

    assert model.log == ["made", "made", "closed", "closed"]
    closed.set()
    thread.join(10)
    assert model.log == ["made", "made", "closed", "closed"]


def test_a_blocking_close_inside_the_loop_that_has_a_client_does_not_wait_for_itself() -> None:
    model = Initech()

    async def main() -> None:
        await model.ainvoke("a")
        model.invoke("b")
        model.close()
        await asyncio.sleep(0.01)
        assert model.log == ["made", "made", "closed", "closed"]
        with model:
            await model.ainvoke("c")
        await asyncio.sleep(0.01)

    worker = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    worker.start()
    worker.join(15)

    assert not worker.is_alive()
    assert model.log == ["made", "made", "closed", "closed", "made", "closed"]


class ByClose:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("client", [None, ByClose(), {"a": "dict"}])
def test_any_object_may_be_a_client(client: Any) -> None:
    class Vandelay(Initech):
        def make_client(self) -> Any:
            return client

        async def complete(self, client: Any, messages: Messages) -> dict[str, Any]:
            return {"content": type(client).__name__}

    model = Vandelay()

    assert model.invoke("a")["content"] == type(client).__name__
    model.close()
    if isinstance(client, ByClose):
        assert client.closed == 1


def test_an_author_may_close_clients_in_another_way() -> None:
    class Vandelay(Initech):
        async def close_client(self, client: Client) -> None:
            self.log.append("in another way")

    model = Vandelay()
    model.invoke("a")
    model.close()

    assert model.log == ["made", "in another way"]


def test_a_client_that_cannot_be_closed_stops_nobody() -> None:
    class Stubborn(Initech):
        async def close_client(self, client: Client) -> None:
            raise RuntimeError("no")

    model = Stubborn()
    model.invoke("a")

    model.close()
    assert model.invoke("a")["content"]
    model.close()


# Forks


FORKED = """
import gc, os, sys, time
from tests_acme import AcmeModel

model = AcmeModel("large", base_url=sys.argv[1], api_key="canary-sk-0123456789", max_concurrency=1)
print("parent", model.invoke("from parent")["content"], flush=True)
assert model.batch(["more"])[0]["content"] == "echo more"
child = os.fork()
if child == 0:
    print("child", model.invoke("from child")["content"], flush=True)
    print("child", [response["content"] for response in model.batch(iter(["a", "b"]))], flush=True)
    began = time.monotonic()
    model.close()
    model.close()
    assert time.monotonic() - began < 4, "it waited for the parent's loop"
    print("child", model.invoke("again")["content"], flush=True)
    model.close()
    os._exit(0)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
careless = os.fork()
if careless == 0:
    del model
    gc.collect()
    os._exit(0)
os.waitpid(careless, 0)
print("parent", model.invoke("after")["content"], flush=True)
model.close()
"""


HELD = """
import os, sys, threading
from hivetrace_core.engine.events import Observers
from tests_acme import AcmeModel

model = AcmeModel("large", base_url=sys.argv[1], api_key="canary-sk-0123456789", max_concurrency=1)
held = threading.Event()
model.observers = Observers(started=(lambda event: held.set(),))
threading.Thread(target=model.invoke, args=("hold",), daemon=True).start()
held.wait(10)
child = os.fork()
if child == 0:
    print("child", model.invoke("from child")["content"], flush=True)
    os._exit(0)
_, status = os.waitpid(child, 0)
os._exit(os.waitstatus_to_exitcode(status))
"""

forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


def run_script(script: str, acme: Acme, folder: Path) -> list[str]:
    (folder / "tests_acme.py").write_text(Path(sys.modules[Acme.__module__].__file__ or "").read_text())
    (folder / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(folder / "script.py"), acme.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout.splitlines()


@forking
def test_a_model_works_in_a_forked_child_and_goes_on_in_the_parent(acme: Acme, tmp_path: Path) -> None:
    assert run_script(FORKED, acme, tmp_path) == [
        "parent echo from parent",
        "child echo from child",
        "child ['echo a', 'echo b']",
        "child echo again",
        "parent echo after",
    ]


@forking
def test_a_request_in_flight_in_the_parent_holds_no_place_in_the_child(acme: Acme, tmp_path: Path) -> None:
    async def answer(text: str, number: int) -> web.Response:
        await asyncio.sleep(30 if text == "hold" else 0)
        return web.json_response({"text": text, "finish": "stop"})

    acme.answer = answer

    assert run_script(HELD, acme, tmp_path) == ["child from child"]
