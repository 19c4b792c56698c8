"""Everything that a server, a network or an account can do wrong, and what becomes of each prompt."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hivetrace_openai import OpenAIModel
from hivetrace_openai.dialect import OpenAIDialect, OpenRouterDialect

from hivetrace_core import ModelError, ModelResponse, run
from hivetrace_core.mockserver import MockServer, expected

DIALECTS = [OpenAIDialect(), OpenRouterDialect()]
Script = Mapping[str, Any]


def serve(*rules: Script, **script: Any) -> MockServer:
    return MockServer({"text": "echo {prompt}", **script, "rules": list(rules)}, dialects=DIALECTS)


def model_at(server: MockServer, **options: Any) -> OpenAIModel:
    given: dict[str, Any] = {"base_url": server.url("openai"), "api_key": "sk-test-12345", "timeout": 10, **options}
    return OpenAIModel("m-1", **given)


def error_of(response: Any) -> str | None:
    return response["error"]["kind"] if "error" in response else None


def attempts_of(responses: list[ModelResponse]) -> list[int]:
    return [response["response_metadata"]["attempts"] for response in responses]


def numbered(count: int) -> list[str]:
    return [f"prompt {number}" for number in range(count)]


# One request that goes wrong


@pytest.mark.parametrize(
    ("rule", "options", "kind"),
    [
        ({"fault": "reset"}, {}, "connection"),
        ({"fault": "cut"}, {}, "connection"),
        ({"fault": "hang"}, {"timeout": 1.0}, "timeout"),
        ({"fault": "trickle", "pace": 0.05}, {"timeout": 1.0}, "timeout"),
        ({"fault": "slow_headers", "pace": 0.05}, {"timeout": 1.0}, "timeout"),
        ({"error": "server"}, {}, "server"),
        ({"error": "rate_limit"}, {}, "rate_limit"),
    ],
)
def test_a_fault_is_one_counted_attempt_and_the_next_one_is_answered(
    rule: Script, options: Mapping[str, Any], kind: str
) -> None:
    waits: list[Any] = []
    with serve({**rule, "times": 1}) as server, model_at(server, max_attempts=3, **options) as model:
        observe(model, waits)
        response = model.invoke("Hello")

        assert response["content"] == "echo Hello"
        assert response["response_metadata"]["attempts"] == len(server.log) == 2
        assert [wait.error["kind"] for wait in waits] == [kind]


@pytest.mark.parametrize("fault", ["garbage", "html", "empty", "half"])
def test_an_answer_that_is_no_answer_is_paid_for_once(fault: str) -> None:
    with serve({"fault": fault}) as server, model_at(server, max_attempts=3) as model:
        with pytest.raises(ModelError, match="base_url") as caught:
            model.invoke("Hello")

        assert (caught.value.kind, caught.value.attempts, len(server.log)) == ("response_format", 1, 1)


@pytest.mark.parametrize("rule", [{"error": "server"}, {"fault": "reset"}, {"fault": "cut"}])
def test_a_server_that_never_recovers_gets_exactly_as_many_requests_as_allowed(rule: Script) -> None:
    with serve(rule) as server, model_at(server, max_attempts=3, deadline=60) as model:
        with pytest.raises(ModelError) as caught:
            model.invoke("Hello")

        assert caught.value.attempts == len(server.log) == 3


def observe(model: OpenAIModel, waits: list[Any]) -> None:
    from hivetrace_core.engine.events import Observers

    model.observers = Observers(retry=(waits.append,))


@pytest.mark.parametrize(
    ("said", "waited"),
    [
        ({"retry_after": 0.2, "retry_after_form": "seconds"}, (0.2, 0.25)),
        ({"retry_after": 0.2, "retry_after_form": "ms"}, (0.2, 0.25)),
        ({"retry_after": 1.0, "retry_after_form": "date"}, (0.9, 2.2)),
        # What cannot be meant is passed over: the wait is the ordinary one before a second attempt.
        ({"headers": {"retry-after": "-30"}}, (0.0, 0.5)),
        ({"headers": {"retry-after": "soon"}}, (0.0, 0.5)),
        ({"headers": {"retry-after": "1764000000"}}, (0.0, 0.5)),
        ({"headers": {"retry-after-ms": "NaN"}}, (0.0, 0.5)),
        ({"headers": {"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}}, (0.0, 0.5)),
        ({"headers": {"retry-after": "9" * 400}}, (0.0, 0.5)),
    ],
)
def test_a_wait_is_honoured_in_every_form_and_ignored_where_it_is_absurd(
    said: Script, waited: tuple[float, float]
) -> None:
    waits: list[Any] = []
    with serve({"times": 1, "error": "rate_limit", **said}) as server, model_at(server) as model:
        observe(model, waits)
        began = time.monotonic()
        response = model.invoke("Hello")
        took = time.monotonic() - began

    assert response["content"] == "echo Hello"
    (wait,) = waits
    least, most = waited
    assert least <= wait.delay_s <= most
    assert took >= wait.delay_s


def test_a_wait_beyond_the_deadline_is_not_waited_for() -> None:
    with serve({"error": "rate_limit", "retry_after": 3600}) as server, model_at(server, deadline=30) as model:
        began = time.monotonic()
        with pytest.raises(ModelError) as caught:
            model.invoke("Hello")

        assert (caught.value.kind, caught.value.retry_after, len(server.log)) == ("rate_limit", 3600, 1)
        assert time.monotonic() - began < 10


def test_a_redirect_is_not_followed_and_says_where_to() -> None:
    with serve({"fault": "redirect"}) as server, model_at(server) as model:
        with pytest.raises(ModelError, match="redirects are not followed"):
            model.invoke("Hello")

        assert [record.path for record in server.log] == ["/openai/v1/chat/completions"]


def test_a_server_that_closes_idle_connections_costs_nothing() -> None:
    with serve({"fault": "close_idle"}) as server, model_at(server, batch_size=4) as model:
        for _ in range(5):
            assert attempts_of(list(model.batch(numbered(4)))) == [1] * 4
            time.sleep(0.05)

        assert len(server.log) == 20


def test_another_api_version_is_an_error_of_the_endpoint_and_stops_the_rest() -> None:
    with serve({"variant": "azure.api_version"}) as server:
        endpoint = server.url("openai").removesuffix("/v1")
        with OpenAIModel("m-1", azure_endpoint=endpoint, api_version="1999-01-01", api_key="k", batch_size=1) as model:
            responses = model.batch(numbered(10))

        assert [error_of(response) for response in responses] == ["not_found"] + ["not_sent"] * 9
        assert len(server.log) == 1
        assert "api-version=1999-01-01" in server.log[0].path


# A server that comes and goes


def test_a_server_that_dies_half_way_and_comes_back_has_answered_everything_in_the_end() -> None:
    prompts = numbered(300)
    server = MockServer({"text": "echo {prompt}", "delay": 0.01}, dialects=DIALECTS)
    server.start()

    def die_and_come_back() -> None:
        while len(server.log) < 100:
            time.sleep(0.005)
        server.stop()
        time.sleep(0.3)
        server.start()

    outage = threading.Thread(target=die_and_come_back)
    with model_at(server, batch_size=16, max_attempts=10) as model:
        outage.start()
        responses = model.batch(prompts)
    outage.join()
    server.stop()

    assert [response["content"] for response in responses] == [f"echo {prompt}" for prompt in prompts]
    assert max(attempts_of(list(responses))) > 1


# Accounts, endpoints and single prompts, in runs


@pytest.fixture
def run_at(tmp_path: Path) -> Callable[..., Any]:
    def start(server: MockServer, prompts: list[str], **params: Any) -> Any:
        params = {"base_url": server.url("openai"), "api_key": "sk-test-12345", "timeout": 10, **params}
        return run(
            {
                "models": [{"name": "openai/m-1", "params": params}],
                "prompts": prompts,
                "output": {"dir": str(tmp_path / "runs"), "formats": ["jsonl"]},
            }
        )

    return start


@pytest.mark.parametrize(
    ("rule", "options", "says"),
    [
        ({}, {"api_key": "sk-of-somebody-else"}, "key"),
        ({"error": "quota"}, {}, "balance"),
        ({"error": "not_found"}, {}, "model"),
        ({"error": "permission"}, {}, "region"),
    ],
)
def test_what_dooms_every_prompt_costs_one_request_and_the_rest_stays_pending(
    rule: Script, options: Mapping[str, Any], says: str, run_at: Callable[..., Any]
) -> None:
    with serve(*([rule] if rule else []), key="sk-test-12345") as server:
        done = run_at(server, numbered(50), batch_size=16, **options)
        (summary,) = done.models

        assert (done.exit_code, len(server.log)) == (3, 1)
        assert (summary.pending, summary.failed) == (50, 0)
        assert summary.stopped is not None
        assert says in summary.stopped


def test_quota_that_runs_out_in_the_middle_keeps_what_was_answered(run_at: Callable[..., Any]) -> None:
    spent = [{"nth": number, "error": "quota"} for number in range(31, 200)]
    with serve(*spent) as server:
        done = run_at(server, numbered(100), batch_size=4)
        (summary,) = done.models

    assert done.exit_code == 3
    assert summary.counts["answered"] == 30
    assert summary.pending >= 66


@pytest.mark.parametrize(
    ("rule", "kind", "attempts"),
    [
        ({"error": "context_length"}, "context_length", 1),
        ({"error": "bad_request"}, "bad_request", 1),
        # Poison: whatever is sent together with it must not suffer.
        ({"fault": "reset"}, "connection", 3),
        ({"error": "server"}, "server", 3),
        ({"fault": "hang"}, "timeout", 3),
    ],
)
def test_one_bad_prompt_among_good_ones_fails_alone(
    rule: Script, kind: str, attempts: int, run_at: Callable[..., Any]
) -> None:
    prompts = [*numbered(20), "the bad one", *numbered(20)]
    with serve({"match": "^the bad one$", **rule}) as server:
        done = run_at(server, prompts, batch_size=8, max_attempts=3, timeout=1)
        (summary,) = done.models
        sent = Counter(record.prompt for record in server.log)

    assert done.exit_code == 0
    assert (summary.counts["answered"], summary.counts["failed"], summary.pending) == (40, 1, 0)
    assert sent["the bad one"] == attempts
    assert sum(sent.values()) == 40 + attempts
    rows = (done.folder / "responses.jsonl").read_text("ascii").splitlines()
    assert f'"kind": "{kind}"' in rows[20]


# Loops and threads


def test_a_notebook_may_use_blocking_calls_in_its_running_loop() -> None:
    async def cell(model: OpenAIModel) -> list[str]:
        blocking = [model.invoke("one")["content"], *(item["content"] for item in model.batch(["two", "three"]))]
        return [*blocking, (await model.ainvoke("four"))["content"]]

    with serve() as server, model_at(server) as model:
        assert asyncio.run(cell(model)) == ["echo one", "echo two", "echo three", "echo four"]


def test_one_model_serves_loops_and_threads_at_once_within_one_cap() -> None:
    answers: dict[int, list[str]] = {}

    with serve(delay=0.01) as server, model_at(server, max_concurrency=6) as model:

        async def in_a_loop(number: int) -> list[str]:
            return [item["content"] async for item in model.stream_abatch([f"{number}-{i}" for i in range(40)])]

        def in_a_thread(number: int) -> None:
            if number % 2:
                answers[number] = asyncio.run(in_a_loop(number))
            else:
                answers[number] = [item["content"] for item in model.batch([f"{number}-{i}" for i in range(40)])]

        threads = [threading.Thread(target=in_a_thread, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert answers == {number: [f"echo {number}-{i}" for i in range(40)] for number in range(6)}
        assert max(record.in_flight for record in server.log) <= 6


def test_with_a_third_of_all_first_tries_faulty_every_answer_still_lands_on_its_own_prompt() -> None:
    prompts = numbered(3000)
    rules: list[Script] = [
        {"share": 0.1, "times": 1, "fault": "reset"},
        {"share": 0.1, "times": 1, "error": "rate_limit", "retry_after": 0.01},
        {"share": 0.1, "times": 1, "error": "server"},
        {"share": 0.1, "times": 1, "fault": "cut"},
    ]
    with serve(*rules, delay={"median": 0.002, "sigma": 1.0}) as server:
        with model_at(server, batch_size=64, max_attempts=6) as model:
            responses = model.batch(prompts)
        foretold = expected(server.script, prompts, DIALECTS[0], model="m-1", max_attempts=6)

        assert [response["content"] for response in responses] == [f"echo {prompt}" for prompt in prompts]
        assert [response["response_metadata"]["index"] for response in responses] == list(range(3000))
        assert attempts_of(list(responses)) == [one.attempts for one in foretold]
        assert len(server.log) == sum(one.attempts for one in foretold) > 3600
