"""Files and options that cannot work: said before llama.cpp sees them, without a crash."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hivetrace_llamacpp import LlamaCppModel
from hivetrace_llamacpp.gguf import inspect
from hivetrace_llamacpp.plan import lay_out
from hivetrace_llamacpp.text import TextStream
from hypothesis import given
from hypothesis import strategies as st

from hivetrace_core import ConfigError


def test_a_missing_file_a_folder_and_another_kind_of_file_are_named(tmp_path: Path) -> None:
    other = tmp_path / "model.safetensors"
    other.write_bytes(b"not a model at all")
    for path, words in ((tmp_path / "none.gguf", "no file"), (tmp_path, "is a folder"), (other, "not a GGUF")):
        with pytest.raises(ConfigError, match=words):
            inspect(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.99, 0.9999])
def test_a_file_that_is_cut_off_is_refused(tiny: Path, tmp_path: Path, share: float) -> None:
    data = tiny.read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(data[: int(len(data) * share)])

    with pytest.raises(ConfigError, match=r"cut off|not a GGUF"):
        inspect(cut)


def test_any_change_of_the_header_is_read_or_refused_but_never_crashes(tiny: Path, tmp_path: Path) -> None:
    data = tiny.read_bytes()
    path = tmp_path / "changed.gguf"
    refused: list[str] = []

    @given(st.integers(4, 3000), st.binary(min_size=1, max_size=12))
    def check(at: int, noise: bytes) -> None:
        path.write_bytes(data[:at] + noise + data[at + len(noise) :])
        try:
            assert inspect(path).size == len(data)
        except ConfigError as exc:
            refused.append(str(exc))

    check()
    assert all(str(path) in message for message in refused)


def test_a_model_without_a_template_asks_for_a_format(llama_cpp: Any, tmp_path: Path) -> None:
    from hivetrace_llamacpp.sample import write_model

    path = write_model(tmp_path / "bare.gguf", chat_template=None)
    with pytest.raises(ConfigError, match="chat_format"):
        LlamaCppModel(model_path=path)
    for name in ("chatml", "raw"):
        with LlamaCppModel(model_path=path, chat_format=name, n_ctx=128, max_tokens=4) as model:
            assert model.invoke("Hello")["content"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"chat_format": "chatlm"}, "chatml"),
        ({"chat_template": "{% for"}, "not valid Jinja"),
        ({"grammar": "root ::= ((("}, "GBNF"),
        ({"response_format": {"type": "xml"}}, "json_object"),
        ({"n_gpu_layers": 5}, "finds no GPU"),
    ],
)
def test_a_wrong_option_is_an_error_of_the_whole_call(
    make: Callable[..., LlamaCppModel], options: dict[str, Any], words: str, llama_cpp: Any
) -> None:
    if "n_gpu_layers" in options and llama_cpp.llama_supports_gpu_offload():
        return
    with pytest.raises(ConfigError, match=words):
        make(**options).batch(["one", "two"])


def test_automatic_layers_without_a_gpu_run_on_the_cpu_with_a_warning(
    make: Callable[..., LlamaCppModel], caplog: pytest.LogCaptureFixture, llama_cpp: Any
) -> None:
    assert make(n_gpu_layers=-1).invoke("Hello")["content"]
    assert ("n_gpu_layers=-1" in caplog.text) is not llama_cpp.llama_supports_gpu_offload()


def test_too_little_memory_is_said_with_the_largest_window_that_fits() -> None:
    with pytest.raises(ConfigError, match=r"at most 7424"):
        lay_out(
            window=8192,
            slots=4,
            cells=None,
            deterministic=False,
            prefix_cache=True,
            bytes_per_cell=1000,
            free_bytes=8_000_000,
        )


def test_a_smaller_cache_comes_before_a_smaller_window_and_fewer_slots_where_each_has_its_own() -> None:
    common: dict[str, Any] = {
        "window": 1024,
        "slots": 8,
        "cells": None,
        "prefix_cache": True,
        "bytes_per_cell": 1000,
        "free_bytes": 8_000_000,
    }
    shared, own = lay_out(deterministic=False, **common), lay_out(deterministic=True, **common)

    assert (shared.slots, shared.window, shared.cells) == (8, 1024, 4096)
    assert (own.slots, own.window, own.cells) == (2, 1024, 3 * 1024)
    assert shared.notes
    assert own.notes


@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=3), max_size=3), st.integers(1, 5))
def test_text_in_pieces_is_the_text_up_to_the_first_stop(text: str, stops: list[str], size: int) -> None:
    raw = text.encode("utf-8", "replace")
    stream = TextStream(stops)
    pieces = [stream.feed(raw[at : at + size]) for at in range(0, len(raw), size)]
    pieces.append(stream.finish())

    whole = raw.decode()
    assert "".join(pieces) == stream.text
    assert whole.startswith(stream.text)
    assert not any(stop in stream.text for stop in stops)
    assert stream.stopped == any(stop in whole for stop in stops)
    assert stream.stopped or stream.text == whole


def test_importing_the_light_modules_loads_nothing_native() -> None:
    script = (
        "import sys, hivetrace_llamacpp.options, hivetrace_llamacpp.outcomes, hivetrace_llamacpp.params\n"
        "print([name for name in ('llama_cpp', 'numpy') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"


def test_without_llama_cpp_the_command_that_installs_it_is_named(tiny: Path) -> None:
    script = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'llama_cpp' else find(name, *rest)\n"
        "from hivetrace_llamacpp import LlamaCppModel\n"
        "try: LlamaCppModel(model_path=sys.argv[1])\n"
        "except Exception as exc: print(type(exc).__name__, exc)"
    )
    said = subprocess.check_output([sys.executable, "-c", script, str(tiny)], text=True)
    assert said.startswith("MissingDependencyError")
    assert "pip install 'llama-cpp-python" in said


def test_a_forked_child_is_refused_in_words(tiny: Path) -> None:
    script = (
        "import os, sys\nfrom hivetrace_llamacpp import LlamaCppModel\n"
        "model = LlamaCppModel(model_path=sys.argv[1], n_ctx=128, max_tokens=2)\nmodel.invoke('Hello')\n"
        "if os.fork() == 0:\n"
        "    try: model.invoke('Hello')\n"
        "    except Exception as exc: print(type(exc).__name__, 'spawn' in str(exc), flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()"
    )
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, str(tiny)]
    assert subprocess.check_output(command, text=True, timeout=60).strip() == "ConfigError True"


def test_a_process_may_end_in_the_middle_of_an_answer(tiny: Path) -> None:
    script = (
        "import sys\nfrom hivetrace_llamacpp import LlamaCppModel\n"
        "chunks = LlamaCppModel(model_path=sys.argv[1], n_ctx=8192).stream('Hello')\nprint(len(next(chunks)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tiny)], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
