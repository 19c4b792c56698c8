"""What only shows in a process of its own: how it ends, forks, and is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MODEL = """
import asyncio, atexit, logging, os, signal, sys, threading, time
logging.getLogger("asyncio").setLevel(logging.ERROR)  # a busy machine is slow; that is no finding
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background of a shell ignores it
from hivetrace_core import ModelOptions, ProviderModel

class Client:
    def __init__(self):
        self.pid = os.getpid()
    async def aclose(self):
        await asyncio.sleep(0.001)
        print("client closed")

class Acme(ProviderModel[ModelOptions]):
    def make_client(self):
        return Client()
    async def complete(self, client, messages):
        assert client.pid == os.getpid()
        text = messages[-1]["content"]
        if text == "block":
            print("blocked", flush=True)
            time.sleep(1000)
        if text == "hang":
            print("begun", flush=True)
        try:
            await asyncio.sleep(1000 if text == "hang" else 0.001)
        finally:
            if text == "hang":
                await asyncio.sleep(0.01)
                print("unwound", flush=True)
        return {"content": text}
"""


def script(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "script.py"
    path.write_text(MODEL + text)
    return [sys.executable, "-W", "error", "-X", "dev", str(path)]


def run_script(tmp_path: Path, text: str) -> list[str]:
    """The lines that it prints; it must end well, soon, and say nothing on stderr."""
    environment = {**os.environ, "PYTHONASYNCIODEBUG": "1"}
    done = subprocess.run(
        script(tmp_path, text), env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_script_ends_quietly_and_closes_its_clients(tmp_path: Path) -> None:
    lines = run_script(
        tmp_path,
        """
model = Acme("m")
print(model.invoke("one")["content"])
print([response["content"] for response in model.batch(iter(["x", "y"]))])
kept = model.stream("s")
print(next(kept)["content"])
async def main():
    print((await model.ainvoke("two"))["content"], model.invoke("three")["content"])
asyncio.run(main())
unread = model.stream_abatch(["never read"])
print("end")
""",
    )

    assert lines == ["one", "['x', 'y']", "s", "two three", "client closed", "end", "client closed"]


def test_a_script_that_closes_its_model_inside_a_running_loop_goes_on(tmp_path: Path) -> None:
    lines = run_script(
        tmp_path,
        """
async def main():
    with Acme("m") as model:
        print((await model.ainvoke("one"))["content"])
    print("end")
asyncio.run(main())
""",
    )

    assert lines == ["one", "end", "client closed"]


def test_models_can_be_used_and_closed_while_the_process_ends(tmp_path: Path) -> None:
    lines = run_script(
        tmp_path,
        """
model = Acme("m")
def last():
    print(model.invoke("last")["content"])
    model.close()
atexit.register(last)  # before the engine's own, so it runs after it
print(model.invoke("first")["content"])
""",
    )

    # At the end a call has a loop for itself, and its client ends with it.
    assert lines == ["first", "client closed", "client closed", "last"]


@pytest.mark.parametrize("prompt", ["hang", "block"])
def test_a_request_that_hangs_in_another_thread_does_not_keep_the_process_alive(tmp_path: Path, prompt: str) -> None:
    path = script(
        tmp_path,
        f"""
model = Acme("m")
atexit.register(model.close)
def call():
    try:
        model.invoke("{prompt}")
    except BaseException:
        pass
from hivetrace_core.engine import clients, portal
portal._EXIT_PATIENCE_S = clients._PATIENCE_S = 0.5  # how long is not the question here
threading.Thread(target=call, daemon=True).start()
time.sleep(0.3)
print("end", flush=True)
""",
    )
    begin = time.monotonic()
    done = subprocess.run(path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60, check=False)

    assert done.returncode == 0
    assert time.monotonic() - begin < 30
    lines = done.stdout.splitlines()
    assert lines[:2] == (["begun", "end"] if prompt == "hang" else ["blocked", "end"])
    assert ("unwound" in lines) == (prompt == "hang")


@pytest.mark.parametrize(
    "call",
    [
        'model.invoke("hang")',
        'model.batch(["hang"] * 5, batch_size=2)',
        'model.batch((word for word in ["hang"] * 5), batch_size=2)',
        'list(model.stream("hang"))',
    ],
)
def test_ctrl_c_ends_a_blocking_call_and_what_it_has_begun(tmp_path: Path, call: str) -> None:
    path = script(
        tmp_path,
        f"""
model = Acme("m")
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(model.invoke("after")["content"])
""",
    )
    requests = 2 if "batch" in call else 1
    with subprocess.Popen(path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(requests)] == ["begun\n"] * requests
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()

    assert (process.returncode, errors) == (0, "")
    assert output.splitlines() == [*["unwound"] * requests, "interrupted", "after", "client closed"]


def test_a_forked_child_starts_afresh(tmp_path: Path) -> None:
    lines = run_script(
        tmp_path,
        """
model = Acme("m", max_concurrency=1)
print(model.invoke("before")["content"])
def hang():
    try:
        model.invoke("hang")
    except asyncio.CancelledError:
        pass  # the end of the process
hanging = threading.Thread(target=hang, daemon=True)
async def in_the_child():
    return [response["content"] async for response in model.stream_abatch(["c", "d"])]
def fork():
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        # The parent's requests hold no place here, and its loop runs in a thread that is not here.
        print(model.invoke("a")["content"], model.batch(iter("b"))[0]["content"], asyncio.run(in_the_child()))
        sys.stdout.flush()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
fork()
hanging.start()
time.sleep(0.1)  # it holds the one place now
fork()
async def main():
    fork()  # also from inside a running loop
asyncio.run(main())
""",
    )

    assert lines.count("a b ['c', 'd']") == 3
    assert lines[0] == "before"
