"""Lifetimes: one instance, used from wherever its user happens to be."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
import warnings
from typing import Any, Final

from ..provider import ProviderModel
from .bench import PATIENCE_S, Bench, outcome_of
from .standard import needs

PENDING_S: Final = 0.5
BEAT_S: Final = 0.01
FEWEST_BEATS: Final = 10
"""Of about 50 that a free loop has while a request is pending; a blocked one has one or two."""


class LifetimeTests(Bench):
    """Any model."""

    def test_one_instance_works_in_one_event_loop_after_another(self) -> None:
        """Connections belong to a loop; models do not."""
        with self.stage() as stage:
            model = stage.model()
            outcomes = [outcome_of(asyncio.run(model.ainvoke("Hello"))) for _ in range(3)]

        assert outcomes == ["answered"] * 3

    def test_one_instance_works_in_several_loops_and_threads_at_once(self) -> None:
        """Half of them with a loop of their own, half with blocking calls."""
        outcomes: list[str] = []
        with self.stage() as stage:
            model = stage.model()

            def work(number: int) -> None:
                for _ in range(3):
                    call = asyncio.run(model.ainvoke("Hello")) if number % 2 else model.invoke("Hello")
                    outcomes.append(outcome_of(call))

            threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        assert outcomes == ["answered"] * 12

    def test_blocking_calls_work_inside_a_running_loop(self) -> None:
        """Notebooks have one."""
        with self.stage() as stage:
            model = stage.model()

            async def notebook() -> list[Any]:
                return [model.invoke("Hello"), *model.batch(["one", "two"]), await model.ainvoke("Hello")]

            responses = asyncio.run(notebook())

        assert [outcome_of(response) for response in responses] == ["answered"] * 4

    def test_a_closed_model_can_be_closed_again_and_used_again(self) -> None:
        """Closing lets go of connections; the next call opens new ones."""
        with self.stage() as stage:
            model = stage.model()
            outcomes = []
            for _ in range(2):
                outcomes.append(outcome_of(model.invoke("Hello")))
                model.close()
                model.close()

            async def closed_twice() -> str:
                async with model:
                    outcome = outcome_of(await model.ainvoke("Hello"))
                await model.aclose()
                await model.aclose()
                return outcome

            outcomes.append(asyncio.run(closed_twice()))
            with model:
                outcomes.append(outcome_of(model.invoke("Hello")))

        assert outcomes == ["answered"] * 4

    @needs("fork")
    def test_a_forked_child_can_use_the_model_of_its_parent(self) -> None:
        """So work processes that are forked; and the parent goes on as if nothing had been."""
        with self.stage() as stage:
            model = stage.model()
            before = outcome_of(model.invoke("Hello"))
            code = _in_child(model)
            after = outcome_of(model.invoke("Hello"))

        assert (before, after) == ("answered", "answered")
        assert code == 0, "the child got no answer"


@needs("wire")
class LoopTests(Bench):
    """Models whose requests take time."""

    def test_the_event_loop_is_free_while_a_request_is_pending(self) -> None:
        """No blocking call, neither for the request nor for a token."""
        with self.stage(delay=PENDING_S) as stage:
            model = stage.model()

            async def beats() -> int:
                count = 0
                call = asyncio.ensure_future(model.abatch(["one", "two"], batch_size=2))
                while not call.done():
                    await asyncio.sleep(BEAT_S)
                    count += 1
                assert {outcome_of(response) for response in call.result()} == {"answered"}
                return count

            assert asyncio.run(beats()) >= FEWEST_BEATS, "the loop stood still while the request was pending"


def _in_child(model: ProviderModel[Any]) -> int:
    """The exit status of a forked child that asks the model; a child that hangs is killed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that the process has threads is the point
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if outcome_of(model.invoke("Hello")) == "answered" else 2
        finally:
            os._exit(code)  # pytest must not end twice
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1
