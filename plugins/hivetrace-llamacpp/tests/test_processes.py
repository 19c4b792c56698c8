"""The model in a process apart: its memory, its forked children, its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_five_hundred_prompts_leave_nothing_behind(tiny: Path) -> None:
    # In a process apart: what other tests have taken and freed would hide a leak, or be one.
    script = """
import sys
from hivetrace_llamacpp import LlamaCppModel

def memory():
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096 / 1e6
    except OSError:  # only Linux says so
        return 0

prompts = [f"{'word ' * (number % 40)} {number}" for number in range(500)]
options = {"n_ctx": 512, "batch_size": 8, "max_tokens": 8, "temperature": 0.7, "n_threads": 1}
with LlamaCppModel(model_path=sys.argv[1], **options) as model:
    model.batch(prompts[:100])
    before = memory()
    answers = model.batch(prompts)
    after = memory()
print(len(answers), len({answer["response_metadata"]["index"] for answer in answers}), after - before)
"""
    said = subprocess.check_output([sys.executable, "-c", script, str(tiny)], text=True, timeout=200).split()

    assert said[:2] == ["500", "500"]
    assert float(said[2]) < 25, "megabytes"


def test_a_forked_child_is_refused_in_words(tiny: Path) -> None:
    script = (
        "import os, sys\nfrom hivetrace_llamacpp import LlamaCppModel\n"
        "model = LlamaCppModel(model_path=sys.argv[1], n_ctx=128, max_tokens=2, n_threads=1)\nmodel.invoke('Hello')\n"
        "if os.fork() == 0:\n"
        "    try: model.invoke('Hello')\n"
        "    except Exception as exc: print(type(exc).__name__, 'spawn' in str(exc), flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\nprint(model.invoke('Hello')['response_metadata']['outcome'])"
    )
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, str(tiny)]
    said = subprocess.check_output(command, text=True, timeout=100).split()
    assert said == ["ConfigError", "True", "truncated"]


def test_a_process_may_end_in_the_middle_of_an_answer(tiny: Path) -> None:
    script = (
        "import sys\nfrom hivetrace_llamacpp import LlamaCppModel\n"
        "model = LlamaCppModel(model_path=sys.argv[1], n_ctx=8192, n_threads=1)\n"
        "chunks = model.stream('Hello')\nprint(len(next(chunks)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tiny)], check=False, capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
