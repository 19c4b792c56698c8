"""Blocking functions in daemon threads."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
import time

import pytest

from hivetrace_core.engine import threads as module
from hivetrace_core.engine.threads import in_thread


def test_a_function_runs_in_another_thread_and_its_value_comes_back() -> None:
    async def main() -> tuple[int, str, bool]:
        return await in_thread(
            lambda a, b: (a + b, threading.current_thread().name, threading.current_thread().daemon), 2, 3
        )

    assert asyncio.run(main()) == (5, "hivetrace-call", True)


def test_far_more_calls_than_processors_run_at_once() -> None:
    count = 100
    together = threading.Barrier(count)

    async def main() -> None:
        await asyncio.gather(*(in_thread(together.wait, 60) for _ in range(count)))

    asyncio.run(main())


def test_threads_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_pool", None)

    async def main() -> set[int]:
        used = set()
        for _ in range(20):
            used.add(await in_thread(threading.get_ident))
            await asyncio.sleep(0.005)  # the thread has to find its way back
        return used

    assert len(asyncio.run(main())) < 10


def test_idle_threads_end_after_a_while_and_calls_still_find_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE_S", 0.0)
    monkeypatch.setattr(module, "_pool", None)

    async def main() -> int:
        total = 0
        for number in range(300):
            total += sum(await asyncio.gather(*(in_thread(lambda value: value, number) for _ in range(3))))
        return total

    assert asyncio.run(asyncio.wait_for(main(), 60)) == 3 * sum(range(300))
    deadline = time.monotonic() + 30
    while any(thread.name == "hivetrace-call" for thread in own_threads()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert own_threads() == []


def own_threads() -> list[threading.Thread]:
    """Threads of the pool; other tests may have left some that wait for their next call."""
    pool = module._pool
    assert pool is not None
    return [
        thread
        for thread in threading.enumerate()
        if getattr(getattr(thread, "_target", None), "__self__", None) is pool[1]
    ]


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), asyncio.CancelledError()])
def test_whatever_the_function_raises_is_raised_here(error: BaseException) -> None:
    def fail() -> None:
        raise error

    async def main() -> BaseException:
        with pytest.raises(type(error)) as caught:
            await in_thread(fail)
        return caught.value

    assert asyncio.run(main()) is error


def test_the_callers_context_variables_are_there_and_changes_stay_in_the_thread() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    def use() -> str:
        before = variable.get()
        variable.set("changed")
        return before

    async def main() -> tuple[str, str, str]:
        variable.set("set")
        return await in_thread(use), await in_thread(use), variable.get()

    assert asyncio.run(main()) == ("set", "set", "set")


def test_a_cancelled_waiter_leaves_the_thread_to_itself() -> None:
    release = threading.Event()
    ended = threading.Event()

    def hang() -> None:
        release.wait(60)
        ended.set()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await in_thread(hang)
        release.set()
        assert await in_thread(ended.wait, 60)
        await asyncio.sleep(0.01)  # its result comes too late, and nobody minds

    asyncio.run(main(), debug=True)


def test_a_thread_that_outlives_its_loop_ends_quietly() -> None:
    release = threading.Event()
    seen: list[str] = []

    def hang() -> None:
        release.wait(60)
        seen.append("ended")

    async def main() -> None:
        task = asyncio.create_task(in_thread(hang))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(main())
    release.set()
    deadline = time.monotonic() + 30
    while not seen and time.monotonic() < deadline:
        time.sleep(0.005)
    assert seen == ["ended"]


def test_a_thread_that_hangs_does_not_keep_the_process_alive() -> None:
    code = """
import asyncio, time
from hivetrace_core.engine.threads import in_thread
async def main():
    try:
        await asyncio.wait_for(in_thread(time.sleep, 1000), 0.05)
    except TimeoutError:
        print("gave up")
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "gave up\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_starts_threads_of_its_own() -> None:
    code = """
import asyncio, os, time
from hivetrace_core.engine.threads import in_thread
async def main():
    return await in_thread(lambda: "done")
assert asyncio.run(main()) == "done"
time.sleep(0.05)  # the thread waits for its next call
child = os.fork()
if child == 0:
    os._exit(0 if asyncio.run(asyncio.wait_for(main(), 30)) == "done" else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
