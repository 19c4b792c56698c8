"""Making, sharing and closing clients, and what importing the transport costs."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from hivetrace_core import ModelError
from hivetrace_core.http import HttpOptions, JsonHttp

pytestmark = pytest.mark.usefixtures("nothing_left_open")


def test_closing_leaves_no_connection_open(play: Any) -> None:
    async def main() -> None:
        async with play.wire(play.answer()) as wire:
            async with play.client(wire.url) as client:
                await asyncio.gather(*[client.post("/", {}) for _ in range(5)])
                assert len(wire.open) == 5
            async with asyncio.timeout(5):
                await wire.all_closed.wait()
            await client.aclose()

    asyncio.run(main())


def test_connections_are_used_again(play: Any) -> None:
    async def main() -> None:
        async with play.wire(play.answer()) as wire, play.client(wire.url) as client:
            for _ in range(20):
                await asyncio.gather(client.post("/", {}), client.get("/"))

        assert wire.connections == 2
        assert len(wire.requests) == 40

    asyncio.run(main())


def test_a_closed_client_says_so(play: Any) -> None:
    async def main() -> None:
        async with play.wire(play.answer()) as wire:
            async with play.client(wire.url) as client:
                pass
            with pytest.raises(ModelError, match="the client was closed meanwhile") as caught:
                await client.post("/", {})

        assert (caught.value.kind, caught.value.retryable) == ("connection", True)
        assert wire.connections == 0

    asyncio.run(main())


def test_closing_ends_requests_in_flight(play: Any) -> None:
    async def main() -> None:
        arrived = asyncio.Event()

        async def never(_: Any, reader: asyncio.StreamReader, __: Any) -> None:
            arrived.set()
            await reader.read()

        async with play.wire(never) as wire, play.client(wire.url) as client:
            request = asyncio.create_task(client.post("/", {}))
            await arrived.wait()
            await client.aclose()
            with pytest.raises(ModelError) as caught:
                async with asyncio.timeout(5):
                    await request

        assert caught.value.kind == "connection"

    asyncio.run(main())


def test_faults_of_the_program_are_not_called_faults_of_the_network(play: Any) -> None:
    """A client belongs to the loop it was made in."""

    async def make() -> JsonHttp:
        return JsonHttp(HttpOptions(base_url="http://localhost:9"))

    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(make())

    async def misuse() -> None:
        with pytest.raises(RuntimeError):
            await client.post("/", {})

    asyncio.run(misuse())
    loop.run_until_complete(client.aclose())
    loop.close()


def test_two_loops_at_once_with_a_client_each(play: Any) -> None:
    counts: list[int] = []

    async def main() -> None:
        async with play.wire(play.answer()) as wire, play.client(wire.url) as client:
            for _ in range(20):
                replies = await asyncio.gather(*[client.post("/", {}) for _ in range(5)])
                assert all(reply.payload == {"ok": True} for reply in replies)
            counts.append(len(wire.requests))

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts == [100, 100]


def test_tls_connections_close_without_a_trace(play: Any, authority: Any) -> None:
    async def main() -> None:
        async with (
            play.wire(play.answer(), tls=authority.server()) as wire,
            play.client(wire.url, ca_bundle=authority.pem) as client,
        ):
            await asyncio.gather(*[client.post("/", {}) for _ in range(3)])

    asyncio.run(main())


def run(code: str, *args: str) -> str:
    return subprocess.check_output([sys.executable, "-W", "error", "-c", code, *args], text=True)


def test_importing_the_transport_imports_no_network_code() -> None:
    code = (
        "import sys, hivetrace_core.http as http; http.HttpOptions(base_url='https://api.example'); "
        "http.wait_seconds({'retry-after': '1'}); http.error_kind_for_status(500); "
        "print([name for name in ('aiohttp', 'asyncio', 'ssl') if name in sys.modules])"
    )

    assert run(code) == "[]\n"


def test_a_missing_aiohttp_comes_with_the_line_that_installs_it(tmp_path: Path) -> None:
    (tmp_path / "aiohttp.py").write_text("raise ModuleNotFoundError(\"No module named 'aiohttp'\", name='aiohttp')\n")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from hivetrace_core.errors import MissingDependencyError\n"
        "from hivetrace_core.http import HttpOptions, JsonHttp\n"
        "try:\n    JsonHttp(HttpOptions(base_url='https://api.example'))\n"
        "except MissingDependencyError as exc:\n    print(exc)\n"
    )

    message = run(code, str(tmp_path))

    assert "No module named 'aiohttp'" in message
    assert "pip install 'hivetrace-core[http]'" in message
