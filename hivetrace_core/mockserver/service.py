"""From a request to what is to be sent: routes, key, limits, script, dialect, log. No I/O."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from .deciding import Decider, Decision
from .dialect import Dialect, Turn, WireReply, WireRequest, json_reply
from .limiting import SlidingWindow
from .loading import check_against
from .records import PROMPT_SHOWN, Records
from .script import Fault, Script
from .wire import Headers

ELSEWHERE: Final = "/_elsewhere"
"""Where the fault `redirect` points; whoever follows shows up in the log with this path."""

_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign in to continue</h1></body></html>"
)
_decode: Final = json.JSONDecoder().decode
_MOST_ROUTES: Final = 1000


class Plan(NamedTuple):
    """What to send for one request, and how badly.

    Attributes:
        number: Of the request.
        reply: The whole reply; of a stream, status and headers.
        pieces: The stream's pieces; None for a whole reply.
        fault: What goes wrong while sending.
        delay: Seconds to wait first.
        after: Pieces before the fault.
        pace: Seconds between pieces.
    """

    number: int
    reply: WireReply
    pieces: Iterable[bytes] | None = None
    fault: Fault | None = None
    delay: float = 0.0
    after: int | None = None
    pace: float | None = None


class _Route(NamedTuple):
    provider: str
    dialect: Dialect | None
    path: str  # below the provider's prefix
    query: str
    whole: str


class Service:
    """Answers requests of all dialects by one script.

    Args:
        script: The script.
        dialects: By the first segment of the path under which each is spoken.

    Raises:
        ConfigError: the script names what no dialect knows.
    """

    def __init__(self, script: Script, dialects: Mapping[str, Dialect]) -> None:
        check_against(script, dialects)
        self.records = Records(script.log_size)
        self._dialects = dialects
        self._decider = Decider(script, dialects)
        self._key = script.key.get_secret_value().encode() if script.key is not None else None
        limit = script.rate_limit
        self._guarded = self._key is not None or limit is not None
        self._limit = limit
        self._windows = {name: SlidingWindow(limit) for name in dialects} if limit is not None else {}
        self._routes: dict[bytes, _Route] = {}

    def reset(self) -> None:
        """Forget every request: log, counters, what rules with `times` remember, what the limit has counted."""
        self.records.clear()
        self._decider.forget()
        if self._limit is not None:
            self._windows = {name: SlidingWindow(self._limit) for name in self._dialects}

    def plan(self, method: str, target: bytes, headers: Headers, raw: bytes) -> Plan:
        """What becomes of a request; counts and logs it."""
        route = self._routes.get(target) or self._route(target)
        if route.path[:2] == "/_" and not route.provider:
            own = self._own(method, route.path)
            if own is not None:
                return Plan(0, own)
        number = self.records.arrived()
        request = WireRequest(method, route.path, route.query, headers, _decoded(raw), raw)
        dialect = route.dialect
        if dialect is None:
            return self._plain(number, request, route, self._lost(route))
        if not dialect.matches(request):
            side = dialect.side(request)
            if side is not None:
                return self._plain(number, request, route, side, said="side")
            return self._say(number, request, route, dialect, _NOT_FOUND)
        return self._asked(number, request, route, dialect)

    def dropped(self, method: str, target: bytes, headers: Headers) -> None:
        """A request that the connection does not answer at all (`drop_next`); no rule counts it."""
        route = self._routes.get(target) or self._route(target)
        number = self.records.arrived()
        self._log(number, WireRequest(method, route.path, route.query, headers, None, b""), route, "drop_next")
        self.records.gone(answered=True)

    # Requests that ask a model

    def _asked(self, number: int, request: WireRequest, route: _Route, dialect: Dialect) -> Plan:
        if not isinstance(request.body, dict):
            return self._say(number, request, route, dialect, _NOT_JSON)
        prompt, model = dialect.prompt_of(request), dialect.model_of(request)
        attempt = self.records.attempt(route.provider, model, prompt)
        decision = self._refusal(request, route, dialect, prompt) if self._guarded else None
        if decision is None:
            decision = self._decider.decide(route.provider, model, prompt, number)
        stream = dialect.wants_stream(request)
        turn = decision.turn
        said = decision.fault or turn.error or turn.outcome
        self._log(number, request, route, said, model, prompt, attempt, stream, decision.rule)
        return self._spelt(number, request, dialect, decision, stream)

    def _refusal(self, request: WireRequest, route: _Route, dialect: Dialect, prompt: str) -> Decision | None:
        """What the script enforces before its rules: the key, then the rate limit."""
        if self._key is not None:
            given = dialect.key_of(request)
            if given is None or not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self._key):
                return _BAD_KEY
        window = self._windows.get(route.provider)
        if window is None:
            return None
        wait = window.admit(time.monotonic(), -(-len(prompt) // 4))
        if wait is None:
            return None
        return Decision(Turn(outcome="failed", error="rate_limit", status=429, retry_after=wait))

    def _spelt(self, number: int, request: WireRequest, dialect: Dialect, decision: Decision, stream: bool) -> Plan:
        turn, fault, delay, _, more, after, pace = decision
        pieces: Iterable[bytes] | None = None
        if fault in ("html", "empty", "redirect"):
            reply = _instead(fault, turn.status)
            fault = None
        elif stream and (pieces := dialect.stream(request, turn)) is not None:
            reply = WireReply(200, {"Content-Type": dialect.stream_type, "Cache-Control": "no-cache"}, b"")
        else:
            reply = dialect.reply(request, turn)
        if more:
            replaced = {name.lower() for name in more}
            kept = {name: value for name, value in reply.headers.items() if name.lower() not in replaced}
            reply = reply._replace(headers={**kept, **more})
        return Plan(number, reply, pieces, fault, delay, after, pace)

    # Everything else

    def _say(self, number: int, request: WireRequest, route: _Route, dialect: Dialect, turn: Turn) -> Plan:
        return self._plain(number, request, route, dialect.reply(request, turn), said=turn.error or turn.outcome)

    def _plain(
        self, number: int, request: WireRequest, route: _Route, reply: WireReply, *, said: str = "not_found"
    ) -> Plan:
        self._log(number, request, route, said)
        return Plan(number, reply)

    def _log(
        self,
        number: int,
        request: WireRequest,
        route: _Route,
        said: str,
        model: str = "",
        prompt: str = "",
        attempt: int = 0,
        stream: bool = False,
        rule: int | None = None,
    ) -> None:
        row = (
            number,
            time.time(),
            route.provider,
            model,
            request.method,
            route.whole,
            prompt[:PROMPT_SHOWN],
            attempt,
            self.records.in_flight,
            stream,
            said,
            rule,
            request.headers.raw if isinstance(request.headers, Headers) else (),
        )
        self.records.add(route.provider, said, row)

    def _route(self, target: bytes) -> _Route:
        whole = target.decode("latin-1")
        path, _, query = whole.partition("?")
        if "://" in path[:10]:  # a client that takes the server for a proxy
            path = "/" + path.partition("://")[2].partition("/")[2]
        provider, slash, rest = path[1:].partition("/")
        dialect = self._dialects.get(provider)
        if dialect is None:
            provider, slash, rest = "", "", path
        route = _Route(provider, dialect, slash + rest, query, whole)
        if len(self._routes) < _MOST_ROUTES:
            self._routes[target] = route
        return route

    def _own(self, method: str, path: str) -> WireReply | None:
        """The server's own pages; they are neither logged nor counted."""
        if (method, path) == ("GET", "/_log"):
            return json_reply([record._asdict() for record in self.records.log()])
        if (method, path) == ("GET", "/_stats"):
            return json_reply(self.records.stats())
        if (method, path) == ("POST", "/_reset"):
            self.reset()
            return json_reply({"reset": True})
        return None

    def _lost(self, route: _Route) -> WireReply:
        where = ", ".join(f"/{name}{dialect.base_path}" for name, dialect in self._dialects.items())
        return json_reply({"error": f"nothing is served under {route.path[:200]}; base URLs end with {where}"}, 404)


_NOT_FOUND: Final = Turn(outcome="failed", error="not_found", status=404)
_NOT_JSON: Final = Turn(outcome="failed", error="bad_request", status=400)
_BAD_KEY: Final = Decision(Turn(outcome="failed", error="authentication", status=401))


def _instead(fault: Fault, status: int | None) -> WireReply:
    """The replies that come from something else than the provider."""
    if fault == "html":
        return WireReply(status or 200, {"Content-Type": "text/html; charset=utf-8"}, _PAGE)
    if fault == "redirect":
        return WireReply(status or 307, {"Location": ELSEWHERE}, b"")
    return WireReply(status or 200, {"Content-Type": "application/json"}, b"")


def _decoded(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return _decode(raw.decode())
    except (ValueError, RecursionError):
        return None
