"""Token streams: lines put together, and streams that end otherwise than well."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hivetrace_ollama import OllamaModel
from hivetrace_ollama.dialect import OllamaDialect

from hivetrace_core import ModelError
from hivetrace_core.mockserver import MockServer

from .conftest import Recorder

END = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", "eval_count": 3}


def piece(content: str = "", **message: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": content, **message}, "done": False}


def lines(*objects: Any) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in objects)


def serve(script: dict[str, Any]) -> MockServer:
    return MockServer(script, dialects=[OllamaDialect()])


def model_of(server: MockServer) -> OllamaModel:
    return OllamaModel("m-1", base_url=server.url("ollama"))


def streamed(recorder: Recorder, body: bytes) -> list[Any]:
    recorder.reply = body
    with OllamaModel("m", base_url=recorder.url, max_attempts=1) as model:
        return list(model.stream("Hello"))


def broken(recorder: Recorder, body: bytes) -> tuple[ModelError, str]:
    """The error of a stream, and the text that came before it."""
    recorder.reply = body
    received = []
    with OllamaModel("m", base_url=recorder.url, max_attempts=1) as model, pytest.raises(ModelError) as caught:
        received.extend(chunk["content"] for chunk in model.stream("Hello"))
    return caught.value, "".join(received)


def test_pieces_arrive_as_they_come_and_the_last_chunk_has_the_whole_metadata(recorder: Recorder) -> None:
    call = {"function": {"name": "f", "arguments": {}}}
    first, second = [{"token": "a", "logprob": -1}], [{"token": "b", "logprob": -2}]

    chunks = streamed(
        recorder,
        lines(
            piece(thinking="Let me "),
            piece(thinking="think."),
            {**piece("Hel"), "logprobs": first},
            {**piece("lo"), "logprobs": second},
            piece(tool_calls=[call]),
            {**END, "total_duration": 2_000_000_000},
        ),
    )

    metadata = chunks[-1]["response_metadata"]
    assert [chunk["content"] for chunk in chunks] == ["Hel", "lo", ""]
    assert (metadata["outcome"], metadata["native_finish_reason"]) == ("tool_calls", "stop")
    assert metadata["reasoning"] == "Let me think."
    assert metadata["tool_calls"] == [call]
    assert metadata["logprobs"] == first + second
    assert metadata["usage"]["output_tokens"] == 3
    assert metadata["total_duration_s"] == 2.0
    assert metadata["model_name"] == "m"
    assert recorder.sent[-1]["stream"] is True


def test_the_last_line_may_have_text_and_lack_its_end(recorder: Recorder) -> None:
    whole = {"message": {"content": "Hello"}, "done": True, "done_reason": "length"}

    chunks = streamed(recorder, json.dumps(whole).encode())

    assert [chunk["content"] for chunk in chunks] == ["Hello", ""]
    assert chunks[-1]["response_metadata"]["outcome"] == "truncated"


def test_what_follows_the_end_is_not_read(recorder: Recorder) -> None:
    assert len(streamed(recorder, lines(piece("Hi"), END) + b"garbage\n")) == 2


@pytest.mark.parametrize(
    ("body", "kind", "partial"),
    [
        (lines(piece("Hel"), piece("lo")), "connection", "Hello"),
        (lines(piece("Hel")) + b'{"message": {"cont', "connection", "Hel"),
        (lines(piece("Hel"), {**END, "done_reason": ""}), "connection", "Hel"),
        (lines(piece("Hel"), {"error": "llama runner process has terminated"}), "server", "Hel"),
        (lines(piece("Hel"), {"error": "x"}, piece("lo"), END), "server", "Hel"),
        (lines(piece("Hel"), {"error": {"message": "usage limit reached"}}), "quota", "Hel"),
        (lines(piece("Hel")) + b"<html>\n", "response_format", "Hel"),
        (lines(piece("Hel"), [1, 2]), "response_format", "Hel"),
        (lines(piece("Hel"), {"hello": 1}), "response_format", "Hel"),
        (b"", "connection", None),
        (lines(piece(thinking="Hm")), "connection", ""),
        (lines({"error": "x"}), "server", None),
    ],
)
def test_a_stream_that_does_not_end_well_is_an_error_with_the_text_so_far(
    body: bytes, kind: str, partial: str | None, recorder: Recorder
) -> None:
    error, received = broken(recorder, body)

    assert error.kind == kind
    assert received == (partial or "")
    assert (error.response or {}).get("content") == partial
    assert error.attempts == 1


def test_a_stream_that_breaks_before_its_first_piece_is_tried_again() -> None:
    script = {"text": "one two", "rules": [{"times": 1, "fault": "reset"}, {"times": 1, "error": "rate_limit"}]}
    with serve(script) as server, model_of(server) as model:
        chunks: Any = list(model.stream("Hello"))

    assert "".join(chunk["content"] for chunk in chunks) == "one two"
    assert chunks[-1]["response_metadata"]["attempts"] == 3


@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_a_connection_that_is_cut_in_the_middle_keeps_the_text(fault: str) -> None:
    script = {"text": "one two three four", "rules": [{"fault": fault, "after": 2}]}
    received = []
    with serve(script) as server, model_of(server) as model, pytest.raises(ModelError) as caught:
        received.extend(chunk["content"] for chunk in model.stream("Hello"))

    assert caught.value.kind == "connection"
    assert received == ["one ", "two "]
    assert caught.value.response is not None
    assert caught.value.response["content"] == "one two "


def test_an_error_before_the_stream_is_the_same_as_without_one() -> None:
    script = {"rules": [{"variant": "error.model_not_found"}]}
    with serve(script) as server, model_of(server) as model, pytest.raises(ModelError) as caught:
        list(model.stream("Hello"))

    assert (caught.value.kind, caught.value.attempts) == ("not_found", 1)
    assert "ollama pull m-1" in caught.value.message


def test_a_stream_that_is_left_early_closes_its_connection() -> None:
    with serve({"text": "word " * 50}) as server, model_of(server) as model:
        chunks: Any = model.stream("Hello")
        first = next(chunks)
        chunks.close()
        again = model.invoke("Hello")

    assert first["content"] == "word "
    assert again["response_metadata"]["outcome"] == "answered"
