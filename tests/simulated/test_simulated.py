"""The embedded target: what it is told happens, to the same prompts every time."""

import asyncio
import contextlib
import json
import math
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from hivetrace_core import ConfigError, Model, ModelError, Reply
from hivetrace_core.errors import ERROR_KINDS, RETRYABLE_KINDS
from hivetrace_core.responses import OUTCOMES
from hivetrace_core.simulated import model as module
from hivetrace_core.simulated.model import SimulatedModel
from hivetrace_core.simulated.options import SimulatedOptions
from hivetrace_core.simulated.outcomes import classify

PROMPTS = [f"prompt {number}" for number in range(400)]


def simulated(**options: Any) -> SimulatedModel:
    return SimulatedModel(**options)


def outcome_of(response: Any) -> str:
    return str(response["response_metadata"]["outcome"])


def ask(model: SimulatedModel, prompt: str = "a") -> Reply:
    return asyncio.run(model.complete(None, [{"role": "user", "content": prompt}]))


def problem(**options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        simulated(**options)
    return str(caught.value)


# Outcomes


def test_without_rules_it_answers_and_says_what_it_is() -> None:
    model = simulated()

    response = model.invoke("Hello")

    assert isinstance(model, Model)
    assert response["content"] == "This is a simulated answer; no model was called. The prompt had 5 characters."
    metadata = response["response_metadata"]
    assert metadata["provider"] == "simulated"
    assert metadata["model_name"] == "simulated"
    assert (metadata["finish_reason"], metadata["native_finish_reason"]) == ("stop", "stop")
    assert metadata["outcome"] == "answered"
    usage = metadata["usage"]
    assert usage["output_tokens"] == 14
    assert usage["total_tokens"] == usage["input_tokens"] + 14
    assert usage["input_tokens"] > 0
    assert json.loads(json.dumps(response)) == response


@pytest.mark.parametrize(
    ("outcome", "finish", "native"),
    [
        ("answered", "stop", "stop"),
        ("truncated", "length", "length"),
        ("refused", "stop", "refusal"),
        ("blocked", "content_filter", "filter"),
        ("tool_calls", "tool_calls", "tool_calls"),
        ("empty", "stop", "stop"),
        ("unknown", "unknown", "unheard_of"),
    ],
)
def test_every_outcome_can_be_had(outcome: str, finish: str, native: str) -> None:
    model = simulated(rules=[{"outcome": outcome}])

    for response in (model.invoke("a"), model.batch(["a"])[0]):
        metadata = response["response_metadata"]
        assert metadata["outcome"] == outcome
        assert (metadata["finish_reason"], metadata["native_finish_reason"]) == (finish, native)
        assert bool(response["content"]) is (outcome not in ("blocked", "tool_calls", "empty"))
        assert ("block" in metadata) is (outcome in ("blocked", "refused"))
        assert ("tool_calls" in metadata) is (outcome == "tool_calls")
        assert model.is_answer_blocked(response) is (outcome == "blocked")


def test_every_outcome_of_the_vocabulary_is_accepted() -> None:
    for outcome in OUTCOMES:
        assert SimulatedOptions.parse({"rules": [{"outcome": outcome}]}, where="x").rules[0].outcome == outcome


def test_a_block_says_where_it_happened_and_what_the_filter_named() -> None:
    rule = {
        "outcome": "blocked",
        "stage": "response",
        "categories": ["violence", {"name": "self_harm", "severity": "high"}],
    }

    block = simulated(rules=[rule]).invoke("a")["response_metadata"]["block"]

    assert block["stage"] == "response"
    assert block["rule"] == "simulated.filter"
    assert block["categories"] == [{"name": "violence", "severity": None}, {"name": "self_harm", "severity": "high"}]
    assert block["evidence"]["path"] == "filter"
    assert block["evidence"]["value"]["stage"] == "response"


def test_blocks_happen_at_the_prompt_unless_the_rule_says_otherwise() -> None:
    block = simulated(rules=[{"outcome": "blocked"}]).invoke("a")["response_metadata"]["block"]

    assert (block["stage"], block["categories"]) == ("prompt", [])


@pytest.mark.parametrize("kind", sorted(ERROR_KINDS - {"not_sent"}))
def test_every_kind_of_error_can_be_had(kind: str) -> None:
    model = simulated(rules=[{"error": kind}], max_attempts=1)

    with pytest.raises(ModelError) as caught:
        model.invoke("a")

    error = caught.value
    assert (error.kind, error.code, error.attempts) == (kind, kind, 1)
    assert error.retryable is (kind in RETRYABLE_KINDS)
    assert error.message == f"Simulated {kind.replace('_', ' ')} error"
    assert (error.provider, error.model) == ("simulated", "simulated")
    assert error.status is not None
    assert 400 <= error.status <= 599
    response = model.batch(["a"])[0]
    assert (outcome_of(response), response["error"]["kind"]) == ("failed", kind)


def test_a_failure_without_a_kind_is_the_servers() -> None:
    with pytest.raises(ModelError, match="Out of order") as caught:
        simulated(rules=[{"outcome": "failed", "text": "Out of order"}], max_attempts=1).invoke("a")

    assert (caught.value.kind, caught.value.status) == ("server", 500)


def test_a_text_of_ones_own_may_repeat_the_prompt() -> None:
    model = simulated(rules=[{"text": "{length}: {prompt}!"}])

    assert model.invoke("say {length}")["content"] == "12: say {length}!"
    assert simulated(rules=[{"text": ""}]).invoke("a")["response_metadata"]["outcome"] == "empty"


# Rules


def test_the_first_rule_that_applies_decides() -> None:
    model = simulated(
        rules=[
            {"match": "(?i)bomb", "outcome": "blocked"},
            {"match": "bomb|poem", "text": "a poem"},
            {"match": "^$", "outcome": "empty"},
        ]
    )

    responses = model.batch(["a BOMB", "bomb poem", "a poem", "", "else"])

    assert [outcome_of(response) for response in responses] == ["blocked", "blocked", "answered", "empty", "answered"]
    assert responses[2]["content"] == "a poem"
    assert responses[4]["content"].startswith("This is a simulated answer")


def test_rules_look_at_the_last_user_message_only() -> None:
    model = simulated(rules=[{"match": "bomb", "outcome": "blocked"}])
    earlier: list[dict[str, Any]] = [
        {"role": "system", "content": "never say bomb"},
        {"role": "user", "content": "bomb"},
        {"role": "assistant", "content": "bomb?"},
    ]

    assert outcome_of(model.invoke([*earlier, {"role": "user", "content": "poem"}])) == "answered"
    assert outcome_of(model.invoke(earlier)) == "blocked"
    assert outcome_of(model.invoke([{"role": "system", "content": "bomb"}])) == "blocked"
    parts = [{"type": "text", "text": "a"}, {"type": "image", "url": "u"}, {"type": "text", "text": "bomb"}]
    assert outcome_of(model.invoke([{"role": "user", "content": parts}])) == "blocked"


def test_a_share_of_the_prompts_is_the_same_prompts_every_time() -> None:
    def refused(**options: Any) -> set[str]:
        model = simulated(rules=[{"share": 0.3, "outcome": "refused"}], **options)
        responses = zip(PROMPTS, model.batch(PROMPTS), strict=True)
        return {prompt for prompt, response in responses if outcome_of(response) == "refused"}

    first = refused()

    assert 0.2 < len(first) / len(PROMPTS) < 0.4
    assert refused() == first
    assert refused(batch_size=3, latency=0.0001) == first
    other = refused(seed=1)
    assert other != first
    assert 0.2 < len(other) / len(PROMPTS) < 0.4


def test_shares_of_several_rules_are_independent() -> None:
    rules = [{"share": 0.5, "outcome": "refused"}, {"share": 0.5, "outcome": "blocked"}]

    counts = Counter(map(outcome_of, simulated(rules=rules).batch(PROMPTS)))

    assert 0.4 < counts["refused"] / 400 < 0.6
    assert 0.17 < counts["blocked"] / 400 < 0.33
    assert 0.17 < counts["answered"] / 400 < 0.33


@pytest.mark.parametrize(("share", "outcome"), [(0, "answered"), (1, "refused")])
def test_all_and_none_are_shares_too(share: float, outcome: str) -> None:
    responses = simulated(rules=[{"share": share, "outcome": "refused"}]).batch(PROMPTS)

    assert set(map(outcome_of, responses)) == {outcome}


def test_match_and_share_narrow_a_rule_together() -> None:
    model = simulated(rules=[{"match": "[02468]$", "share": 0.5, "outcome": "refused"}])

    refused = [prompt for prompt in PROMPTS if outcome_of(model.invoke(prompt)) == "refused"]

    assert 60 < len(refused) < 140
    assert all(int(prompt[-1]) % 2 == 0 for prompt in refused)


def test_a_rule_for_the_first_requests_lets_later_ones_pass() -> None:
    model = simulated(rules=[{"times": 2, "error": "server", "retry_after": 0.001}])

    response = model.invoke("a")

    assert (outcome_of(response), response["response_metadata"]["attempts"]) == ("answered", 3)
    assert model.invoke("a")["response_metadata"]["attempts"] == 1
    assert model.invoke("b")["response_metadata"]["attempts"] == 3


def test_rules_for_first_requests_follow_one_another() -> None:
    model = simulated(rules=[{"times": 1, "outcome": "refused"}, {"times": 1, "outcome": "blocked"}])

    assert [outcome_of(model.invoke("a")) for _ in range(3)] == ["refused", "blocked", "answered"]


def test_a_retry_after_of_a_failure_is_carried() -> None:
    with pytest.raises(ModelError) as caught:
        simulated(rules=[{"error": "rate_limit", "retry_after": 7.5}], max_attempts=1).invoke("a")

    assert (caught.value.kind, caught.value.status, caught.value.retry_after) == ("rate_limit", 429, 7.5)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"match": "("}, "match is not a regular expression: missing )"),
        ({"error": "not_sent"}, "error: not_sent is what the engine says of prompts it does not send"),
        ({"error": "server", "outcome": "blocked"}, "error means that the request fails; it cannot also be blocked"),
        ({"retry_after": 1}, "retry_after needs an error, such as error: rate_limit"),
        ({"categories": ["x"]}, "categories describe a block: they need outcome: blocked"),
        ({"stage": "response", "categories": [], "outcome": "refused"}, "categories and stage describe a block"),
        ({"share": 1.5}, "'rules.0.share': input should be less than or equal to 1"),
        ({"times": 0}, "'rules.0.times'"),
        ({"latency": -1}, "'rules.0.latency'"),
        ({"latency": math.inf}, "'rules.0.latency': input should be a finite number"),
        ({"outcome": "splendid"}, "'rules.0.outcome': input should be 'answered', "),
        ({"mach": "x"}, "unknown option 'rules.0.mach'; did you mean 'match'?"),
        ({"outcome": "blocked", "categories": [{"nam": "x"}]}, "did you mean 'name'?"),
        ("blocked", "'rules.0': input should be a valid dictionary"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_with_its_place(rule: Any, says: str) -> None:
    message = problem(rules=[rule])

    assert message.startswith("SimulatedModel: ")
    assert says in message


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rate_limit": {}}, "rate_limit needs rpm, tpm or both"),
        ({"rate_limit": {"rpm": 0}}, "'rate_limit.rpm'"),
        ({"rate_limit": {"rpn": 1}}, "did you mean 'rpm'?"),
        ({"latency": -1}, "'latency'"),
        ({"latency_sigma": 6}, "'latency_sigma'"),
        ({"max_tokens": 0}, "'max_tokens'"),
        ({"rule": []}, "unknown option 'rule'; did you mean 'rules'?"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], says: str) -> None:
    assert says in problem(**options)


def test_a_failing_rule_may_name_the_outcome_as_well() -> None:
    assert simulated(rules=[{"error": "quota", "outcome": "failed"}]).options.rules[0].fails


# Limits


def at(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))


def test_what_exceeds_the_requests_of_any_minute_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    at(monkeypatch, clock)
    model = simulated(rate_limit={"rpm": 3})

    for now in (100.0, 110.0, 120.0):
        clock[0] = now
        assert ask(model).status == 200
    clock[0] = 130.0
    refused = ask(model)

    assert (refused.status, refused.headers) == (429, {"retry-after": "30.000"})
    with pytest.raises(ModelError, match="limit per minute is reached") as caught:
        classify(refused)
    assert (caught.value.kind, caught.value.retry_after) == ("rate_limit", 30.0)
    clock[0] = 159.9
    assert ask(model).status == 429
    clock[0] = 160.0
    assert ask(model).status == 200
    assert ask(model).status == 429
    clock[0] = 170.0
    assert ask(model).status == 200
    clock[0] = 300.0
    assert [ask(model).status for _ in range(4)] == [200, 200, 200, 429]


def test_what_exceeds_the_tokens_of_any_minute_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    at(monkeypatch, clock)
    used = ask(simulated()).payload["usage"]["total_tokens"]
    model = simulated(rate_limit={"tpm": 2 * used})

    assert [ask(model).status for _ in range(3)] == [200, 200, 429]
    clock[0] = 159.0
    assert ask(model).headers == {"retry-after": "1.000"}
    clock[0] = 160.0
    assert [ask(model).status for _ in range(3)] == [200, 200, 429]
    alone = simulated(rate_limit={"tpm": used - 1})
    assert ask(alone).headers == {"retry-after": "60.000"}


def test_a_request_that_was_turned_away_uses_up_no_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    at(monkeypatch, clock)
    model = simulated(rate_limit={"rpm": 1}, rules=[{"match": "rare", "times": 1, "outcome": "refused"}])

    assert ask(model, "other").status == 200
    assert ask(model, "rare").status == 429
    clock[0] = 200.0
    assert ask(model, "rare").payload["finish"] == "refusal"
    clock[0] = 300.0
    assert ask(model, "rare").payload["finish"] == "stop"


def test_longer_answers_are_cut_to_max_tokens() -> None:
    model = simulated(max_tokens=3)

    response = model.invoke("a")

    assert response["content"] == "This is a"
    assert outcome_of(response) == "truncated"
    assert response["response_metadata"]["finish_reason"] == "length"
    assert response["response_metadata"]["usage"]["output_tokens"] == 3
    exact = simulated(max_tokens=3, rules=[{"text": "one two three"}]).invoke("a")
    assert (exact["content"], outcome_of(exact)) == ("one two three", "answered")
    assert outcome_of(simulated(max_tokens=1, rules=[{"outcome": "refused"}]).invoke("a")) == "refused"


# Time


def test_latencies_are_lognormal_around_the_median_and_the_same_for_the_same_prompt() -> None:
    model = simulated(latency=0.5, latency_sigma=1.0)

    latencies = [model.latency_of(prompt) for prompt in PROMPTS]

    assert latencies == [simulated(latency=0.5, latency_sigma=1.0).latency_of(prompt) for prompt in PROMPTS]
    logs = sorted(math.log(latency / 0.5) for latency in latencies)
    mean = sum(logs) / len(logs)
    spread = math.sqrt(sum((log - mean) ** 2 for log in logs) / len(logs))
    assert abs(mean) < 0.15
    assert 0.85 < spread < 1.15
    assert abs(logs[200]) < 0.2
    assert simulated(latency=0.5, latency_sigma=1.0, seed=7).latency_of("a") != model.latency_of("a")
    assert {simulated(latency=0.5).latency_of(prompt) for prompt in PROMPTS} == {0.5}
    assert simulated(latency_sigma=1.0).latency_of("a") == 0


def test_a_request_takes_its_latency() -> None:
    began = time.monotonic()
    response = simulated(latency=0.05).invoke("a")
    assert time.monotonic() - began >= 0.05
    assert response["response_metadata"]["latency_s"] >= 0.05

    began = time.monotonic()
    simulated(latency=30, rules=[{"latency": 0.01}]).invoke("a")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("rule", [{"error": "bad_request"}, {"outcome": "blocked"}, {"outcome": "answered"}])
@pytest.mark.parametrize("streamed", [False, True])
def test_failures_and_blocks_take_their_latency_too(rule: dict[str, Any], streamed: bool) -> None:
    model = simulated(latency=0.05, rules=[rule])
    began = time.monotonic()

    with contextlib.suppress(ModelError):
        _ = list(model.stream("a")) if streamed else model.invoke("a")

    assert time.monotonic() - began >= 0.05


@pytest.mark.parametrize("streamed", [False, True])
def test_a_request_that_hangs_is_ended_by_the_timeout(streamed: bool) -> None:
    model = simulated(rules=[{"hang": True}], timeout=0.05, max_attempts=1)

    with pytest.raises(ModelError) as caught:
        _ = list(model.stream("a")) if streamed else model.invoke("a")

    assert caught.value.kind == "timeout"


# Streams


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"text": "  two\n\nparagraphs,\t spaced  "},
        {"text": "   "},
        {"text": "one"},
        {"outcome": "refused"},
        {"outcome": "truncated"},
        {"outcome": "tool_calls"},
        {"outcome": "unknown"},
        {"outcome": "blocked", "text": "half a"},
        {"outcome": "empty"},
    ],
)
def test_the_pieces_of_a_stream_are_the_answer(rule: dict[str, Any]) -> None:
    model = simulated(rules=[rule])
    whole: Any = model.invoke("a")

    chunks: Any = list(model.stream("a"))

    assert "".join(chunk["content"] for chunk in chunks) == whole["content"]
    assert len(chunks) >= len(whole["content"].split()) + 1
    for response in (whole, chunks[-1]):
        del response["response_metadata"]["latency_s"]
    assert chunks[-1]["response_metadata"] == whole["response_metadata"]


def test_a_stream_may_fail_as_a_whole() -> None:
    with pytest.raises(ModelError) as caught:
        list(simulated(rules=[{"error": "quota"}]).stream("a"))

    assert (caught.value.kind, caught.value.response) == ("quota", None)


# Sameness


def test_the_same_prompt_gives_the_same_reply_in_every_process_and_order() -> None:
    rules = [{"share": 0.3, "outcome": "refused"}, {"share": 0.3, "outcome": "blocked", "categories": ["x"]}]
    forward = [ask(simulated(rules=rules), prompt) for prompt in PROMPTS[:50]]
    model = simulated(rules=rules)
    backward = [ask(model, prompt) for prompt in reversed(PROMPTS[:50])]

    assert forward == backward[::-1]
    # Kept from an earlier run: another value means that every share and latency has changed for everybody.
    assert ask(simulated(), "Hello").payload["id"] == "sim-bd053a1c4c5d4414"


@pytest.mark.parametrize("prompt", ["\ud800 lone", "\0", "x" * 1_000_000, "🙂", ""])
def test_any_text_is_a_prompt(prompt: str) -> None:
    assert outcome_of(simulated(rules=[{"match": "never there"}]).invoke(prompt)) == "answered"
