"""Every documented raw reply, classified by the plugin of its vendor: an independent reading of what it means."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from benchmarks.outcomes.corpus import Case, CorpusError, corpus, load
from benchmarks.outcomes.ours import observed, settings
from benchmarks.outcomes.server import ReplyServer
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
        async with create_model(name, **params) as model:
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
