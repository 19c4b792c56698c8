"""Before the first token: what is imported and what is missing, memory, devices, architectures, llama.cpp's log."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hivetrace_llamacpp import LlamaCppModel, checkup, devices, memory, nvidia
from hivetrace_llamacpp.plan import lay_out

from hivetrace_core import ConfigError, ModelError

from .recurrent import write_mamba

Make = Callable[..., LlamaCppModel]

# Runs in a process in which some packages are not installed.
WITHOUT = """
import importlib.util, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[2].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in sys.argv[2].split(",") else find(name, *rest)
"""


def said(script: str, *arguments: object) -> str:
    return subprocess.check_output([sys.executable, "-c", script, *map(str, arguments)], text=True, timeout=100)


def test_importing_everything_but_the_engine_loads_nothing_native() -> None:
    script = (
        "import sys, hivetrace_llamacpp.model, hivetrace_llamacpp.outcomes\n"
        "print([name for name in ('llama_cpp', 'numpy', 'jinja2') if name in sys.modules])"
    )
    assert said(script).strip() == "[]"


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("llama_cpp", "pip install 'llama-cpp-python>=0.3.36,<0.4'"),
        ("numpy", "pip install 'numpy"),
        ("jinja2", "pip install 'jinja2"),
        ("numpy,llama_cpp,jinja2", "pip install 'numpy"),
    ],
)
def test_what_is_not_installed_is_named_with_the_command(missing: str, command: str) -> None:
    script = f"""{WITHOUT}
from hivetrace_llamacpp import LlamaCppModel
from hivetrace_llamacpp.checkup import check
for action in (lambda: LlamaCppModel(model_path=sys.argv[1]), check):
    try: action()
    except Exception as error: print(type(error).__name__, str(error).replace(chr(10), " "))
"""
    lines = said(script, "none.gguf", missing).splitlines()

    assert [line.partition(" ")[0] for line in lines] == ["MissingDependencyError"] * 2
    assert all(command in line for line in lines)


def test_the_build_is_described_in_one_line(llama_cpp: Any) -> None:
    line = checkup.check()

    assert line.startswith(f"llama-cpp-python {llama_cpp.__version__}; ")
    assert ("CPU only" in line) is not llama_cpp.llama_supports_gpu_offload()
    assert "\n" not in line


def test_the_devices_are_those_of_this_machine(llama_cpp: Any) -> None:
    found = devices.devices()

    assert any(not device.is_gpu for device in found)
    assert all(device.name and device.description and device.free <= device.total for device in found)


@pytest.fixture
def no_gpu(llama_cpp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without a GPU, whatever this one has."""
    monkeypatch.setattr(llama_cpp, "llama_supports_gpu_offload", lambda: False)


def test_layers_on_a_gpu_that_is_not_there_are_an_error_with_the_commands(no_gpu: None, make: Make) -> None:
    with pytest.raises(ConfigError, match="finds no GPU") as caught:
        make(n_gpu_layers=5).batch(["one", "two"])

    assert "GGML_CUDA=on" in str(caught.value)
    assert "--extra-index-url" in str(caught.value)


def test_automatic_layers_without_a_gpu_run_on_the_cpu_with_one_warning(
    no_gpu: None, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    model = make(n_gpu_layers=-1)
    for _ in range(2):
        assert model.invoke("Hello")["content"]
    model.batch(["one", "two"])

    assert [record.levelname for record in caplog.records if "n_gpu_layers=-1" in record.message] == ["WARNING"]


def test_layers_are_asked_for_as_they_are_given_where_there_is_a_gpu(
    llama_cpp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama_cpp, "llama_supports_gpu_offload", lambda: True)

    assert [devices.layers_to_offload(wanted) for wanted in (-1, 0, 7)] == [devices.ALL_LAYERS, 0, 7]


def test_nvidia_s_libraries_are_loaded_in_the_order_of_their_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder, pattern = ("bin", "{}64_12.dll") if sys.platform == "win32" else ("lib", "lib{}.so.12")
    wanted = []
    for package, name in (("cuda_runtime", "cudart"), ("cublas", "cublasLt"), ("cublas", "cublas")):
        path = tmp_path / "nvidia" / package / folder / pattern.format(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no library")
        wanted.append(path)
    monkeypatch.syspath_prepend(str(tmp_path))

    assert list(nvidia.libraries()) == wanted
    with caplog.at_level(logging.INFO, "hivetrace_llamacpp.native"):
        assert nvidia.preload() == []
    assert sum("could not be loaded" in record.message for record in caplog.records) == 3


LAYOUT: dict[str, Any] = {"cells": None, "prefix_cache": True, "bytes_per_cell": 1000, "free_bytes": 8_000_000}


def test_too_little_memory_is_said_with_the_largest_window_that_fits() -> None:
    with pytest.raises(ConfigError, match=r"at most 7424"):
        lay_out(window=8192, slots=4, deterministic=False, **LAYOUT)


def test_a_smaller_cache_comes_before_a_smaller_window_and_fewer_slots_where_each_has_its_own() -> None:
    shared, own = (lay_out(window=1024, slots=8, deterministic=exact, **LAYOUT) for exact in (False, True))

    assert (shared.slots, shared.window, shared.cells) == (8, 1024, 4096)
    assert (own.slots, own.window, own.cells) == (2, 1024, 3 * 1024)
    assert shared.notes
    assert own.notes


def test_a_context_that_does_not_fit_is_refused_before_it_is_made(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 1_000_000)
    model = make(n_ctx=4096)

    with pytest.raises(ModelError, match="Not enough memory") as caught:
        model.invoke("Hello")

    assert "n_ctx" in str(caught.value)
    assert caught.value.kind == "not_found"  # so that a run stops and can be resumed


def test_a_file_that_memory_does_not_hold_is_refused_where_it_would_be_read_whole(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 2_000_000)

    with pytest.raises(ConfigError, match="use_mmap") as caught:
        make(use_mmap=False).invoke("Hello")

    assert "2.9 MB" in str(caught.value)


def test_the_free_memory_is_what_the_system_and_its_container_leave(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable:    5000 kB\n")
    group = tmp_path / "group"
    assert memory.available(meminfo, group) == 5000 * 1024
    group.mkdir()
    (group / "memory.max").write_text("3000000\n")
    (group / "memory.current").write_text("1000000\n")
    assert memory.available(meminfo, group) == 2_000_000
    (group / "memory.stat").write_text("anon 5\ninactive_file 300000\nactive_file 7\n")
    assert memory.available(meminfo, group) == 2_300_000
    (group / "memory.max").write_text("max\n")
    assert memory.available(meminfo, group) == 5000 * 1024


def test_a_model_with_a_recurrent_state_answers_one_prompt_at_a_time_and_says_so(
    llama_cpp: Any, make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_mamba(tmp_path / "mamba.gguf")
    llama = llama_cpp.Llama(str(path), n_ctx=256, n_threads=1, n_threads_batch=1, verbose=False)
    prompts: list[Any] = [[{"role": "user", "content": f"{'word ' * number}{number}"}] for number in range(5)]
    model = make(model_path=path, batch_size=4, n_ctx=256)

    responses = model.batch(prompts)

    assert "one prompt at a time" in caplog.text
    assert model.make_client().engine._scheduler is not None
    for prompt, response in zip(prompts, responses, strict=True):
        llama.reset()
        alone = llama.create_chat_completion(prompt, max_tokens=17, temperature=0)["choices"][0]["message"]["content"]
        assert alone.startswith(response["content"].replace("\ufffd", ""))


def test_llama_cpp_s_words_go_to_the_log_and_the_streams_of_the_process_stay_its_own(tiny: Path) -> None:
    script = """
import json, logging, os, sys
before = [os.fstat(number) for number in (1, 2)] + [sys.stdout, sys.stderr]
kept = []
class Keeper(logging.Handler):
    def emit(self, record): kept.append((record.name, record.levelname, record.getMessage()))
logging.getLogger("hivetrace_llamacpp").addHandler(Keeper())
logging.getLogger("hivetrace_llamacpp").setLevel(logging.DEBUG)
from hivetrace_llamacpp import LlamaCppModel
with LlamaCppModel(model_path=sys.argv[1], n_ctx=128, max_tokens=4, n_threads=1) as model:
    model.batch(["one", "two"])
after = [os.fstat(number) for number in (1, 2)] + [sys.stdout, sys.stderr]
print(json.dumps({"same": [(one.st_dev, one.st_ino) if number < 2 else id(one) for number, one in enumerate(before)]
    == [(one.st_dev, one.st_ino) if number < 2 else id(one) for number, one in enumerate(after)], "kept": kept}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tiny)], capture_output=True, text=True, check=True, timeout=100
    )

    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert found["same"]
    assert any("llama_model_loader" in message for _, _, message in found["kept"])
    assert {name for name, _, _ in found["kept"]} == {"hivetrace_llamacpp.native"}
    assert {level for _, level, _ in found["kept"]} <= {"DEBUG", "INFO"}
