"""`Bench`: the model under test, and a mock server that plays its provider."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any, ClassVar, Final

from ..errors import ModelError
from ..mockserver import Dialect, MockServer, RequestRecord
from ..provider import ProviderModel
from ..registry import Registry
from .recording import Recording
from .standard import Standard

FROM_PLUGIN: Final[Any] = object()

PATIENCE_S: Final = 10.0
"""How long anything may take that should happen at once; a busy machine is slow."""


class Bench(Standard):
    """What all tests of models share.

    Attributes:
        model_class: The class under test.
        dialect: The wire dialect of its provider; by default the one that its plugin declares. None for a model that
            sends nothing over a wire: tests that need one are then not collected.
        cannot_say: Outcomes and error kinds that the provider has no words for, each with the reason, beside those
            that its dialect names. A provider without a filter says so here: `cannot_say = AcmeDialect.cannot_say`.
        secret: The credential to give to the model; the tests search everything that it leaves behind for it.
    """

    model_class: ClassVar[type[ProviderModel[Any]]]
    dialect: ClassVar[Dialect | None] = FROM_PLUGIN
    cannot_say: ClassVar[Mapping[str, str]] = {}
    secret: str = "conformance-canary-7c1f93d2ab"  # noqa: S105  # it opens nothing

    def params(self, base_url: str) -> dict[str, Any]:
        """The constructor's arguments, the least that will do.

        Args:
            base_url: The address to be given as `base_url`; empty without a dialect.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method params(self, base_url)")

    def params_for(self, variant: str) -> dict[str, Any]:
        """What the constructor gets beside `params` where one of the dialect's variants is tried; by default nothing.

        For variants that only some option brings about, or that never end: `{"timeout": 2.0}`.

        Args:
            variant: The variant's name.
        """
        return {}

    @classmethod
    def missing(cls) -> frozenset[str]:
        """See `Standard.missing`: a wire, a token stream of the model's own, the system call fork, a filter."""
        import os

        model_class = getattr(cls, "model_class", ProviderModel)
        there = {
            "wire": cls.dialect is not None,
            "stream": model_class.stream_complete is not ProviderModel.stream_complete,
            "fork": hasattr(os, "fork"),
            "blocks": "blocked" not in cls.cannot_say,
        }
        return frozenset(thing for thing, is_there in there.items() if not is_there)

    def spoken(self) -> Dialect:
        """The dialect."""
        if self.dialect is not FROM_PLUGIN:
            assert self.dialect is not None, "this test needs a wire"
            return self.dialect
        found = self.declared()
        dialect = None if found is None else found.load("dialect")
        assert dialect is not None, (
            f"no installed plugin declares a dialect for {self.model_class.__qualname__}: set `dialect` in "
            f"{type(self).__name__}, to None where the model uses no wire"
        )
        made: Dialect = dialect() if isinstance(dialect, type) else dialect
        return made

    def declared(self) -> Any:
        """What the registry knows of the class; None where no installed plugin has it."""
        return _declared(f"{self.model_class.__module__}:{self.model_class.__qualname__}")

    def speaks(self, word: str) -> bool:
        """Whether the provider has words for an outcome or a kind of error."""
        return word not in self.cannot_say and word not in self.spoken().cannot_say

    @contextmanager
    def stage(self, *rules: Mapping[str, Any], echo: str | None = None, **script: Any) -> Iterator[Stage]:
        """A mock server with these rules, and a way to make models that talk to it; all is closed at the end.

        Args:
            rules: Of the server's script.
            echo: Repeated in the texts of errors.
            script: What else its script has.
        """
        if "wire" in self.missing():
            stage = Stage(self, None, None)
            try:
                yield stage
            finally:
                stage.close()
            return
        dialect = Recording(self.spoken(), echo=echo)
        with MockServer({"rules": list(rules), **script}, dialects=[dialect]) as server:
            stage = Stage(self, server, dialect)
            try:
                yield stage
            finally:
                stage.close()


class Stage:
    """A server, and the models that talk to it."""

    def __init__(self, bench: Bench, server: MockServer | None, dialect: Recording | None) -> None:
        self._bench = bench
        self._server = server
        self._dialect = dialect
        self._models: list[ProviderModel[Any]] = []

    @property
    def server(self) -> MockServer:
        """The mock server."""
        assert self._server is not None, "this test needs a wire"
        return self._server

    @property
    def dialect(self) -> Recording:
        """The dialect that it speaks."""
        assert self._dialect is not None, "this test needs a wire"
        return self._dialect

    def arguments(self, **options: Any) -> dict[str, Any]:
        """Arguments for the constructor: one attempt of at most 20 s, unless the plugin or the test says otherwise."""
        base_url = "" if self._server is None else self._server.url(self.dialect.name)
        return {"timeout": 20.0, "max_attempts": 1, **self._bench.params(base_url), **options}

    def model(self, **options: Any) -> ProviderModel[Any]:
        """A new instance."""
        model = self._bench.model_class(**self.arguments(**options))
        self._models.append(model)
        return model

    def asked(self) -> list[RequestRecord]:
        """The requests for an answer so far; those for tokens and lists of models are no such requests."""
        return [record for record in self.server.log if record.attempt]

    def close(self) -> None:
        """Close all models."""
        for model in self._models:
            model.close()


@cache
def _declared(target: str) -> Any:
    # What is installed does not change between two tests, and to look for it takes longer than most of them.
    return next((found for found in Registry().everyone()[0] if found.spec.model == target), None)


def outcome_of(response: Any) -> str:
    """The outcome that a response names."""
    return str(response["response_metadata"]["outcome"])


async def ending(model: ProviderModel[Any], prompt: Any, *, stream: bool = False) -> str:
    """How a prompt ends: its outcome, or the kind of its error."""
    try:
        if not stream:
            return outcome_of(await model.ainvoke(prompt))
        chunks = [chunk async for chunk in model.astream(prompt)]
        return outcome_of(chunks[-1])
    except ModelError as error:
        return error.kind


@asynccontextmanager
async def closing(responses: AsyncIterator[Any]) -> AsyncIterator[AsyncIterator[Any]]:
    """Leave a batch early, as users do with `contextlib.aclosing`."""
    try:
        yield responses
    finally:
        assert isinstance(responses, AsyncGenerator), "what stream_abatch returns cannot be closed"
        await responses.aclose()


async def reached(condition: Callable[[], bool]) -> bool:
    """Whether something becomes true in time; looks often, and leaves the loop free meanwhile."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.005)
    return True


def reached_meanwhile(condition: Callable[[], bool]) -> bool:
    """`reached`, blocking."""
    return asyncio.run(reached(condition))
