"""`run`: every prompt to every model, one true outcome each."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hivetrace_core import (
    ConfigError,
    Messages,
    Model,
    ModelError,
    ModelOptions,
    ModelResponse,
    ProviderModel,
    Reply,
    RunError,
    UnknownModelError,
    run,
)
from hivetrace_core.registry import Registry
from hivetrace_core.runs.events import (
    ModelFinished,
    OutcomeRecorded,
    Retrying,
    RunEvent,
    RunFinished,
    RunResult,
    RunStarted,
)

Start = Callable[..., RunResult]


class Recording(Model):
    """Answers at once and remembers what it was asked."""

    seen: ClassVar[list[Any]] = []

    async def ainvoke(self, prompt: Any) -> dict[str, Any]:
        type(self).seen.append(prompt)
        return {"content": f"to {prompt}"}


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def start(tmp_path: Path, registry: Registry) -> Start:
    """Run these models over these prompts."""

    def _start(models: list[Any], prompts: Any = ("a", "b", "c"), **more: Any) -> RunResult:
        options = {name: more.pop(name) for name in ("listener",) if name in more}
        config = {
            "models": [{"name": model} if isinstance(model, str) else model for model in models],
            "prompts": list(prompts) if isinstance(prompts, tuple) else prompts,
            "output": {"dir": tmp_path / "runs"},
            **more,
        }
        return run(config, registry=registry, **options)

    return _start


def rows(result: RunResult) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (result.folder / "responses.jsonl").read_text().splitlines()]


def query(result_or_folder: RunResult | Path, sql: str) -> list[Any]:
    folder = result_or_folder.folder if isinstance(result_or_folder, RunResult) else result_or_folder
    database = sqlite3.connect(folder / "run.db")
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


class TestWholeRuns:
    def test_every_prompt_has_one_outcome_for_every_model(self, start: Start, tmp_path: Path) -> None:
        prompts = tmp_path / "prompts.csv"
        prompts.write_text("id,prompt\n" + "".join(f"{n},prompt {n}\n" for n in range(250)))
        rules = [{"match": "7", "outcome": "blocked"}, {"match": "8", "error": "bad_request"}]

        result = start(
            [
                {"name": "simulated", "label": "strict", "params": {"rules": rules}},
                {"name": "simulated", "label": "open", "params": {"latency": 0.001, "latency_sigma": 1}},
            ],
            {"file": prompts},
            name="Проба",
        )

        found = rows(result)
        assert [(row["model"], row["index"]) for row in found] == [
            (m, n) for m in ("strict", "open") for n in range(250)
        ]
        for row in found[:250]:
            blocked, failed = "7" in row["prompt"], "8" in row["prompt"]
            assert row["outcome"] == ("blocked" if blocked else "failed" if failed else "answered")
            assert row["id"] == str(row["index"])
        assert result.exit_code == 0
        assert [summary.recorded for summary in result.models] == [250, 250]
        assert result.folder.parent == tmp_path / "runs"
        assert result.folder.name.startswith("Проба-")
        names = {"run.db", "run.lock", "config.yaml", "responses.jsonl", "responses.csv"}
        assert {file.name for file in result.folder.iterdir()} == names
        assert [file.name for file in result.exports] == ["responses.jsonl", "responses.csv"]
        assert query(result, "SELECT count(*) FROM attempts WHERE ended_at IS NULL") == [(0,)]

    def test_models_work_side_by_side(self, start: Start, registry: Registry) -> None:
        class Meeting(Model):
            def __init__(self, me: str, other: str) -> None:
                self.me, self.other = me, other

            async def ainvoke(self, prompt: Any) -> dict[str, Any]:
                there.setdefault(self.me, asyncio.Event()).set()
                await asyncio.wait_for(there.setdefault(self.other, asyncio.Event()).wait(), 10)
                return {"content": "met"}

        there: dict[str, asyncio.Event] = {}
        registry.register("meeting", Meeting)

        result = start(
            [
                {"name": "meeting", "label": "x", "params": {"me": "x", "other": "y"}},
                {"name": "meeting", "label": "y", "params": {"me": "y", "other": "x"}},
            ]
        )

        assert {row["content"] for row in rows(result)} == {"met"}

    def test_the_system_prompt_goes_in_front_unless_the_prompt_has_its_own(
        self, start: Start, registry: Registry
    ) -> None:
        class Asked(Recording):
            seen: ClassVar[list[Any]] = []

        registry.register("asked", Asked)
        own = [{"role": "system", "content": "mine"}, {"role": "user", "content": "b"}]

        start(["asked"], ("a", own), system_prompt="be good")
        start(["asked"], ("a",))

        assert Asked.seen == [
            [{"role": "system", "content": "be good"}, {"role": "user", "content": "a"}],
            own,
            "a",
        ]

    def test_prompts_reach_the_model_to_the_letter(self, start: Start, registry: Registry) -> None:
        class Letters(Recording):
            seen: ClassVar[list[Any]] = []

        registry.register("letters", Letters)
        prompts = ("\ud800", "a\0b", "ж" * 100_000, [{"role": "user", "content": "\udfff"}])

        result = start(["letters"], prompts)

        assert sorted(map(str, Letters.seen)) == sorted(map(str, prompts))
        assert [row["prompt"] for row in rows(result)] == list(prompts)

    def test_it_works_inside_a_running_event_loop(self, start: Start) -> None:
        async def notebook() -> RunResult:
            return start(["simulated"])

        assert asyncio.run(notebook()).exit_code == 0

    def test_no_format_writes_no_export(self, start: Start, tmp_path: Path) -> None:
        result = start(["simulated"], output={"dir": tmp_path / "o", "formats": []})

        assert result.exports == ()
        assert not (result.folder / "responses.jsonl").exists()

    def test_no_secret_is_written_anywhere(self, start: Start, registry: Registry) -> None:
        class Leaky(Model):
            def __init__(self, api_key: str, extra: dict[str, str]) -> None:
                self.key = api_key

            async def ainvoke(self, prompt: Any) -> dict[str, Any]:
                if prompt == "b":
                    raise RuntimeError(f"the key {self.key} was refused")
                return {"content": f"my key is {self.key}", "note": {self.key}}

        registry.register("leaky", Leaky)
        secret = "very-secret-0123456789"

        result = start([{"name": "leaky", "params": {"api_key": secret, "extra": {"x-token": "s3cr3t-header"}}}])

        content = b"".join(file.read_bytes() for file in result.folder.iterdir())
        assert secret.encode() not in content
        assert b"s3cr3t-header" not in content
        assert rows(result)[0]["content"] == "my key is ***"
        assert "the key *** was refused" in rows(result)[1]["error"]["message"]


class TestProviders:
    def test_their_clients_are_opened_once_and_closed_at_the_end(self, start: Start, registry: Registry) -> None:
        events: list[str] = []

        class Acme(ProviderModel[ModelOptions]):
            def make_client(self) -> str:
                events.append("open")
                return "client"

            async def close_client(self, client: Any) -> None:
                events.append("close")

            async def complete(self, client: Any, messages: Messages) -> Reply:
                events.append("request")
                return Reply({"text": f"to {messages[-1]['content']}"}, headers={"x": "1"})

            def classify(self, reply: Reply) -> ModelResponse:
                return {"content": reply.payload["text"], "response_metadata": {"outcome": "answered"}}

        registry.register("acme", Acme)

        result = start([{"name": "acme", "params": {"model": "acme-1"}}])

        assert events == ["open", "request", "request", "request", "close"]
        assert [row["content"] for row in rows(result)] == ["to a", "to b", "to c"]
        assert json.loads(query(result, "SELECT raw FROM outcomes ORDER BY prompt_id")[0][0]) == {
            "status": 200,
            "headers": {"x": "1"},
            "payload": {"text": "to a"},
        }


class TestCustomModels:
    def test_their_own_judgement_counts(self, start: Start, registry: Registry) -> None:
        class Judge(Model):
            def invoke(self, prompt: Any) -> dict[str, Any]:
                return {"content": f"no {prompt}", "finish_reason": "stop", "model": "judge-1"}

            def is_answer_blocked(self, response: Mapping[str, Any]) -> bool:
                return bool(response["content"] == "no b")

        registry.register("judge", Judge)

        found = rows(start(["judge"]))

        assert [row["outcome"] for row in found] == ["answered", "blocked", "answered"]
        assert found[1]["response"]["response_metadata"]["block"]["rule"] == "is_answer_blocked"
        assert found[0]["response"]["response_metadata"]["model_name"] == "judge-1"
        assert found[0]["response"]["model"] == "judge-1"

    def test_the_configs_id_names_them_where_the_answer_does_not(self, start: Start, registry: Registry) -> None:
        class Named(Recording):
            def __init__(self, model: str = "by-itself") -> None:
                self.model = model

        registry.register("named", Named)

        found = rows(start([{"model": "named", "name": "by-config"}, "named"], ("a",)))

        assert [row["response"]["response_metadata"]["model_name"] for row in found] == ["by-config", "named"]
        assert {row["response"]["response_metadata"]["provider"] for row in found} == {"named"}

    def test_whatever_they_do_is_a_true_outcome(self, start: Start, registry: Registry) -> None:
        class Wild(Model):
            async def ainvoke(self, prompt: Any) -> Any:
                match prompt:
                    case "raises":
                        raise KeyError("x")
                    case "rubbish":
                        return 42
                    case "exits":
                        raise SystemExit(3)
                    case "hangs":
                        await asyncio.sleep(60)
                    case "odd":
                        return {"content": object(), "set": {1}}
                    case "empty":
                        return {"content": ""}
                return {"content": "fine"}

        registry.register("wild", Wild)
        prompts = ("raises", "rubbish", "exits", "hangs", "odd", "empty", "fine")

        result = start(["wild"], prompts, run={"timeout": 0.2, "max_failure_rate": 1})

        found = {row["prompt"]: (row["outcome"], row.get("error", {}).get("kind")) for row in rows(result)}
        assert found == {
            "raises": ("failed", "unexpected"),
            "rubbish": ("failed", "response_format"),
            "exits": ("failed", "unexpected"),
            "hangs": ("failed", "timeout"),
            "odd": ("unknown", None),
            "empty": ("empty", None),
            "fine": ("answered", None),
        }
        assert result.exit_code == 0

    def test_the_limits_of_the_run_are_theirs(self, start: Start, registry: Registry) -> None:
        class Busy(Model):
            running = most = calls = 0

            async def ainvoke(self, prompt: Any) -> dict[str, Any]:
                cls = type(self)
                cls.calls += 1
                cls.running += 1
                cls.most = max(cls.most, cls.running)
                await asyncio.sleep(0.01)
                cls.running -= 1
                if prompt == "again" and cls.calls < 40:
                    raise ModelError("try later", kind="server", retry_after=0.01)
                return {"content": "ok"}

        registry.register("busy", Busy)
        prompts = tuple(f"p{n}" for n in range(30))

        result = start(["busy"], prompts, run={"batch_size": 3})
        failed = start(["busy"], ("again",), run={"max_attempts": 2, "max_failure_rate": 1})

        assert Busy.most == 3
        assert result.exit_code == 0
        assert rows(failed)[0]["attempts"] == 2
        assert query(failed, "SELECT count(*) FROM attempts") == [(2,)]

    def test_a_slot_records_one_outcome_before_it_sends_the_next_request(
        self, start: Start, registry: Registry, tmp_path: Path
    ) -> None:
        class Looking(Model):
            async def ainvoke(self, prompt: Any) -> dict[str, Any]:
                (folder,) = (tmp_path / "runs").iterdir()
                return {"content": query(folder, "SELECT count(*) FROM outcomes")[0][0]}

        registry.register("looking", Looking)

        found = rows(start(["looking"], tuple("abcdefgh"), run={"batch_size": 1}))

        assert [row["content"] for row in found] == list(range(8))


class TestStopping:
    def test_a_dead_key_costs_one_request_and_leaves_everything_pending(self, start: Start) -> None:
        params = {"rules": [{"error": "authentication"}]}

        result = start([{"name": "simulated", "params": params}], tuple(f"p{n}" for n in range(500)))

        assert result.exit_code == 3
        (summary,) = result.models
        assert (summary.recorded, summary.pending) == (0, 500)
        assert summary.stopped is not None
        assert query(result, "SELECT count(*), count(ended_at) FROM attempts") == [(1, 1)]

    def test_one_stopped_model_does_not_stop_the_others(self, start: Start) -> None:
        dead = {"rules": [{"error": "quota"}]}

        result = start([{"name": "simulated", "label": "dead", "params": dead}, "simulated"])

        assert result.exit_code == 3
        assert [summary.recorded for summary in result.models] == [0, 3]
        assert result.models[1].stopped is None

    def test_what_was_answered_before_is_kept_and_the_rest_was_not_sent(self, start: Start) -> None:
        params = {"rules": [{"match": "^p9", "error": "authentication"}], "batch_size": 1}

        result = start([{"name": "simulated", "params": params}], tuple(f"p{n}" for n in range(50)))

        assert result.exit_code == 3
        assert [row["index"] for row in rows(result)] == list(range(9))
        assert query(result, "SELECT max(prompt_id) FROM attempts") == [(9,)]

    def test_an_answer_under_way_closes_the_breaker_and_the_rest_is_sent(
        self, start: Start, registry: Registry
    ) -> None:
        class Flaky(Model):
            async def ainvoke(self, prompt: Any) -> dict[str, Any]:
                if prompt == "slow":
                    await asyncio.sleep(0.2)
                elif prompt == "dead" and not type(self).healed:
                    type(self).healed = True
                    raise ModelError("dead key", kind="authentication")
                return {"content": "ok"}

            healed = False

        registry.register("flaky", Flaky)
        prompts = ("first", "slow", "dead", *(f"p{n}" for n in range(100)))

        result = start(["flaky"], prompts, run={"batch_size": 2})

        assert result.exit_code == 0
        assert result.models[0].counts == {"answered": 103}
        assert query(result, "SELECT count(*) FROM attempts") == [(104,)]

    def test_a_poison_prompt_fails_alone(self, start: Start) -> None:
        result = start(["simulated"], ("a", [{"role": "nobody", "content": "x"}], "c"))

        assert [row["outcome"] for row in rows(result)] == ["answered", "failed", "answered"]
        assert rows(result)[1]["attempts"] == 0
        assert result.exit_code == 0

    @pytest.mark.parametrize(("allowed", "code"), [(0.24, 2), (0.25, 0)])
    def test_more_failures_than_allowed_are_a_degraded_run(self, start: Start, allowed: float, code: int) -> None:
        params = {"rules": [{"match": "d", "error": "bad_request"}]}
        models = [{"name": "simulated", "params": params}, {"name": "simulated", "label": "fine"}]

        assert start(models, ("a", "b", "c", "d"), run={"max_failure_rate": allowed}).exit_code == code


class TestInterrupts:
    def test_what_is_recorded_stays_and_the_last_event_tells(self, start: Start, registry: Registry) -> None:
        class Interrupted(Model):
            async def ainvoke(self, prompt: Any) -> dict[str, Any]:
                if prompt == "c":
                    raise KeyboardInterrupt
                return {"content": "ok"}

        registry.register("interrupted", Interrupted)
        heard: list[RunEvent] = []

        with pytest.raises(KeyboardInterrupt):
            start(["interrupted"], tuple("abcdef"), run={"batch_size": 1}, listener=heard.append)

        last = heard[-1]
        assert isinstance(last, RunFinished)
        assert last.result.exit_code == 130
        assert last.result.exports == ()
        assert (last.result.models[0].recorded, last.result.models[0].in_doubt) == (2, 1)


class TestEvents:
    def test_who_watches_is_told_everything_in_order(self, start: Start) -> None:
        heard: list[RunEvent] = []
        rules = [
            {"match": "b", "error": "server", "times": 1, "retry_after": 0.01},
            {"match": "c", "error": "bad_request"},
        ]

        result = start([{"name": "simulated", "label": "m", "params": {"rules": rules}}], listener=heard.append)

        first, *middle, finished, last = heard
        assert isinstance(first, RunStarted)
        assert (first.folder, first.prompts, first.resumed) == (result.folder, 3, False)
        assert [(plan.label, plan.to_send, plan.in_doubt, plan.counts) for plan in first.models] == [("m", 3, 0, {})]
        assert "hivetrace-core" in first.models[0].how
        retries = [event for event in middle if isinstance(event, Retrying)]
        assert [(event.label, event.index, event.attempt, event.error["kind"]) for event in retries] == [
            ("m", 1, 1, "server")
        ]
        assert retries[0].delay_s >= 0.01
        outcomes = [event for event in middle if isinstance(event, OutcomeRecorded)]
        assert len(retries) + len(outcomes) == len(middle)
        by_index = {event.index: event for event in outcomes}
        assert {n: (e.outcome, e.attempts) for n, e in by_index.items()} == {
            0: ("answered", 1),
            1: ("answered", 2),
            2: ("failed", 1),
        }
        assert by_index[2].error is not None
        assert by_index[0].input_tokens > 0
        assert by_index[0].output_tokens > 0
        assert by_index[0].latency_s is not None
        assert outcomes[-1].counts == {"answered": 2, "failed": 1}
        assert sum(outcomes[0].counts.values()) == 1
        assert finished == ModelFinished(result.models[0])
        assert last == RunFinished(result)

    def test_a_failure_of_any_shape_is_told_without_secrets(self, start: Start, registry: Registry) -> None:
        class Shapeless(Model):
            def __init__(self, api_key: str) -> None:
                self.key = api_key

            async def ainvoke(self, prompt: Any) -> dict[str, Any]:
                error = {"a": "text", "b": ["a", self.key]}.get(prompt, {"kind": "server", "message": self.key})
                usage = {"input_tokens": "many", "output_tokens": -1}
                return {"content": "", "error": error, "response_metadata": {"usage": usage}}

        registry.register("shapeless", Shapeless)
        heard: list[RunEvent] = []

        result = start(
            [{"name": "shapeless", "params": {"api_key": "a-key-of-some-length"}}],
            run={"max_failure_rate": 1},
            listener=heard.append,
        )

        told = {event.index: event for event in heard if isinstance(event, OutcomeRecorded)}
        assert [told[n].error for n in range(3)] == [
            {"kind": "unexpected", "message": "text", "retryable": False},
            {"kind": "unexpected", "message": "['a', '***']", "retryable": False},
            {"kind": "server", "message": "***"},
        ]
        assert {(event.input_tokens, event.output_tokens) for event in told.values()} == {(0, 0)}
        assert query(result, "SELECT error_kind FROM outcomes ORDER BY prompt_id") == [
            ("unexpected",),
            ("unexpected",),
            ("server",),
        ]

    def test_who_watches_badly_changes_nothing(self, start: Start, caplog: pytest.LogCaptureFixture) -> None:
        def broken(event: RunEvent) -> None:
            raise RuntimeError("my progress bar broke")

        assert start(["simulated"], listener=broken).exit_code == 0
        assert "my progress bar broke" in caplog.text

    def test_observers_of_the_config_see_every_request(self, start: Start, tmp_path: Path) -> None:
        module = tmp_path / "watching.py"
        module.write_text(
            "from pathlib import Path\n"
            "from hivetrace_core import Model, hookimpl, register_model\n"
            "class Mine(Model):\n"
            "    async def ainvoke(self, prompt):\n"
            "        return {'content': 'ok'}\n"
            "register_model('mine', Mine)\n"
            "@hookimpl\n"
            "def hivetrace_request_finished(event):\n"
            f"    with Path({str(tmp_path / 'seen')!r}).open('a') as file:\n"
            "        file.write(f'{event.provider} {event.outcome}\\n')\n"
        )

        start(["simulated", "mine"], ("a",), plugins={"modules": [module]}, observers=["watching"])

        assert sorted((tmp_path / "seen").read_text().splitlines()) == ["mine answered", "simulated answered"]


class TestBadInput:
    @pytest.mark.parametrize(
        ("prompts", "message"),
        [
            ({"file": "missing.csv"}, "There is no prompts file"),
            ({"file": "p.csv", "column": "other"}, "has no column 'other'"),
            ({"file": "ragged.csv"}, "the row has 3 cells"),
        ],
    )
    def test_bad_prompts_leave_no_folder(
        self, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prompts: Any, message: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("p.csv").write_text("prompt\na\n")
        Path("ragged.csv").write_text("prompt,x\n" + "a,1\n" * 500 + "a,b,c\n")

        with pytest.raises(ConfigError, match=message):
            start(["simulated"], prompts)

        assert list((tmp_path / "runs").glob("*")) == []

    def test_a_model_is_not_built_for_prompts_that_do_not_exist(self, start: Start, registry: Registry) -> None:
        class Heavy(Recording):
            def __init__(self) -> None:
                raise AssertionError("built too early")

        registry.register("heavy", Heavy)

        with pytest.raises(ConfigError, match="no prompts file"):
            start(["heavy"], {"file": "missing.csv"})

    def test_a_model_that_cannot_be_built_leaves_no_folder(
        self, start: Start, registry: Registry, tmp_path: Path
    ) -> None:
        class Broken(Recording):
            def __init__(self) -> None:
                raise ValueError("no gpu")

        registry.register("broken", Broken)

        with pytest.raises(ConfigError, match="no gpu"):
            start(["simulated", "broken"])
        assert not (tmp_path / "runs").exists()

    def test_an_unknown_model(self, start: Start) -> None:
        with pytest.raises((UnknownModelError, ConfigError), match="simulatd"):
            start(["simulatd"])

    def test_a_folder_that_takes_no_runs(self, start: Start, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")

        with pytest.raises(RunError, match=r"cannot be made in .*file"):
            start(["simulated"], output={"dir": tmp_path / "file"})

    def test_a_journal_that_takes_nothing_any_more_ends_the_run(
        self, start: Start, registry: Registry, tmp_path: Path
    ) -> None:
        class Sabotage(Model):
            async def ainvoke(self, prompt: Any) -> dict[str, Any]:
                if prompt == "p3":
                    (folder,) = (tmp_path / "runs").iterdir()
                    query(
                        folder, "CREATE TRIGGER full BEFORE INSERT ON attempts BEGIN SELECT RAISE(ABORT, 'full'); END"
                    )
                return {"content": "ok"}

        registry.register("sabotage", Sabotage)

        with pytest.raises(RunError, match=r"\(full\)\. Outcomes recorded before it are safe: \d\. .*hivetrace resume"):
            start(["sabotage", "simulated"], tuple(f"p{n}" for n in range(50)), run={"batch_size": 1})
