"""Who comes and goes: cancelled prompts, closed models, threads, loops, forks; and what is left of them."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hivetrace_llamacpp import LlamaCppModel, engines
from hivetrace_llamacpp.engine import Engine
from hivetrace_llamacpp.scheduler import Scheduler

from hivetrace_core import ModelError

Make = Callable[..., LlamaCppModel]


def scheduler_of(model: LlamaCppModel) -> Scheduler:
    scheduler = model.make_client().engine._scheduler
    assert scheduler is not None
    return scheduler


async def reached(condition: Callable[[], bool]) -> bool:
    """Whether something becomes true within ten seconds."""
    for _ in range(2000):
        if condition():
            return True
        await asyncio.sleep(0.005)
    return False


def test_an_engine_whose_thread_cannot_start_fails_its_prompts_and_the_next_one_may_work(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    model = make()
    with monkeypatch.context() as patched:
        patched.setattr("hivetrace_llamacpp.engine.threading.Thread.start", refuse)
        with pytest.raises(ModelError, match="can't start new thread"):
            asyncio.run(model.ainvoke("one"))

    assert model.invoke("two")["content"]
    model.close()
    assert not engines._engines


def test_threads_that_find_a_dead_engine_share_one_new_one(make: Make) -> None:
    lease = make().make_client()
    lease.engine.stop()
    lease.engine.join(10)
    together = threading.Barrier(8)
    found: list[Engine] = []

    def look() -> None:
        together.wait()
        found.append(lease.engine)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(map(id, found))) == 1
    assert [shared.leases for shared in engines._engines.values()] == [1]
    lease.release()
    assert not engines._engines


def test_a_cancelled_prompt_gives_its_slot_to_the_next(make: Make) -> None:
    model = make(batch_size=1, n_ctx=4096, max_tokens=4000)

    async def scenario() -> str:
        chunks = model.astream("a long answer")
        await anext(chunks)
        await chunks.aclose()
        task = asyncio.create_task(model.ainvoke("another long answer"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async for chunk in model.astream("next"):
            return chunk["content"]
        return ""

    assert asyncio.run(scenario())


def test_an_answer_that_takes_too_long_is_stopped_and_the_next_one_begins(make: Make) -> None:
    model = make(batch_size=1, n_ctx=8192, max_tokens=8000, timeout=0.2)

    with pytest.raises(ModelError) as caught:
        model.invoke("a long answer")

    assert caught.value.kind == "timeout"
    assert asyncio.run(reached(lambda: not scheduler_of(model).busy))
    assert next(iter(make(batch_size=1, n_ctx=8192).stream("Hello")))["content"] is not None


def test_leaving_a_batch_early_stops_what_is_under_way(make: Make) -> None:
    model = make(batch_size=4, n_ctx=4096, max_tokens=4000)
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "short" if taken == 1 else f"prompt {taken}"

    async def scenario() -> None:
        responses = model.stream_abatch(endless(), ordered=False)
        assert isinstance(responses, AsyncIterator)
        waiting = asyncio.ensure_future(anext(responses))
        assert await reached(lambda: model.make_client().engine.statistics.generated > 20)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await responses.aclose()  # type: ignore[attr-defined]  # it is a generator
        assert await reached(lambda: not scheduler_of(model).busy)

    asyncio.run(scenario())
    assert taken <= 1100


def test_never_more_prompts_are_at_work_than_batch_size(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0
    step = Scheduler.step

    def watched(self: Scheduler) -> int:
        nonlocal most
        ended = step(self)
        most = max(most, len(self._active))
        return ended

    monkeypatch.setattr(Scheduler, "step", watched)
    model = make(batch_size=3)

    async def three_calls() -> None:
        await asyncio.gather(*(model.abatch([f"{call} {number}" for number in range(8)], 8) for call in range(3)))

    asyncio.run(three_calls())
    assert most == 3


def test_closing_fails_what_is_under_way_and_a_later_call_loads_again(make: Make) -> None:
    model = make(n_ctx=8192, max_tokens=8000)

    async def scenario() -> list[ModelError]:
        async def stream() -> None:
            async for _ in model.astream("a streamed answer"):
                pass

        tasks = [asyncio.ensure_future(model.ainvoke("a long answer")), asyncio.ensure_future(stream())]
        assert await reached(lambda: model._lease is not None)
        engine = model.make_client().engine
        assert await reached(lambda: engine.statistics.generated > 4)
        await model.aclose()
        assert engine.join(0)
        return [
            error for error in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(error, ModelError)
        ]

    assert [error.code for error in asyncio.run(scenario())] == ["closed", "closed"]
    assert make().invoke("again")["content"]


def test_closing_while_the_model_is_still_loading_is_clean(make: Make) -> None:
    async def scenario() -> Any:
        model = make()
        task = asyncio.ensure_future(model.ainvoke("Hello"))
        await asyncio.sleep(0)
        await model.aclose()
        return (await asyncio.gather(task, return_exceptions=True))[0]

    for _ in range(5):
        ended = asyncio.run(scenario())
        assert isinstance(ended, dict) or (isinstance(ended, ModelError) and ended.code == "closed"), ended


def test_the_same_file_and_settings_share_one_engine(make: Make) -> None:
    one, two, other = make(), make(temperature=1), make(batch_size=3)
    engine = one.make_client().engine

    assert two.make_client().engine is engine
    assert other.make_client().engine is not engine
    one.close()
    assert two.invoke("still there")["content"]
    two.close()
    assert engine.join(5)


def test_two_models_work_side_by_side(make: Make, ending: Path) -> None:
    one, other = make(batch_size=2), make(model_path=ending, batch_size=2)
    alone = [model.invoke("Hello")["content"] for model in (one, other)]

    async def both() -> list[Any]:
        return await asyncio.gather(*(model.abatch(["Hello"] * 6) for model in (one, other)))

    answers = asyncio.run(both())

    assert [{response["content"] for response in responses} for responses in answers] == [{text} for text in alone]
    assert {response["response_metadata"]["model_name"] for response in answers[1]} == {"ending"}


def test_a_file_that_was_written_anew_is_loaded_anew(make: Make, tiny: Path, tmp_path: Path) -> None:
    from hivetrace_llamacpp.sample import write_model

    path = write_model(tmp_path / "same.gguf", seed=1)
    before = make(model_path=path)
    first = before.invoke("Hello")["content"]
    write_model(tmp_path / "new.gguf", seed=2).replace(path)
    after = make(model_path=path)

    assert after.invoke("Hello")["content"] != first
    assert before.invoke("Hello")["content"] == first


def test_a_model_that_is_dropped_without_being_closed_is_freed(tiny: Path) -> None:
    model = LlamaCppModel(model_path=tiny, n_ctx=128, n_threads=1, max_tokens=2, batch_size=7)
    model.invoke("Hello")
    engine = model.make_client().engine

    del model
    gc.collect()

    assert engine.join(10)
    assert engine.settings.key not in engines._engines


@pytest.mark.parametrize("where", ["__init__", "start", "_run"])
def test_a_model_may_be_collected_while_another_one_is_made(
    tiny: Path, make: Make, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    options: Any = {"n_ctx": 128, "n_threads": 1, "max_tokens": 2}
    dropped = [LlamaCppModel(model_path=tiny, batch_size=11, **options)]
    engine = dropped[0].make_client().engine
    usual = getattr(Engine, where)

    def collecting(self: Engine, *arguments: Any) -> None:
        if where == "start":  # as where the new thread collects it before it says that it has started
            collector = threading.Thread(target=lambda: (dropped.clear(), gc.collect()), daemon=True)
            collector.start()
            collector.join()
        else:
            dropped.clear()
            gc.collect()
        usual(self, *arguments)

    monkeypatch.setattr(Engine, where, collecting)
    thread = threading.Thread(target=make(batch_size=12).invoke, args=("Hello",), daemon=True)
    thread.start()
    thread.join(30)

    assert not thread.is_alive(), "making the model waits for itself"
    assert engine.join(10)


def test_several_threads_and_loops_use_one_model(make: Make) -> None:
    model = make(batch_size=4)
    texts: list[list[str]] = []

    def work(number: int) -> None:
        prompts = [f"prompt {number}" for number in range(6)]
        responses = asyncio.run(model.abatch(prompts)) if number % 2 else model.batch(prompts)
        texts.append([response["content"] for response in responses])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(texts) == 4
    assert all(one == texts[0] for one in texts)


def test_an_event_loop_that_ends_in_the_middle_leaves_the_others_alone(make: Make) -> None:
    model = make(batch_size=2, n_ctx=4096, max_tokens=3000)
    loop = asyncio.new_event_loop()
    chunks = model.astream("a long answer")
    loop.run_until_complete(anext(chunks))
    pending = loop.create_task(model.ainvoke("never awaited"))
    loop.run_until_complete(asyncio.sleep(0.02))
    pending.cancel()
    loop.run_until_complete(asyncio.gather(pending, return_exceptions=True))
    loop.run_until_complete(chunks.aclose())
    loop.close()

    assert next(iter(model.stream("Hello")))["content"] is not None
