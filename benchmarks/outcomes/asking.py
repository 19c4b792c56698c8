"""Asks libraries for the cases, each library in a process and an environment of its own."""

from __future__ import annotations

import asyncio
import json
import selectors
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hivetrace_core import ModelError, create_model

from .._environments import python_with
from .corpus import Case
from .ours import observed, settings
from .server import ReplyServer

PATIENCE_S: Final = 30.0
"""For one case; whoever takes longer has no answer to it."""
START_S: Final = 120.0
ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Library:
    """Somebody else's.

    Attributes:
        name: As it is shown.
        module: In `clients`.
        requirements: What is installed for it.
        vendors: Whose models it can ask over HTTP.
    """

    name: str
    module: str
    requirements: tuple[str, ...]
    vendors: frozenset[str]


_COMMON: Final = frozenset({"openai", "openrouter", "sbercloud", "gigachat", "gemini", "ollama"})
LIBRARIES: Final = (
    Library("LiteLLM", "litellm_completion", ("litellm>=1.100,<2",), _COMMON),
    Library(
        "LangChain",
        "langchain_models",
        ("langchain-openai>=1,<2", "langchain-openrouter>=0.2,<0.3", "langchain-google-genai>=4,<5",
         "langchain-ollama>=1,<2", "langchain-gigachat>=0.5,<0.6"),
        _COMMON,
    ),
    Library("HiveTraceRed", "hivetracered_models", ("hivetracered>=1.0.22,<2",), _COMMON),
)  # fmt: skip


class Process:
    """A client at work; started again when it hangs or ends."""

    def __init__(self, library: Library, environments: Path) -> None:
        self._python = python_with(environments, *library.requirements)
        self._module = library.module
        self.versions: dict[str, str] = {}
        self._start()

    def ask(self, case: Case, url: str) -> dict[str, Any]:
        """What it saw of one case; `hung` or `crashed` where it saw nothing."""
        question = {"id": case.id, "vendor": case.vendor, "service": case.service, "url": url}
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({**question, "stream": case.stream is not None}).encode() + b"\n")
            self._process.stdin.flush()
            said = self._line(PATIENCE_S)
        except (OSError, EOFError, TimeoutError) as exc:
            self.close()
            self._start()
            return {"hung" if isinstance(exc, TimeoutError) else "crashed": True}
        seen: dict[str, Any] = json.loads(said)["seen"]
        return seen

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _start(self) -> None:
        command = [self._python, "-m", f"benchmarks.outcomes.clients.{self._module}"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd=ROOT, bufsize=0
        )
        self._unread = b""
        self.versions = json.loads(self._line(START_S))

    def _line(self, patience_s: float) -> bytes:
        """One line of its answers.

        Raises:
            EOFError: it has ended.
            TimeoutError: it takes too long.
        """
        assert self._process.stdout is not None
        end = time.monotonic() + patience_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise TimeoutError
                data = self._process.stdout.read(65536)
                if not data:
                    raise EOFError
                self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line


def ask_library(library: Library, cases: Iterable[Case], server: ReplyServer, environments: Path) -> dict[str, Any]:
    """What a library shows of each case it can be asked for: `versions`, and `seen` by the id of the case.

    Raises:
        NotInstalledError: its environment cannot be made.
    """
    process = Process(library, environments)
    try:
        seen = {case.id: process.ask(case, server.url(case)) for case in cases if case.vendor in library.vendors}
    finally:
        process.close()
    return {"versions": process.versions, "seen": seen}


def ask_ours(cases: Iterable[Case], server: ReplyServer) -> dict[str, Any]:
    """The same for HiveTrace's own models, over the same wire; of what runs in this process nothing is asked."""
    seen = {case.id: asyncio.run(_ours(case, server.url(case))) for case in cases if case.vendor != "llamacpp"}
    return {"versions": {"python": sys.version.split()[0]}, "seen": seen}


async def _ours(case: Case, url: str) -> dict[str, Any]:
    name, params = settings(case, url)
    created: Any = create_model(name, **params)
    async with created as model:
        try:
            if case.stream is None:
                return observed(await model.ainvoke("Hi"))
            chunks = [chunk async for chunk in model.astream("Hi")]
        except ModelError as error:
            return observed(error)
    return observed({**chunks[-1], "content": "".join(chunk["content"] for chunk in chunks)})
