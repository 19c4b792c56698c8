"""Token streams: text that grows, text that is replaced, and streams that break off."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hivetrace_yandex import YandexGPTModel
from hivetrace_yandex.dialect import YandexDialect
from hivetrace_yandex.dialect_signals import CANNED, answer, wrapped
from hivetrace_yandex.streams import Assembly
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core import ModelError
from hivetrace_core.mockserver import MockServer


class Lines(YandexDialect):
    """Streams exactly these lines."""

    def __init__(self, *lines: Any) -> None:
        self.lines = lines

    def stream(self, request: Any, turn: Any) -> Any:
        return [line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in self.lines]


def text(status: str, said: str) -> Any:
    return answer(status, said)("")


def streamed(*lines: Any, **rule: Any) -> tuple[list[Any], ModelError | None]:
    """The chunks, and the error that ended them."""
    chunks: list[Any] = []

    async def scenario(server: MockServer) -> ModelError | None:
        async with YandexGPTModel("ds://x", api_key="k", base_url=server.url("yandex"), max_attempts=1) as model:
            try:
                async for chunk in model.astream("Hello"):
                    chunks.append(chunk)  # noqa: PERF401  # those before an error count, too
            except ModelError as error:
                return error
        return None

    dialect = Lines(*lines) if lines else YandexDialect()
    with MockServer({"rules": [rule]} if rule else {}, dialects=[dialect]) as server:
        error = asyncio.run(scenario(server))
    return chunks, error


def contents(chunks: list[Any]) -> list[str]:
    return [chunk["content"] for chunk in chunks]


def test_only_what_is_new_is_handed_on() -> None:
    chunks, error = streamed(text("PARTIAL", "При"), text("PARTIAL", "Привет"), text("FINAL", "Привет!"))

    assert error is None
    assert contents(chunks) == ["При", "вет", "!", ""]
    metadata = chunks[-1]["response_metadata"]
    assert metadata["outcome"] == "answered"
    assert "replacement_text" not in metadata


def test_a_filter_replaces_the_text_and_the_last_chunk_says_so() -> None:
    chunks, error = streamed(
        text("PARTIAL", "Возьмите "), text("PARTIAL", "Возьмите две"), text("CONTENT_FILTER", CANNED)
    )

    assert error is None
    assert contents(chunks) == ["Возьмите ", "две", ""]
    metadata = chunks[-1]["response_metadata"]
    assert metadata["outcome"] == "blocked"
    assert metadata["replacement_text"] == CANNED
    assert metadata["block"]["stage"] == "response"
    assert metadata["block"]["rule"] == "yandex.content_filter"


def test_a_filter_that_comes_first_replaces_nothing() -> None:
    chunks, _ = streamed(answer("CONTENT_FILTER", CANNED, stopped=True)(""))

    assert contents(chunks) == [CANNED, ""]
    metadata = chunks[-1]["response_metadata"]
    assert (metadata["outcome"], metadata["block"]["stage"]) == ("blocked", "prompt")
    assert "replacement_text" not in metadata


def test_a_replacement_without_a_filter_is_an_answer_whose_text_is_in_the_metadata() -> None:
    chunks, _ = streamed(text("PARTIAL", "Пять"), text("PARTIAL", "Шесть"), text("FINAL", "Шесть."))

    assert contents(chunks) == ["Пять", ""]
    metadata = chunks[-1]["response_metadata"]
    assert (metadata["outcome"], metadata["replacement_text"]) == ("answered", "Шесть.")


def test_text_that_comes_back_to_what_was_shown_goes_on_from_there() -> None:
    chunks, _ = streamed(text("PARTIAL", "Пять"), text("PARTIAL", "П"), text("FINAL", "Пять!"))

    assert contents(chunks) == ["Пять", "!", ""]
    assert "replacement_text" not in chunks[-1]["response_metadata"]


def test_a_stream_that_ends_without_an_end_is_cut_and_keeps_its_text() -> None:
    chunks, error = streamed(text("PARTIAL", "один "), text("PARTIAL", "один два"))

    assert contents(chunks) == ["один ", "два"]
    assert error is not None
    assert error.kind == "connection"
    assert error.response is not None
    assert error.response["content"] == "один два"


@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_a_connection_that_breaks_keeps_the_text_so_far(fault: str) -> None:
    chunks, error = streamed(fault=fault, after=2, pace=0.01)

    assert "".join(contents(chunks)) == "This is "
    assert error is not None
    assert error.kind == "connection"
    assert error.response is not None
    assert error.response["content"] == "This is "


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (wrapped(13, 500)(""), "server"),
        (wrapped(8, 429, "ai.xRequestsPerHour.rate rate quota limit exceed")(""), "rate_limit"),
        (wrapped(16, 401, "Unknown api key 'AQVNabcdef'")(""), "authentication"),
        ({"grpcCode": 16, "httpCode": 401, "message": "Unknown api key 'AQVNabcdef'"}, "authentication"),
        ({"httpCode": 401, "message": "Unknown api key 'AQVNabcdef'"}, "authentication"),
        ({"code": 8, "message": "too many"}, "rate_limit"),
        (b"<html>\n", "response_format"),
    ],
)
def test_a_line_that_is_an_error_ends_the_stream_as_that_error(line: Any, kind: str) -> None:
    chunks, error = streamed(text("PARTIAL", "один"), line, text("FINAL", "один два"))

    assert contents(chunks) == ["один"]
    assert error is not None
    assert (error.kind, error.attempts) == (kind, 1)
    assert error.response is not None
    assert error.response["content"] == "один"
    assert "AQVN" not in str(error)


def test_an_error_before_any_text_has_no_partial_answer() -> None:
    chunks, error = streamed(wrapped(13, 500)(""))

    assert chunks == []
    assert error is not None
    assert (error.kind, error.response) == ("server", None)


def test_an_empty_stream_is_no_answer() -> None:
    chunks, error = streamed(b"")

    assert chunks == []
    assert error is not None
    assert error.kind == "response_format"


def test_calls_of_tools_arrive_at_the_end() -> None:
    chunks, _ = streamed(outcome="tool_calls")

    metadata = chunks[-1]["response_metadata"]
    assert metadata["outcome"] == "tool_calls"
    assert metadata["tool_calls"][0]["functionCall"]["name"] == "weather"


def test_usage_of_the_last_line_counts() -> None:
    last = text("FINAL", "один два")
    last["result"]["usage"] = {"inputTextTokens": "3", "completionTokens": "2", "totalTokens": "5"}
    first = text("PARTIAL", "один")
    first["result"]["usage"] = {"inputTextTokens": "3", "completionTokens": "1", "totalTokens": "4"}

    chunks, _ = streamed(first, last)

    assert chunks[-1]["response_metadata"]["usage"]["total_tokens"] == 5


@given(
    st.lists(st.tuples(st.sampled_from(["PARTIAL", "FINAL", "CONTENT_FILTER"]), st.text("аб", max_size=4)), max_size=6)
)
def test_the_text_is_either_what_was_handed_on_or_what_the_metadata_say(lines: list[tuple[str, str]]) -> None:
    whole = Assembly(200, {})
    handed = "".join(whole.add(json.dumps(text(status, said))) for status, said in lines)

    assert handed == whole.shown
    if lines:
        from hivetrace_yandex.outcomes import classify

        status, said = lines[-1]
        assert whole.complete == (status != "PARTIAL")
        if whole.complete:
            response: Any = classify(whole.reply())
            whole.settle(response)
            assert response["response_metadata"].get("replacement_text", handed) == said
