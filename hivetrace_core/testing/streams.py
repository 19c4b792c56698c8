"""Token streams: the pieces of an answer, and what is left of one that breaks off."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, Final

import pytest

from ..errors import ModelError
from ..provider import ProviderModel
from .bench import Bench, Stage, outcome_of, reached
from .standard import needs

TEXT: Final = "One two three four five six"


class StreamTests(Bench):
    """Any model; one that does not stream by itself answers in one piece."""

    def test_the_pieces_of_a_stream_make_up_the_answer(self) -> None:
        """Text only, until the last piece brings the metadata of the whole."""
        with self.stage(text=TEXT) as stage:
            model = stage.model()
            whole = model.invoke("Hello")
            blocking = list(model.stream("Hello"))
            asynchronous = asyncio.run(_collected(model))

        for chunks in (blocking, asynchronous):
            assert "".join(chunk["content"] for chunk in chunks) == whole["content"]
            assert [index for index, chunk in enumerate(chunks) if "response_metadata" in chunk] == [len(chunks) - 1]
            metadata = chunks[-1]["response_metadata"]
            assert metadata["outcome"] == "answered"
            assert metadata["attempts"] == 1
            usage, of_whole = metadata.get("usage") or {}, whole["response_metadata"].get("usage") or {}
            assert usage.get("output_tokens") == of_whole.get("output_tokens")

    def test_a_malformed_prompt_is_no_stream(self) -> None:
        """The same clear error as for a whole answer."""
        with self.stage() as stage, pytest.raises(ModelError) as caught:
            list(stage.model().stream([]))

        assert caught.value.kind == "bad_request"


@needs("wire", "stream")
class WireStreamTests(Bench):
    """Models that stream over a wire."""

    def test_answers_are_streamed_and_not_only_cut_up(self) -> None:
        """The first piece is there long before the last one is sent."""
        with self.stage({"pace": 0.1}, text=TEXT) as stage:
            model = stage.model()

            async def first_piece() -> str:
                async with aclosing(model.astream("Hello")) as chunks:
                    async for chunk in chunks:
                        if chunk["content"]:
                            return chunk["content"]
                return ""

            piece = asyncio.run(first_piece())
            streamed = stage.asked()[-1].stream

        assert streamed, "the request did not ask for a stream"
        assert piece
        assert TEXT.startswith(piece)
        assert piece != TEXT

    @pytest.mark.parametrize("fault", ["cut", "reset", "half"])
    def test_a_stream_that_breaks_off_keeps_the_text_so_far(self, fault: str) -> None:
        """The error says what went wrong, and its `response` has what was received."""
        with self.stage({"fault": fault, "after": 3, "pace": 0.01}, text=TEXT) as stage:
            received, error = _broken(stage.model(), "Hello")

        assert error is not None, "half an answer counts as a whole one"
        assert error.kind == "connection"
        if received:
            assert error.response is not None, "the text that was received is lost"
            assert error.response["content"] == received

    def test_an_error_in_the_middle_of_a_stream_keeps_the_text_so_far(self) -> None:
        """The provider says in the middle of an answer that it cannot go on."""
        with self.stage({"error": "server", "after": 3}, text=TEXT) as stage:
            received, error = _broken(stage.model(), "Hello")

        assert error is not None
        assert error.kind in ("server", "connection")
        if received:
            assert error.response is not None, "the text that was received is lost"
            assert error.response["content"] == received

    def test_a_stream_is_not_repeated_after_its_first_piece(self) -> None:
        """Who has read the beginning must not get another beginning."""
        with self.stage({"fault": "cut", "after": 3, "pace": 0.01}, text=TEXT) as stage:
            received, error = _broken(stage.model(max_attempts=3), "Hello")
            requests = len(stage.asked())

        assert error is not None
        if received:
            assert requests == 1

    def test_a_stream_that_fails_before_its_first_piece_is_tried_again(self) -> None:
        """Like any other request."""
        with self.stage({"times": 1, "error": "server", "retry_after": 0.01}, text=TEXT) as stage:
            chunks = list(stage.model(max_attempts=3).stream("Hello"))
            requests = len(stage.asked())

        assert "".join(chunk["content"] for chunk in chunks) == TEXT
        assert chunks[-1]["response_metadata"]["attempts"] == 2
        assert requests == 2

    def test_leaving_a_stream_early_leaves_nothing_behind(self) -> None:
        """No task and no connection goes on when nobody reads any more."""
        with self.stage({"pace": 0.2}, text=TEXT * 20) as stage:
            model = stage.model()

            async def leave() -> None:
                await model.ainvoke("Hello")
                before = asyncio.all_tasks()
                async with aclosing(model.astream("Hello")) as chunks:
                    async for chunk in chunks:
                        if chunk["content"]:
                            break
                assert await reached(lambda: asyncio.all_tasks() <= before), "tasks are left running"
                assert await reached(lambda: _waiting(stage) == 0), "the request is left open at the provider's side"

            asyncio.run(leave())


async def _collected(model: ProviderModel[Any]) -> list[Any]:
    return [chunk async for chunk in model.astream("Hello")]


def _broken(model: ProviderModel[Any], prompt: str) -> tuple[str, ModelError | None]:
    """The text that a stream has given, and the error that has ended it."""
    received: list[str] = []
    try:
        for chunk in model.stream(prompt):
            received.append(chunk["content"])
            if "response_metadata" in chunk and outcome_of(chunk) == "failed":
                break
    except ModelError as error:
        return "".join(received), error
    return "".join(received), None


def _waiting(stage: Stage) -> int:
    return int(stage.server.stats()["in_flight"])
