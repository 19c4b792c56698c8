"""Every documented raw reply, classified by the plugin of its vendor: an independent reading of what it means."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from benchmarks.outcomes.corpus import Case, CorpusError, Expected, corpus, load
from benchmarks.outcomes.ours import observed, settings
from benchmarks.outcomes.reading import Verdict, read
from benchmarks.outcomes.server import ReplyServer
from benchmarks.outcomes.table import right
from hivetrace_core import ModelError, Reply, create_model
from hivetrace_core.registry import default_registry

INSTALLED = {found.name for found in default_registry().everyone()[0]}
THERE = [case for case in corpus() if case.vendor in INSTALLED]
ON_THE_WIRE = [case for case in THERE if case.stream is not None or case.service == "oauth"]
AS_A_REPLY = [case for case in THERE if case not in ON_THE_WIRE]


def named(case: Case) -> str:
    return case.id


def wanted(case: Case, seen: dict[str, Any]) -> dict[str, Any]:
    """What is expected, beside it what is there."""
    return {name: seen.get(name) for name in case.expect.named}


@pytest.fixture(scope="module")
def server() -> Iterator[ReplyServer]:
    with ReplyServer(corpus()) as started:
        yield started


@pytest.mark.parametrize("case", AS_A_REPLY, ids=named)
def test_the_pure_classifier_reads_the_reply_as_it_is_documented(case: Case) -> None:
    where = default_registry().spec(case.vendor).classify
    assert where is not None
    module, _, function = where.partition(":")
    classify = getattr(import_module(module), function)
    try:
        seen = observed(classify(Reply(case.payload, case.status, case.headers)))
    except ModelError as error:
        seen = observed(error)

    assert wanted(case, seen) == case.expect.named


@pytest.mark.parametrize("case", ON_THE_WIRE, ids=named)
def test_the_model_reads_streams_and_tokens_as_they_are_documented(case: Case, server: ReplyServer) -> None:
    async def ask() -> dict[str, Any]:
        name, params = settings(case, server.url(case))
        created: Any = create_model(name, **params)
        async with created as model:
            try:
                text, last = "", {}
                async for chunk in model.astream("Hi"):
                    text, last = text + chunk["content"], chunk
            except ModelError as error:
                return observed(error)
            return observed({"content": text, **{key: last[key] for key in last if key != "content"}})

    seen = asyncio.run(ask())
    if case.expect.outcome in ("blocked", "refused"):
        # What was shown before the filter's text cannot be taken back.
        assert seen.pop("content", "").endswith(case.expect.content or "")
        expected = {name: value for name, value in case.expect.named.items() if name != "content"}
    else:
        expected = case.expect.named

    assert {name: seen.get(name) for name in expected} == expected


def test_every_vendor_has_its_signals_in_the_corpus() -> None:
    by_vendor = Counter(case.vendor for case in corpus())

    assert set(by_vendor) == {
        "gemini", "gigachat", "llamacpp", "ollama", "openai", "openrouter", "sbercloud", "yandex",
    }  # fmt: skip
    assert len({case.id for case in corpus()}) == by_vendor.total() >= 300


GOOD = """\
vendor: acme
sources: {docs: "https://acme.example/errors"}
cases:
  - {id: answer, source: docs, body: {text: "Hi"}, expect: {outcome: answered}}
"""


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("id: answer", "id: An answer", "String should match pattern"),
        ("source: docs", "source: rumour", "rumour"),
        ("outcome: answered", "outcome: fine", "answered"),
        ("outcome: answered", "outcome: answered, kind: server", "belong to the outcome failed"),
        ("outcome: answered", "outcome: failed, stage: prompt", "belong to blocked and refused"),
        ("outcome: answered", "outcome: answered, colour: red", "Extra inputs"),
        ('body: {text: "Hi"}', 'body: {}, text: "Hi"', "only one can be there"),
        ('body: {text: "Hi"}', "headers: {Retry-After: '1'}", "lower case"),
        ('body: {text: "Hi"}', "status: 7", "greater than or equal to 200"),
        ("vendor: acme", "vendor: other", "the vendor is other"),
        ("https://acme.example/errors", "unknown", "at least 10 characters"),
        ("{docs:", "{spare: a spare source, docs:", "no case names the source spare"),
        ("cases:", "cases: [", "acme.yaml: ParserError"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = tmp_path / "acme.yaml"
    path.write_text(GOOD)
    assert [case.id for case in load(path)] == ["acme/answer"]
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))

    with pytest.raises(CorpusError, match=r"^acme\.yaml") as caught:
        load(path)
    assert complaint in str(caught.value)


def test_two_cases_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    path.write_text(GOOD + GOOD.splitlines()[-1])

    with pytest.raises(CorpusError, match="two cases have the id acme/answer"):
        load(path)


def raised(*classes: str, text: str = "", **fields: Any) -> dict[str, Any]:
    return {"classes": list(classes), "fields": fields, "text": text}


def shown(text: str = "Hi", **signals: Any) -> dict[str, Any]:
    return {"content": text, "signals": signals, "tool_calls": False, "refusal": ""}


@pytest.mark.parametrize(
    ("seen", "closely", "plainly"),
    [
        (shown(finish_reason="stop"), ("answered", None), ("answered", None)),
        (shown("", finish_reason="FinishReason.STOP"), ("empty", None), ("empty", None)),
        (shown(finish_reason="stop", native_finish_reason="SAFETY"), ("blocked", None), ("answered", None)),
        (shown(finish_reason="stop", native_finish_reason="mulled_over"), ("unknown", None), ("answered", None)),
        (shown(finish_reason="mulled_over"), ("unknown", None), ("unknown", None)),
        (shown(), ("unknown", None), ("unknown", None)),
        (shown(done_reason="length"), ("truncated", None), ("truncated", None)),
        (shown(done=False), ("failed", "connection"), ("failed", "connection")),
        (shown("", prompt_feedback={"block_reason": "OTHER"}), ("blocked", None), ("blocked", None)),
        ({**shown("", finish_reason="stop"), "refusal": "No"}, ("refused", None), ("refused", None)),
        ({**shown("", finish_reason="stop"), "tool_calls": True}, ("tool_calls", None), ("tool_calls", None)),
        ({**shown(finish_reason="stop"), "blocked_by_library": True}, ("blocked", None), ("blocked", None)),
        (shown(finish_reason="PUP_LIMITED_DISABLED"), ("failed", "permission"), ("failed", "permission")),
        (shown(finish_reason="stop", error={"code": 502}), ("failed", "server"), ("answered", None)),
        (raised("RateLimitError", status_code=429), ("failed", "rate_limit"), ("failed", "rate_limit")),
        (raised("BadRequestError", code="content_filter", status_code=400), ("blocked", None), ("blocked", None)),
        (
            raised("BadRequestError", status_code=400, body={"metadata": {"error_type": "refusal"}}),
            ("refused", None),
            ("failed", "bad_request"),
        ),
        (
            raised("RateLimitError", text="429 {'error': {'type': 'insufficient_quota'}}"),
            ("failed", "quota"),
            ("failed", "rate_limit"),
        ),
        (
            raised("ApiError", status_code=400, text="This model's maximum context length is 8192"),
            ("failed", "context_length"),
            ("failed", "bad_request"),
        ),
        (raised("InternalServerError", status_code=504), ("failed", "timeout"), ("failed", "timeout")),
        (raised("ResponseError", status_code=-1), ("failed", "server"), ("failed", "server")),
        (raised("Oops", text="Error code: 404 - none"), ("failed", "not_found"), ("failed", "unexpected")),
        (raised("JSONDecodeError", "ValueError"), ("failed", "response_format"), ("failed", "response_format")),
        ({"hung": True}, None, None),
    ],
)
def test_what_a_library_shows_is_read_by_the_written_rule(
    seen: dict[str, Any], closely: tuple[str, str | None] | None, plainly: tuple[str, str | None] | None
) -> None:
    found = [read(seen, closely=close, stream=False, timeout_504=True) for close in (True, False)]

    assert found == [closely, plainly]


def test_a_stream_without_an_end_is_cut_and_a_504_is_what_the_vendor_says() -> None:
    whole = {"closely": True, "stream": False, "timeout_504": False}

    assert read(shown(), **{**whole, "stream": True}) == ("failed", "connection")
    assert read(raised("InternalServerError", status_code=504), **whole) == ("failed", "server")


def test_points_are_given_for_the_documented_outcome_and_kind() -> None:
    expect = Expected(outcome="failed", kind="quota", also=("empty",))
    case = corpus()[0].model_copy(update={"expect": expect})

    assert right(case, Verdict("failed", "quota"), kind=True)
    assert right(case, Verdict("failed", "server"), kind=False)
    assert right(case, Verdict("empty"), kind=True)
    assert not right(case, Verdict("failed", "server"), kind=True)
    assert not right(case, Verdict("answered"), kind=False)
    assert not right(case, None, kind=False)


def test_the_published_scoreboard_is_about_this_corpus() -> None:
    published = json.loads((Path(__file__).parents[1] / "docs" / "outcome-scoreboard.json").read_text("utf-8"))

    assert [case["id"] for case in published["cases"]] == [case.id for case in corpus()]
    for case, entry in zip(corpus(), published["cases"], strict=True):
        assert entry["expect"]["outcome"] == case.expect.outcome
