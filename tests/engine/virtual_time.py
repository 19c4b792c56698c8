"""An event loop whose clock jumps to the next timer: minutes pass in milliseconds, and always in the same way.

It also tells of what real time hides: a program in which everybody waits for nobody is an error (`StuckError`), and so
are tasks and timers that are left behind.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest import mock

T = TypeVar("T")


class StuckError(AssertionError):
    """Everything waits, and there is no timer that could change it."""


class _Selector(selectors.DefaultSelector):
    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if not events and timeout != 0:
            if timeout is None:
                raise StuckError("everything waits for something that nobody will do")
            self.loop.advance(timeout + self.loop.lateness())
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with a clock of its own.

    Args:
        lateness: Seconds by which each timer is late.
    """

    def __init__(self, lateness: Callable[[], float] = lambda: 0.0) -> None:
        self._now = 1000.0  # like a real clock, it does not begin at zero
        self.lateness = lateness
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass, as code does that blocks the loop."""
        self._now += seconds

    def timers(self) -> list[asyncio.TimerHandle]:
        """What is still scheduled."""
        return [handle for handle in self._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]


def run(main: Coroutine[Any, Any, T], *, lateness: Callable[[], float] = lambda: 0.0) -> T:
    """`asyncio.run` in virtual time; nothing may be left behind, and no error may go unheard."""
    unheard: list[str] = []
    loop = VirtualLoop(lateness)
    loop.set_exception_handler(lambda _, context: unheard.append(f"{context['message']}: {context.get('exception')!r}"))
    clock = SimpleNamespace(monotonic=loop.time)
    with (
        mock.patch("hivetrace_core.engine.executor.time", clock),
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        result = runner.run(_tidy(main, loop))
    assert not unheard
    return result


async def _tidy(main: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    result = await main
    await asyncio.sleep(0)  # what has just ended says so in the next turn

    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not loop.timers()
    return result


def now() -> float:
    """The running loop's time."""
    return asyncio.get_running_loop().time()
