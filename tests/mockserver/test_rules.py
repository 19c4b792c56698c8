"""What a script's rules decide."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest

from hivetrace_core import ConfigError
from hivetrace_core.mockserver import MockServer, Turn, expected, wait_headers

Serve = Callable[..., MockServer]
Connect = Callable[[MockServer], Any]


def said(client: Any, prompt: str, **body: Any) -> str:
    reply = client.ask(prompt, **body)
    return str(reply.json.get("error") or reply.json["finish"])


def test_the_first_rule_whose_conditions_all_hold_decides(serve: Serve, connect: Connect) -> None:
    rules = [
        {"match": "bomb", "model": "m-2", "outcome": "refused"},
        {"match": "bomb", "outcome": "blocked", "categories": ["violence"]},
        {"match": "bomb|long", "outcome": "truncated"},
    ]
    client = connect(serve({"rules": rules}))

    assert said(client, "a bomb") == "blocked"
    assert said(client, "a bomb", model="m-2") == "refused"
    assert said(client, "long") == "truncated"
    assert said(client, "else") == "answered"
    assert client.ask("bomb").json["categories"] == ["violence"]


def test_a_rule_can_be_for_one_provider(serve: Serve, connect: Connect, wire: Any) -> None:
    client = connect(serve({"rules": [{"provider": "other", "error": "server"}]}))

    client.send(wire.question(provider="other"))

    assert client.read().json["error"] == "server"
    assert said(client, "Hello") == "answered"


def test_times_counts_the_requests_for_a_prompt_and_then_the_next_rule_applies(serve: Serve, connect: Connect) -> None:
    rules = [{"times": 1, "error": "server"}, {"times": 2, "error": "rate_limit"}]
    client = connect(serve({"rules": rules}))

    assert [said(client, "a") for _ in range(4)] == ["server", "rate_limit", "rate_limit", "answered"]
    assert said(client, "b") == "server"
    assert said(client, "a", model="another") == "server"


def test_nth_and_every_count_all_requests(serve: Serve, connect: Connect) -> None:
    client = connect(serve({"rules": [{"nth": 2, "error": "server"}, {"every": 3, "error": "quota"}]}))

    found = [said(client, f"p{number}") for number in range(6)]

    assert found == ["answered", "server", "quota", "answered", "answered", "quota"]


def test_a_share_of_the_prompts_is_always_the_same_one(serve: Serve, connect: Connect) -> None:
    script = {"seed": 7, "rules": [{"share": 0.3, "outcome": "blocked"}, {"share": 0.5, "outcome": "refused"}]}
    prompts = [f"prompt {number}" for number in range(300)]
    shuffled = random.Random(1).sample(prompts, len(prompts))

    def run(order: list[str]) -> dict[str, str]:
        client = connect(serve(script))
        return {prompt: said(client, prompt) for prompt in order}

    first = run(prompts)

    assert first == run(shuffled)
    assert 60 <= list(first.values()).count("blocked") <= 120
    assert 70 <= list(first.values()).count("refused") <= 140
    another_seed = connect(serve({**script, "seed": 8}))
    assert {prompt: said(another_seed, prompt) for prompt in prompts} != first


def test_a_text_can_repeat_the_prompt(serve: Serve, connect: Connect) -> None:
    client = connect(serve({"text": "default", "rules": [{"match": "x", "text": "You said {prompt}!"}]}))

    assert client.ask("x \ud83d\ude00 {prompt}").json["text"] == "You said x \U0001f600 {prompt}!"
    assert client.ask("y").json["text"] == "default"


def test_headers_of_a_rule_replace_equal_ones(serve: Serve, connect: Connect, wire: Any) -> None:
    rule = {"error": "rate_limit", "retry_after": 3, "headers": {"Retry-After": "soon", "X-Request-ID": "mine"}}
    client = connect(serve({"rules": [rule]}))

    client.send(wire.question(headers=("Connection: close",)))
    lines = client.rest().decode().lower().split("\r\n")

    assert [line for line in lines if line.startswith(("retry-after", "x-request-id"))] == [
        "retry-after: soon",
        "x-request-id: mine",
    ]


@pytest.mark.parametrize("form", ["seconds", "ms"])
def test_a_wait_is_never_told_too_short(form: Any) -> None:
    told = wait_headers(Turn(outcome="failed", error="rate_limit", retry_after=0.0101, retry_after_form=form))

    assert told == ({"retry-after": "0.011"} if form == "seconds" else {"retry-after-ms": "11"})


@pytest.mark.parametrize(
    ("form", "header", "value"),
    [("seconds", "retry-after", "1.5"), ("ms", "retry-after-ms", "1500"), ("date", "retry-after", "GMT")],
)
def test_a_wait_is_written_in_its_form(serve: Serve, connect: Connect, form: str, header: str, value: str) -> None:
    rule = {"error": "rate_limit", "retry_after": 1.5, "retry_after_form": form}

    reply = connect(serve({"rules": [rule]})).ask()

    assert reply.status == 429
    assert value in reply.headers[header]


def test_a_variant_applies_where_the_dialect_has_it(serve: Serve, connect: Connect, wire: Any) -> None:
    client = connect(serve({"rules": [{"variant": "plain.filter"}, {"variant": "other.filter"}]}))

    assert client.ask().json["variant"] == "plain.filter"
    client.send(wire.question(provider="other"))
    assert client.read().json["variant"] == "other.filter"


def test_a_variant_that_means_an_error_is_one(serve: Serve, connect: Connect) -> None:
    server = serve({"rules": [{"variant": "plain.broke"}]})

    assert connect(server).ask().json == {"error": "quota", "variant": "plain.broke"}
    assert server.log[0].said == "quota"


def test_a_status_of_the_rule_wins(serve: Serve, connect: Connect) -> None:
    assert connect(serve({"rules": [{"error": "server", "status": 503}]})).ask().status == 503


def test_an_answer_can_be_delayed(serve: Serve, connect: Connect) -> None:
    client = connect(serve({"delay": 0.1, "rules": [{"match": "quick", "delay": 0.0}]}))

    start = time.monotonic()
    client.ask("slow")
    slow = time.monotonic() - start

    assert slow >= 0.095
    assert client.ask("quick").status == 200


def test_a_spread_delay_depends_on_the_prompt_only(serve: Serve) -> None:
    from hivetrace_core.mockserver.deciding import Decider
    from hivetrace_core.mockserver.loading import load_script

    script = load_script({"delay": {"median": 0.5, "sigma": 0.8}})
    dialect = __import__("types").SimpleNamespace(variants={}, cannot_say={})

    def delays() -> list[float]:
        decider = Decider(script, {"plain": dialect})
        return [decider.decide("plain", "", f"p{number}", 1).delay for number in range(500)]

    found = delays()

    assert found == delays()
    assert 0.4 < sorted(found)[250] < 0.6
    assert min(found) < 0.2
    assert max(found) > 2


def test_the_wrong_key_or_none_gets_a_401_and_counts_for_no_rule(serve: Serve, connect: Connect, wire: Any) -> None:
    server = serve({"key": "right-key", "rules": [{"times": 1, "outcome": "blocked"}]})
    client = connect(server)

    replies = []
    for headers in ((), ("Authorization: Bearer wrong",), ("Authorization: Bearer right-key",)):
        client.send(wire.question(headers=headers))
        replies.append(client.read())

    assert [reply.status for reply in replies] == [401, 401, 200]
    assert replies[2].json["finish"] == "blocked"
    assert [record.said for record in server.log] == ["authentication", "authentication", "blocked"]
    assert [record.attempt for record in server.log] == [1, 2, 3]


def test_the_rate_limit_slides_and_says_how_long_to_wait(serve: Serve, connect: Connect) -> None:
    server = serve({"rate_limit": {"rpm": 600, "window": 0.5}, "rules": [{"times": 1, "outcome": "blocked"}]})
    client = connect(server)

    statuses = [client.ask(f"p{number}").status for number in range(5)]
    rejected = client.ask("late")
    wait = float(rejected.headers["retry-after"])
    time.sleep(wait + 0.01)
    admitted = client.ask("late")

    assert statuses == [200] * 5
    assert rejected.status == 429
    assert 0 < wait <= 0.5
    assert admitted.json["finish"] == "blocked"


def test_the_rate_limit_counts_tokens(serve: Serve, connect: Connect) -> None:
    client = connect(serve({"rate_limit": {"tpm": 6000, "window": 1.0}}))  # 100 a second

    assert client.ask("x" * 4000).status == 200  # more than a window holds, into an empty one
    assert client.ask("x").status == 429


def test_the_window_admits_exactly_its_rate_whenever_it_is_looked_at() -> None:
    from hivetrace_core.mockserver.limiting import SlidingWindow
    from hivetrace_core.mockserver.script import RateLimit

    window = SlidingWindow(RateLimit(rpm=60, tpm=600, window=10.0))  # 10 requests, 100 tokens
    admitted: list[float] = []
    now = 0.0
    while now < 60:
        wait = window.admit(now, 15)
        if wait is None:
            admitted.append(now)
            now += 0.1
        else:
            assert window.admit(now + wait - 0.001, 15) is not None
            now += wait + 1e-9

    for start in admitted:
        assert sum(1 for moment in admitted if start <= moment < start + 10) <= 6  # 100 tokens / 15
    assert len(admitted) == 36


def test_the_outcomes_of_a_script_can_be_foretold(serve: Serve, connect: Connect, wire: Any) -> None:
    script = {
        "rules": [
            {"provider": "other", "error": "server"},
            {"match": "a", "times": 2, "error": "rate_limit"},
            {"match": "b", "variant": "plain.busy"},
            {"match": "c", "error": "server"},
            {"match": "d", "fault": "reset", "times": 1},
            {"match": "e", "fault": "html", "status": 404},
            {"match": "f", "outcome": "blocked"},
        ]
    }

    found = expected(script, [*"abcdefg"], wire.plain, max_attempts=3)

    assert [(one.outcome, one.error, one.attempts, one.rule) for one in found] == [
        ("answered", None, 3, None),
        ("failed", "server", 1, 2),
        ("failed", "server", 3, 3),
        ("answered", None, 2, None),
        ("failed", "not_found", 1, 5),
        ("blocked", None, 1, 6),
        ("answered", None, 1, None),
    ]
    assert found[6].text == "This is a scripted answer."


@pytest.mark.parametrize("key", ["nth", "every"])
def test_what_depends_on_the_order_cannot_be_foretold(wire: Any, key: str) -> None:
    with pytest.raises(ConfigError, match="order of requests"):
        expected({"rules": [{key: 2, "error": "server"}]}, ["a"], wire.plain)


def test_a_rule_passes_by_a_vendor_that_has_no_words_for_it(serve: Serve, connect: Connect, wire: Any) -> None:
    class Mute(type(wire.plain)):  # type: ignore[misc]  # a fixture's class
        name = "mute"
        cannot_say = MappingProxyType({"blocked": "it has no filter"})

    rules = [{"outcome": "blocked"}, {"outcome": "truncated"}]
    server = serve({"rules": rules}, dialects=[wire.plain, Mute()])

    assert said(connect(server), "Hello") == "blocked"
    assert [one.outcome for one in expected({"rules": rules}, ["Hello"], Mute())] == ["truncated"]
    with pytest.raises(ConfigError, match=r"rules\[0\].outcome: it has no filter"):
        serve({"rules": [{"outcome": "blocked", "provider": "mute"}]}, dialects=[wire.plain, Mute()])
