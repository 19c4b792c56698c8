"""No server where one should be: who is told what, and how soon sending stops."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hivetrace_ollama import OllamaModel

from hivetrace_core import ModelError


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address on which nothing listens, and nothing can start to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_is_not_running_is_named_with_what_to_do(stream: bool, nobody: str) -> None:
    with OllamaModel("qwen3:0.6b", base_url=nobody, max_attempts=1) as model, pytest.raises(ModelError) as caught:
        list(model.stream("Hello")) if stream else model.invoke("Hello")

    error = caught.value
    assert (error.kind, error.retryable, error.attempts) == ("connection", True, 1)
    assert error.message.startswith(nobody)
    assert "ollama serve" in error.message


def test_a_proxy_that_is_not_running_is_not_taken_for_the_server(nobody: str) -> None:
    model = OllamaModel("m", base_url="http://gpu-box", proxy=nobody, max_attempts=1)
    with model, pytest.raises(ModelError) as caught:
        model.invoke("Hello")

    assert "proxy" in caught.value.message
    assert "ollama serve" not in caught.value.message


def test_a_batch_stops_soon_and_says_why(nobody: str) -> None:
    with OllamaModel("m", base_url=nobody, max_attempts=1) as model:
        responses: Any = model.batch([f"prompt {number}" for number in range(100)])

    kinds = [response["error"]["kind"] for response in responses]
    assert set(kinds) == {"connection", "not_sent"}
    assert kinds.count("connection") < 20
    assert "ollama serve" in responses[-1]["error"]["message"]
