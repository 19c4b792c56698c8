"""What hypothesis draws: arbitrary JSON, replies that are nearly right, and things that are no response at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import cache
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

STATUSES: Final = (200, 201, 204, 302, 400, 401, 402, 403, 404, 408, 413, 422, 429, 451, 500, 502, 503, 504, 529, 599)

PHASES: tuple[Phase, ...] = (Phase.generate, Phase.shrink)

OUTCOMES: Final = ("answered", "truncated", "refused", "blocked", "tool_calls", "empty", "failed", "unknown")


def quick(examples: int) -> settings:
    """Settings of a check inside a test: nothing is stored, and the machine may be slow."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=PHASES,
    )


@cache  # a strategy is looked through when it is first used, which takes longer than ten examples
def json_values() -> st.SearchStrategy[Any]:
    """Anything that JSON can say."""
    texts = st.text(max_size=12)
    scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=5
    )


def familiar_json(keys: Sequence[str], words: Sequence[str] = ()) -> st.SearchStrategy[Any]:
    """JSON in which a provider's own keys and words stand where nobody expects them.

    Args:
        keys: Keys of the provider's payloads.
        words: Texts that mean something in them.
    """
    texts = st.sampled_from(words) | st.text() if words else st.text()
    scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
    some = st.sampled_from(keys) | st.text(max_size=3)
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(some, inner, max_size=4), max_leaves=12
    )


@cache
def responses() -> st.SearchStrategy[Any]:
    """Dicts that look like responses more or less."""
    words = st.sampled_from([*OUTCOMES, "content_filter", "stop", "length", "error"])
    fields = {key: words | json_values() for key in ("outcome", "finish_reason", "block", "native_finish_reason")}
    return st.fixed_dictionaries(
        {},
        optional={
            "content": st.text(max_size=8) | json_values(),
            "response_metadata": st.fixed_dictionaries({}, optional=fields) | json_values(),
            "error": json_values(),
            **fields,
        },
    )


def odd_objects() -> st.SearchStrategy[Any]:
    """What no model returns, and somebody will pass all the same."""
    return st.sampled_from(
        [None, 3, 1.5, "blocked", b"blocked", object(), [], ["blocked"], {1: 2}, {None: object()}, int]
    )


@cache
def headers() -> st.SearchStrategy[dict[str, str]]:
    """Response headers that matter to somebody, and others."""
    values = st.sampled_from(["", "0", "1.5", "-1", "nan", "soon", "1e400", "Wed, 21 Oct 2037 07:28:00 GMT"])
    names = st.sampled_from(["retry-after", "retry-after-ms", "x-request-id", "content-type", "x-should-retry"])
    # With the server's own clock: what a date means must not depend on when the test runs.
    return st.dictionaries(names, values | st.text(max_size=8), max_size=3).map(
        lambda drawn: {**drawn, "date": "Wed, 21 Oct 2037 07:27:00 GMT"}
    )


@st.composite
def mangled(draw: st.DrawFn, payloads: Sequence[Any]) -> Any:
    """A payload as the provider writes it, with up to three places changed, removed or added to."""
    payload = [deepcopy(draw(st.sampled_from(payloads)))]
    for _ in range(draw(st.integers(0, 3))):
        places = list(_places(payload))
        container, key = places[draw(st.integers(0, len(places) - 1))]
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "remove" and container is not payload:
            del container[key]
        elif change == "add" and isinstance(container, dict):
            container[draw(st.text(max_size=5))] = draw(json_values())
        else:
            container[key] = draw(json_values())
    return payload[0]


def variations(payload: Any) -> Iterator[Any]:
    """A payload with one place changed: every place, to one value of each type that JSON has, or removed."""
    for path in _paths(payload):
        for value in (None, "", "odd", 7, [], {}, _GONE):
            changed = [deepcopy(payload)]
            container: Any = changed
            for key in path[:-1]:
                container = container[key]
            if value is not _GONE:
                container[path[-1]] = value
            elif container is changed:
                continue
            else:
                del container[path[-1]]
            yield changed[0]


_GONE: Final = object()


def _paths(payload: Any) -> Iterator[tuple[Any, ...]]:
    def inside(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        yield path
        if isinstance(value, (dict, list)):
            for key in range(len(value)) if isinstance(value, list) else value:
                yield from inside(value[key], (*path, key))

    return inside(payload, (0,))


def _places(container: Any) -> Any:
    """Every container inside a value with every key or index of it."""
    for key in range(len(container)) if isinstance(container, list) else list(container):
        yield container, key
        if isinstance(container[key], (dict, list)):
            yield from _places(container[key])
