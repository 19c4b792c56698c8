"""`MockServer`: the server in a thread of its own, for tests, benchmarks and the command."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, Self, TypeVar

from ..errors import ConfigError, MissingDependencyError
from .connection import Connection
from .dialect import Dialect
from .dialects import installed_dialects
from .loading import load_script
from .records import RequestRecord
from .script import Script
from .service import Service

T = TypeVar("T")

HOST: Final = "127.0.0.1"
"""The only address it listens on: whoever can connect can read the log."""

_BACKLOG: Final = 4096
_CLOSING_S: Final = 5.0  # far longer than it takes


class MockServer:
    """A loopback server that plays providers by a script.

        with MockServer(script, dialects=[AcmeDialect()]) as server:
            ... server.url("acme") ...

    It can be stopped and started again: port, log and what the rules remember stay, as after a short outage.

    Args:
        script: What `load_script` takes.
        dialects: Those to speak, each under its name; by default those of all installed plugins.
        port: 0 for a free one.

    Raises:
        ConfigError: the script is wrong, or there is no dialect.
    """

    def __init__(
        self,
        script: str | os.PathLike[str] | Mapping[str, Any] | Script | None = None,
        *,
        dialects: Iterable[Dialect] | None = None,
        port: int = 0,
    ) -> None:
        if dialects is None:
            self._dialects, self.problems = installed_dialects()
        else:
            self._dialects, self.problems = {dialect.name: dialect for dialect in dialects}, []
        self.script = load_script(script)
        self._service = Service(self.script, self._dialects)
        self._wanted_port = port
        self._port: int | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def providers(self) -> tuple[str, ...]:
        """Names of the dialects that it speaks."""
        return tuple(self._dialects)

    @property
    def port(self) -> int:
        """Where it listens, or did last.

        Raises:
            ConfigError: it was never started.
        """
        if self._port is None:
            raise ConfigError("The mock server has no port before it is started: use it with `with`, or call start().")
        return self._port

    @property
    def address(self) -> str:
        """Scheme, host and port."""
        return f"http://{HOST}:{self.port}"

    def root(self, provider: str) -> str:
        """What stands in for the vendor's host: the address with the provider's prefix."""
        self._known(provider)
        return f"{self.address}/{provider}"

    def url(self, provider: str) -> str:
        """The `base_url` to give to the provider's models."""
        return self.root(provider) + self._known(provider).base_path

    def urls(self, provider: str) -> dict[str, str]:
        """The addresses to give to the provider's models, by the name of the option: `base_url`, and any other."""
        others = self._known(provider).other_urls.items()
        return {"base_url": self.url(provider), **{name: self.root(provider) + path for name, path in others}}

    @property
    def log(self) -> list[RequestRecord]:
        """The requests so far, oldest first; the same as `GET /_log`."""
        return self._in_loop(self._service.records.log)

    def stats(self) -> dict[str, Any]:
        """The counters; the same as `GET /_stats`."""
        return self._in_loop(self._service.records.stats)

    def reset(self) -> None:
        """Forget every request, as if it had just been started; the same as `POST /_reset`."""
        self._in_loop(self._service.reset)

    def start(self) -> None:
        """Listen; returns when connections are accepted.

        Raises:
            ConfigError: the port is taken, or it runs already.
            MissingDependencyError: httptools is not installed.
        """
        if self._thread is not None:
            raise ConfigError("The mock server runs already.")
        started: concurrent.futures.Future[None] = concurrent.futures.Future()
        thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="hivetrace-mock-server", daemon=True
        )
        thread.start()
        try:
            started.result()
        except BaseException:
            thread.join()
            raise
        self._thread = thread

    def stop(self) -> None:
        """Close everything that is open, at once; does nothing where it does not run."""
        if self._thread is None:
            return
        assert self._loop is not None  # noqa: S101  # set before the thread has started
        assert self._stop is not None  # noqa: S101  # the same
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = self._loop = self._stop = None

    async def _serve(self, started: concurrent.futures.Future[None]) -> None:
        try:
            make_parser, errors = _httptools()
            loop = asyncio.get_running_loop()
            live: set[Connection] = set()
            server = await self._listen(lambda: Connection(self._service, live, make_parser, errors))
            self._loop, self._stop = loop, asyncio.Event()
            self._port = server.sockets[0].getsockname()[1]
        except BaseException as exc:  # noqa: BLE001  # it belongs to the thread that waits
            started.set_exception(exc)
            return
        started.set_result(None)
        await self._stop.wait()
        # Not closed yet: what asyncio has accepted for a server that is closed meanwhile, it forgets and leaves open.
        with suppress(NotImplementedError):  # a loop without readers
            for listening in server.sockets:
                loop.remove_reader(listening.fileno())
        # What was just accepted is a task until it is a connection; a connection is gone some turns after its reset.
        me, until = asyncio.current_task(), loop.time() + _CLOSING_S
        while (live or asyncio.all_tasks() != {me}) and loop.time() < until:
            for connection in list(live):
                connection.reset()
            await asyncio.sleep(0)
        server.close()
        await server.wait_closed()

    async def _listen(self, make_connection: Callable[[], Connection]) -> asyncio.Server:
        port = self._wanted_port if self._port is None else self._port
        try:
            return await asyncio.get_running_loop().create_server(make_connection, HOST, port, backlog=_BACKLOG)
        except (OSError, OverflowError) as exc:
            reason = os.strerror(exc.errno) if isinstance(exc, OSError) and exc.errno else str(exc)
            raise ConfigError(
                f"The mock server cannot listen on {HOST}:{port}: {reason}. Choose another port, or 0 for a free one."
            ) from exc

    def _in_loop(self, function: Callable[[], T]) -> T:
        """Run where the requests are handled, so that nothing changes meanwhile."""
        if self._thread is None or self._loop is None:
            return function()

        async def call() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    def _known(self, provider: str) -> Dialect:
        try:
            return self._dialects[provider]
        except KeyError:
            raise ConfigError(
                f"The mock server speaks no {provider!r}; it speaks {', '.join(self._dialects) or 'nothing'}."
            ) from None


def _httptools() -> tuple[Any, type[Exception]]:
    try:
        import httptools
    except ImportError as exc:
        raise MissingDependencyError(
            "The mock server needs the package 'httptools', which is not installed. "
            "Run: pip install 'hivetrace-core[mock]'"
        ) from exc
    errors: type[Exception] = httptools.HttpParserError
    return httptools.HttpRequestParser, errors
