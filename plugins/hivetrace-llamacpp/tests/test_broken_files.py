"""Broken and absurd files: refused before llama.cpp, which would end the process, or tried in a process apart."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hivetrace_llamacpp import sample
from hivetrace_llamacpp.gguf import inspect
from hypothesis import given, settings
from hypothesis import strategies as st

from hivetrace_core import ConfigError

# Loads each file and asks it something; prints what became of it. What llama.cpp cannot bear would end it here.
LOADER = """
import sys
from hivetrace_core import HiveTraceError
from hivetrace_llamacpp import LlamaCppModel

for path in sys.argv[1:]:
    try:
        with LlamaCppModel(model_path=path, n_ctx=128, max_tokens=2, n_threads=1, chat_format="raw") as model:
            print(model.invoke("Hello <|im_end|> 7")["response_metadata"]["outcome"])
    except HiveTraceError as error:
        print("error:", error)
"""


def loaded(*paths: Path) -> list[str]:
    """What became of each file, in a process apart."""
    done = subprocess.run(
        [sys.executable, "-c", LOADER, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, "GGML_NO_BACKTRACE": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths)
    return lines


@pytest.fixture
def written(llama_cpp: Any, tmp_path: Path) -> Callable[..., Path]:
    """Writes a model with other metadata."""

    def write(overrides: dict[str, Any], name: str = "odd.gguf", **options: Any) -> Path:
        return sample.write_model(tmp_path / name, overrides=overrides, **options)

    return write


def test_a_missing_file_a_folder_and_another_kind_of_file_are_named(tmp_path: Path) -> None:
    other, empty = tmp_path / "model.safetensors", tmp_path / "empty.gguf"
    other.write_bytes(b"not a model at all")
    empty.touch()
    cases = [
        (tmp_path / "none.gguf", "no file"),
        (tmp_path, "is a folder"),
        (other, "not a GGUF"),
        (empty, "not a GGUF"),
    ]
    for path, words in cases:
        with pytest.raises(ConfigError, match=words):
            inspect(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with a name here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")

    with pytest.raises(ConfigError, match="no ordinary file"):
        inspect(tmp_path / "pipe.gguf")


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

    @settings(deadline=None)
    @given(st.integers(4, 3000), st.binary(min_size=1, max_size=12))
    def check(at: int, noise: bytes) -> None:
        path.write_bytes(data[:at] + noise + data[at + len(noise) :])
        try:
            assert inspect(path).size == len(data)
        except ConfigError as exc:
            refused.append(str(exc))

    check()
    assert all(str(path) in message for message in refused)


@pytest.mark.parametrize(("at", "form"), [(8, "<Q"), (16, "<Q"), (24, "<Q")], ids=["tensors", "keys", "first key"])
@pytest.mark.parametrize("count", [2**31, 2**32, 2**63, 2**64 - 1])
def test_an_absurd_count_is_refused_at_once(tiny: Path, tmp_path: Path, at: int, form: str, count: int) -> None:
    data = bytearray(tiny.read_bytes())
    struct.pack_into(form, data, at, count)
    (tmp_path / "absurd.gguf").write_bytes(data)

    with pytest.raises(ConfigError, match=r"absurd\.gguf (claims to have|has a text of|is cut off)"):
        inspect(tmp_path / "absurd.gguf")


KINDS: list[tuple[dict[str, Any], str]] = [
    ({"general.type": "adapter"}, r"LoRA"),
    ({"general.type": "mmproj"}, "sees images"),
    ({"general.architecture": "clip"}, "sees images"),
    ({"general.architecture": "bert", "bert.attention.causal": False}, "embedding model"),
    ({"tokenizer.ggml.model": "none"}, "no vocabulary"),
]

ABORTS: list[tuple[dict[str, Any], str]] = [
    ({"llama.block_count": 0}, "block_count = 0"),
    ({"llama.block_count": 100_000}, "at most 512 layers"),
    ({"llama.nextn_predict_layers": 9}, "nextn_predict_layers"),
    ({"llama.attention.head_count": 0}, "head_count = 0"),
    ({"llama.attention.layer_norm_rms_epsilon": float("nan")}, "epsilon = nan"),
    ({"llama.rope.scaling.type": "magic"}, "'magic'"),
    ({"llama.expert_count": 2}, "experts"),
    ({"llama.expert_count": 4096, "llama.expert_used_count": 2}, "experts"),
    ({"llama.expert_used_count": [-1, -1, -1]}, "experts"),
    ({"llama.expert_count": 8, "llama.expert_used_count": 2, "llama.expert_group_count": 3}, "experts"),
    ({"general.alignment": 1}, "multiple of 32"),
    ({"tokenizer.ggml.tokens": ["a"] * 1024}, "token twice"),
    ({"tokenizer.ggml.model": "llama"}, "token for each byte"),
]
"""Whole files that llama.cpp answers by ending the process."""


@pytest.mark.parametrize(("overrides", "words"), [*KINDS, *ABORTS], ids=lambda value: str(value)[:40])
def test_what_is_no_model_or_would_end_the_process_is_refused_before_it_is_loaded(
    written: Callable[..., Path], overrides: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        inspect(written(overrides))

    assert "odd.gguf" in str(caught.value)


def test_a_file_with_a_vocabulary_only_is_refused(
    written: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "_tensor_shapes", lambda *_: [])

    with pytest.raises(ConfigError, match="no weights"):
        inspect(written({}))


def test_what_llama_cpp_refuses_becomes_an_error_with_its_reason(written: Callable[..., Path]) -> None:
    cases = {
        "llama.embedding_length": 64,  # not that of the weights
        "general.architecture": "no-such-thing",
        "tokenizer.ggml.pre": "no-such-thing",
        "llama.context_length": "long",
        "tokenizer.ggml.token_type": [1],
        "tokenizer.ggml.merges": ["nospace"],
    }
    paths = [written({key: value}, f"{number}.gguf") for number, (key, value) in enumerate(cases.items())]

    said = loaded(*paths)

    for key, path, line in zip(cases, paths, said, strict=True):
        assert line == "truncated" or (line.startswith("error:") and str(path) in line), key
    assert "no-such-thing" in said[1]
    assert sum(line.startswith("error:") for line in said) >= 4


def test_files_with_random_damage_end_in_an_error_of_ours_or_work(tiny: Path, tmp_path: Path) -> None:
    data, rng, paths = tiny.read_bytes(), random.Random(1), []
    structure = data.index(b"tokenizer.ggml.tokens")
    tensors = data.index(b"token_embd.weight")
    for number in range(16):
        broken = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            region = (4, structure) if number % 2 else (tensors, tensors + 1800)
            broken[rng.randrange(*region)] = rng.randrange(256)
        paths.append(tmp_path / f"{number}.gguf")
        paths[-1].write_bytes(broken)

    said = loaded(*paths)

    assert {line.partition(":")[0] for line in said} <= {"error", "truncated"}
