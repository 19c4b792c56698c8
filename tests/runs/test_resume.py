"""`resume`: what is missing is sent, nothing else, and only by a config that means the same."""

import json
import shutil
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
    ProviderModel,
    RunError,
    register_model,
    resume,
    run,
)
from hivetrace_core.registry import Registry
from hivetrace_core.runs.events import ModelFinished, OutcomeRecorded, RunEvent, RunFinished, RunResult, RunStarted
from hivetrace_core.runs.journal import Journal

Begin = Callable[..., RunResult]


class Patient(Model):
    """Fails as the test wants, and counts."""

    calls: ClassVar[list[str]] = []
    fail: ClassVar[Mapping[str, str]] = {}

    def __init__(self, api_key: str = "", **_: Any) -> None:
        self.key = api_key

    async def ainvoke(self, prompt: Any) -> dict[str, Any]:
        type(self).calls.append(prompt)
        kind = self.fail.get(prompt)
        if kind is not None:
            raise ModelError(f"scripted {kind}", kind=kind)  # type: ignore[arg-type]
        return {"content": f"to {prompt}"}


class MappedOptions(ModelOptions):
    model: str = "m"
    chart: Path


class Mapped(ProviderModel[MappedOptions]):
    """Takes a path."""

    charts: ClassVar[list[str]] = []

    async def complete(self, client: Any, messages: Messages) -> Mapping[str, Any]:
        type(self).charts.append(str(self.options.chart))
        return await Patient().ainvoke(messages[-1]["content"])


@pytest.fixture
def registry() -> Registry:
    Patient.calls, Patient.fail, Mapped.charts = [], {}, []
    registry = Registry()
    registry.register("patient", Patient)
    return registry


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "conf" / "run.yaml"
    path.parent.mkdir()
    path.write_text(
        "models:\n- {name: patient, params: {api_key: first-secret-key}}\nprompts: [a, b, c, d]\n"
        f"output: {{dir: {tmp_path / 'runs'}}}\nrun: {{batch_size: 1}}\n"
    )
    return path


@pytest.fixture
def stopped(config: Path, registry: Registry) -> RunResult:
    """A run in which `a` has its outcome, `b` stopped everything, and nothing else was sent."""
    Patient.fail = {"b": "authentication"}
    result = run(config, registry=registry)
    Patient.fail, Patient.calls = {}, []
    return result


def rows(result: RunResult) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (result.folder / "responses.jsonl").read_text().splitlines()]


def execute(folder: Path, sql: str) -> list[Any]:
    database = sqlite3.connect(folder / "run.db", isolation_level=None)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


class TestWhatIsSent:
    def test_only_what_is_missing(self, stopped: RunResult, registry: Registry) -> None:
        assert stopped.exit_code == 3

        result = resume(stopped.folder, registry=registry)

        assert Patient.calls == ["b", "c", "d"]
        assert result.exit_code == 0
        assert result.folder == stopped.folder
        assert [row["content"] for row in rows(result)] == ["to a", "to b", "to c", "to d"]
        assert [row["attempts"] for row in rows(result)] == [1, 2, 1, 1]
        assert not any(row["in_doubt"] for row in rows(result))

    def test_nothing_where_nothing_is_missing(self, stopped: RunResult, registry: Registry) -> None:
        resume(stopped.folder, registry=registry)
        Patient.calls = []
        heard: list[RunEvent] = []

        result = resume(stopped.folder, registry=registry, listener=heard.append)

        assert Patient.calls == []
        assert result.exit_code == 0
        assert result.models[0].counts == {"answered": 4}
        assert isinstance(heard[0], RunStarted)
        assert (heard[0].resumed, heard[0].models[0].to_send) == (True, 0)
        assert heard[0].models[0].counts == {"answered": 4}
        assert heard[1:] == [ModelFinished(result.models[0]), RunFinished(result)]

    def test_failed_prompts_are_sent_again_only_when_asked(self, config: Path, registry: Registry) -> None:
        Patient.fail = {"b": "bad_request", "d": "server"}
        folder = run(config, registry=registry).folder
        Patient.calls, Patient.fail = [], {"d": "server"}

        assert resume(folder, registry=registry).models[0].failed == 2
        assert Patient.calls == []
        heard: list[RunEvent] = []
        result = resume(folder, registry=registry, retry_failed=True, listener=heard.append)

        assert Patient.calls == ["b", "d"]
        last = [event for event in heard if isinstance(event, OutcomeRecorded)][-1]
        assert last.counts == {"answered": 3, "failed": 1}
        assert [row["outcome"] for row in rows(result)] == ["answered", "answered", "answered", "failed"]
        assert [row["attempts"] for row in rows(result)] == [1, 2, 1, 2]
        assert execute(folder, "SELECT prompt_id, error_kind FROM history") == [(1, "bad_request"), (3, "server")]

    def test_prompts_in_doubt_are_sent_again_and_marked(self, stopped: RunResult, registry: Registry) -> None:
        execute(stopped.folder, "INSERT INTO attempts VALUES (1, 2, 1, 0, NULL, NULL)")
        heard: list[RunEvent] = []

        result = resume(stopped.folder, registry=registry, listener=heard.append)

        assert Patient.calls == ["b", "c", "d"]
        assert [row["in_doubt"] for row in rows(result)] == [False, False, True, False]
        assert rows(result)[2]["attempts"] == 2
        assert result.models[0].resent_in_doubt == 1
        assert isinstance(heard[0], RunStarted)
        assert heard[0].models[0].in_doubt == 1
        assert [event.in_doubt for event in heard if isinstance(event, OutcomeRecorded)] == [False, True, False]

    def test_prompts_in_doubt_can_be_left(self, stopped: RunResult, registry: Registry) -> None:
        execute(stopped.folder, "INSERT INTO attempts VALUES (1, 2, 1, 0, NULL, NULL)")

        result = resume(stopped.folder, registry=registry, in_doubt="skip")

        assert Patient.calls == ["b", "d"]
        (summary,) = result.models
        assert (summary.pending, summary.in_doubt, result.exit_code) == (1, 1, 0)

    def test_prompts_are_those_of_the_run_whatever_became_of_the_file(
        self, config: Path, registry: Registry, tmp_path: Path
    ) -> None:
        prompts = tmp_path / "conf" / "p.txt"
        prompts.write_text("a\nb\nc\n")
        config.write_text(config.read_text().replace("prompts: [a, b, c, d]", "prompts: {file: p.txt}"))
        Patient.fail = {"b": "authentication"}
        folder = run(config, registry=registry).folder
        prompts.unlink()
        Patient.fail = {}

        assert [row["prompt"] for row in rows(resume(folder, registry=registry))] == ["a", "b", "c"]


class TestConfigs:
    @pytest.mark.parametrize(
        ("before", "after", "named"),
        [
            ("prompts: [a", "system_prompt: be good\nprompts: [a", 'system_prompt was null, is now "be good"'),
            ("[a, b, c, d]", "[a, b, c, e]", "prompts.list was"),
            ("{name: patient,", "{name: patient, label: x,", "models[0].label is new"),
            ("params: {", "params: {temperature: 1, ", "models[0].params.temperature is new"),
        ],
    )
    def test_a_difference_is_named(
        self, stopped: RunResult, registry: Registry, config: Path, before: str, after: str, named: str
    ) -> None:
        config.write_text(config.read_text().replace(before, after))

        with pytest.raises(ConfigError) as caught:
            resume(stopped.folder, registry=registry)

        assert named in str(caught.value)
        assert "Only limits may change" in str(caught.value)
        assert Patient.calls == []

    def test_many_differences_are_cut_short(self, stopped: RunResult, registry: Registry, config: Path) -> None:
        def resumed_with(count: int) -> str:
            params = ", ".join(f"p{n}: 1" for n in range(count))
            changed = config.with_name("changed.yaml")
            changed.write_text(f"name: run\n{config.read_text().replace('params: {', f'params: {{{params}, ')}")
            with pytest.raises(ConfigError) as caught:
                resume(stopped.folder, registry=registry, config=changed)
            return str(caught.value)

        assert "models[0].params.p9 is new. Only" in resumed_with(10)
        assert "models[0].params.p9 is new; and 2 more. Only" in resumed_with(12)

    def test_limits_and_keys_may_change(self, stopped: RunResult, registry: Registry, config: Path) -> None:
        text = config.read_text().replace("first-secret-key", "second-secret-key").replace("batch_size: 1", "rpm: 6000")
        config.write_text(text)

        assert resume(stopped.folder, registry=registry).exit_code == 0

    def test_a_variable_that_has_changed_is_a_difference_too(
        self, registry: Registry, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config.write_text(config.read_text().replace("params: {", "params: {where: '${WHERE}', "))
        monkeypatch.setenv("WHERE", "https://one.example")
        Patient.fail = {"b": "authentication"}
        folder = run(config, registry=registry).folder
        Patient.fail = {}
        Patient.calls.clear()

        monkeypatch.setenv("WHERE", "https://two.example")
        with pytest.raises(ConfigError) as caught:
            resume(folder, registry=registry)
        assert 'where was "https://one.example", is now "https://two.example"' in str(caught.value)
        assert Patient.calls == []

        monkeypatch.setenv("WHERE", "https://one.example")
        assert resume(folder, registry=registry).exit_code == 0

    def test_another_config_can_be_given(self, stopped: RunResult, registry: Registry, config: Path) -> None:
        moved = config.rename(config.with_name("moved.yaml"))
        moved.write_text("name: run\n" + moved.read_text())

        assert resume(str(stopped.folder), registry=registry, config=moved).exit_code == 0

    def test_a_config_that_is_gone_with_its_keys_is_asked_for(
        self, stopped: RunResult, registry: Registry, config: Path
    ) -> None:
        config.unlink()

        with pytest.raises(ConfigError, match=r"run.yaml is gone.*models\[0\] are masked.*--config FILE"):
            resume(stopped.folder, registry=registry)

    def test_the_runs_own_copy_serves_where_keys_come_from_the_environment(
        self, registry: Registry, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATIENT_KEY", "a-secret-of-the-environment")
        config.write_text(config.read_text().replace("first-secret-key", "'${PATIENT_KEY}'"))
        Patient.fail = {"b": "authentication"}
        folder = run(config, registry=registry).folder
        shutil.rmtree(config.parent)
        Patient.fail = {}

        assert resume(folder, registry=registry).exit_code == 0
        assert all(b"a-secret-of-the-env" not in file.read_bytes() for file in folder.iterdir())

    @pytest.mark.parametrize("from_file", [True, False])
    def test_a_relative_path_among_params_means_the_same_in_the_copy(
        self, registry: Registry, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_file: bool
    ) -> None:
        registry.register("mapped", Mapped)
        monkeypatch.chdir(tmp_path)
        model = "{name: mapped, params: {chart: here.map}}"
        config.write_text(f"models: [{model}]\nprompts: [a, b]\noutput: {{dir: {tmp_path}}}\nrun: {{batch_size: 1}}\n")
        given = {
            "models": [{"name": "mapped", "params": {"chart": "here.map"}}],
            "prompts": ["a", "b"],
            "output": {"dir": tmp_path},
            "run": {"batch_size": 1},
        }
        Patient.fail = {"b": "authentication"}
        folder = run(config if from_file else given, registry=registry).folder
        Patient.fail = {}
        config.unlink()
        monkeypatch.chdir("/")

        assert resume(folder, registry=registry).exit_code == 0
        assert set(Mapped.charts) == {str((config.parent if from_file else tmp_path) / "here.map")}

    def test_a_run_from_python_resumes_from_its_copy_or_from_a_mapping(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        secret = {"name": "patient", "params": {"api_key": "first-secret-key"}}
        for model in ({"name": "patient"}, secret):
            config = {"models": [model], "prompts": ["a", "b"], "output": {"dir": tmp_path}, "run": {"batch_size": 1}}
            Patient.fail = {"b": "authentication"}
            folder = run(config, registry=registry).folder
            Patient.fail = {}
            if model is secret:
                with pytest.raises(ConfigError, match=r"had no config file.*masked"):
                    resume(folder, registry=registry)
                assert resume(folder, registry=registry, config=config).exit_code == 0
            else:
                assert resume(folder, registry=registry).exit_code == 0

    def test_a_name_that_means_another_model_now_is_refused(self, stopped: RunResult, registry: Registry) -> None:
        execute(stopped.folder, "UPDATE models SET qualified = 'acme:patient'")

        with pytest.raises(ConfigError, match=r"'patient' meant acme:patient .* and means registered:patient"):
            resume(stopped.folder, registry=registry)

    def test_a_label_that_the_run_does_not_have(self, stopped: RunResult, registry: Registry) -> None:
        execute(stopped.folder, "UPDATE models SET label = 'other'")

        with pytest.raises(ConfigError, match="'patient' meant one of other when the run began"):
            resume(stopped.folder, registry=registry)

    def test_a_word_for_in_doubt_that_does_not_exist(self, stopped: RunResult) -> None:
        with pytest.raises(ConfigError, match="in_doubt is 'resend' or 'skip', not 'maybe'"):
            resume(stopped.folder, in_doubt="maybe")  # type: ignore[arg-type]


class TestFolders:
    def test_no_run(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="There is no run in"):
            resume(tmp_path)

    def test_a_run_that_somebody_writes_to(self, stopped: RunResult, registry: Registry) -> None:
        journal = Journal.open(stopped.folder / "run.db")

        with pytest.raises(RunError, match="being written by another process"):
            resume(stopped.folder, registry=registry)

        journal.close()
        assert Patient.calls == []

    def test_a_model_that_cannot_be_built_leaves_the_run_free(self, stopped: RunResult) -> None:
        class Broken(Patient):
            def __init__(self, api_key: str = "") -> None:
                raise ValueError("no gpu")

        registry = Registry()
        registry.register("patient", Broken)

        with pytest.raises(ConfigError, match="no gpu"):
            resume(stopped.folder, registry=registry)
        Journal.open(stopped.folder / "run.db").close()


def test_a_name_registered_in_the_process_is_found(tmp_path: Path) -> None:
    class Own(Model):
        def invoke(self, prompt: Any) -> dict[str, Any]:
            return {"content": "mine"}

    register_model("own-model-of-test-resume", Own)

    result = run({"models": [{"name": "own-model-of-test-resume"}], "prompts": ["a"], "output": {"dir": tmp_path}})

    assert rows(resume(result.folder))[0]["content"] == "mine"
