"""A random model made for the tests, and llama-cpp-python itself to compare with.

Where llama-cpp-python is not installed, the tests that need it fail, each with the reason; `plugins/conftest.py` leaves
them out where the environment says why it cannot be installed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hivetrace_llamacpp import LlamaCppModel

Chat = list[dict[str, str]]


@pytest.fixture(scope="session")
def llama_cpp() -> Any:
    """The package, or the reason why it is not there."""
    if importlib.util.find_spec("llama_cpp") is None:
        pytest.fail("llama-cpp-python is not installed; pip install 'llama-cpp-python>=0.3.36,<0.4'", pytrace=False)
    from hivetrace_llamacpp.native import library

    return library()


@pytest.fixture(scope="session")
def tiny(llama_cpp: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 3 MB, F32, that never ends an answer by itself."""
    from hivetrace_llamacpp.sample import write_model

    return write_model(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="session")
def ending(llama_cpp: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, but it ends most answers by itself."""
    from hivetrace_llamacpp.sample import write_model

    return write_model(tmp_path_factory.mktemp("models") / "ending.gguf", end_gain=1.5)


@pytest.fixture
def make(tiny: Path) -> Iterator[Callable[..., LlamaCppModel]]:
    """Makes models that are closed when the test ends."""
    made: list[LlamaCppModel] = []

    def model(**options: Any) -> LlamaCppModel:
        defaults: dict[str, Any] = {
            "model_path": tiny,
            "n_ctx": 512,
            "temperature": 0,
            "max_tokens": 16,
            "n_threads": 1,
        }
        made.append(LlamaCppModel(**{**defaults, **options}))
        return made[-1]

    yield model
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def serial(tiny: Path, llama_cpp: Any) -> Callable[[Chat, int], list[int]]:
    """Tokens that llama-cpp-python generates for one prompt alone."""
    llama = llama_cpp.Llama(str(tiny), n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False)

    def generate(messages: Chat, count: int) -> list[int]:
        llama.reset()
        answer = llama.create_chat_completion(messages, max_tokens=count + 1, temperature=0)
        read = answer["usage"]["prompt_tokens"]
        return [int(token) for token in llama.input_ids[read : read + count]]

    return generate
