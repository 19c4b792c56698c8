"""Every documented signal, as the service sends it: the named variants of the mock server's dialect.

The same payloads that `outcomes.py` reads, written from the vendor's pages and not from its tables, so that each side
checks the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from hivetrace_core import mockserver
from hivetrace_core.mockserver import Build, constant

from .payloads import completion_of, first_alternative, mapping, text

Course: TypeAlias = Literal["done", "slow", "flaky", "never", "vanished"]


@dataclass(frozen=True, slots=True)
class Signal(mockserver.Signal):
    """One way to end, and how an operation comes to it.

    Attributes:
        course: How an operation goes that ends like this.
        late: Whether its error comes as the end of an operation and not when it is submitted.
    """

    course: Course = "done"
    late: bool = False


CANNED: Final = "Я не могу обсуждать эту тему. Давайте поговорим о чём-нибудь ещё."
SEARCH: Final = (
    "В интернете есть много сайтов с информацией на эту тему. [Посмотрите, что нашлось в поиске](https://ya.ru)"
)
TOO_LONG: Final = "Number of input tokens must be no more than 8192, got 9000"
GAUGE: Final = "ai.textGenerationCompletionSessionsCount.count gauge quota limit exceed: allowed 10 requests"
NO_GAUGE: Final = "ai.textGenerationCompletionSessionsCount.count gauge quota limit exceed: allowed 0 requests"
RATE: Final = "ai.textGenerationCompletionRequestsPerSecond.rate rate quota limit exceed: allowed 10 requests"
HOURLY: Final = "ai.textGenerationCompletionRequestsPerHour.rate rate quota limit exceed: allowed 5000 requests"
UNKNOWN_KEY: Final = "Unknown api key 'AQVN****************************abcd'"
TOOL_CALL: Final = {"functionCall": {"name": "weather", "arguments": {"city": "Москва"}}}

_STOPPED: Final = {"inputTextTokens": "0", "completionTokens": "0", "totalTokens": "0"}


def answer(
    status: str | None,
    said: str | None = None,
    *,
    message: Mapping[str, Any] | None = None,
    stopped: bool = False,
    wrapped: bool = True,
) -> Build:
    """A completion.

    Args:
        status: Without its prefix; None for none at all.
        said: Its text, in place of the script's.
        message: Further keys of the message.
        stopped: Whether not a token was counted.
        wrapped: Whether it is under `result`.
    """

    def build(scripted: str) -> dict[str, Any]:
        spoken = {"role": "assistant", "text": scripted if said is None else said, **(message or {})}
        alternative: dict[str, Any] = {"message": spoken}
        if status is not None:
            alternative["status"] = f"ALTERNATIVE_STATUS_{status}"
        completion: dict[str, Any] = {"alternatives": [alternative], "modelVersion": "" if stopped else "mock"}
        if stopped:
            completion["usage"] = _STOPPED
        return {"result": completion} if wrapped else completion

    return build


def wrapped(grpc: int, http: int, message: str = "The mock server says no.") -> Build:
    """The error envelope of the completion endpoint."""
    error = {"grpcCode": grpc, "httpCode": http, "message": message, "httpStatus": "", "details": []}
    return lambda _: {"error": error}


def flat(grpc: int, message: str = "The mock server says no.") -> Build:
    """The error envelope of operations and of some gateways."""
    return lambda _: {"code": grpc, "message": message, "details": []}


def said_by(payload: Any) -> str:
    """The text of a completion's payload."""
    completion, _ = completion_of(payload)
    return text(mapping(mapping(first_alternative(completion or {})).get("message")).get("text"))


COMPLETIONS: Final[dict[str, Signal]] = {
    "status.final": Signal("answered", answer("FINAL")),
    "status.truncated": Signal("truncated", answer("TRUNCATED_FINAL")),
    "status.truncated_empty": Signal("truncated", answer("TRUNCATED_FINAL", "")),
    "status.content_filter": Signal("blocked", answer("CONTENT_FILTER", CANNED, stopped=True)),
    "status.content_filter_later": Signal("blocked", answer("CONTENT_FILTER", CANNED)),
    "status.content_filter_search": Signal("blocked", answer("CONTENT_FILTER", SEARCH)),
    "status.content_filter_empty": Signal("blocked", answer("CONTENT_FILTER", "")),
    "status.content_filter_unseen_text": Signal("blocked", answer("CONTENT_FILTER", "Сменим тему?")),
    "status.tool_calls": Signal(
        "tool_calls", answer("TOOL_CALLS", "", message={"toolCallList": {"toolCalls": [TOOL_CALL]}})
    ),
    "status.final_with_tools": Signal(
        "tool_calls", answer("FINAL", "", message={"toolCallList": {"toolCalls": [TOOL_CALL]}})
    ),
    "status.final_empty": Signal("empty", answer("FINAL", "")),
    "status.unspecified": Signal("server", answer("UNSPECIFIED")),
    "status.partial": Signal("connection", answer("PARTIAL")),
    "status.unseen": Signal("unknown", answer("FINAL_V2")),
    "canned.final": Signal("blocked", answer("FINAL", CANNED)),
    "canned.final_search": Signal("blocked", answer("FINAL", SEARCH)),
    "canned.final_blanks": Signal("blocked", answer("FINAL", f"\n{CANNED} ")),
    "canned.part_of_an_answer": Signal("answered", answer("FINAL", f"{CANNED} Например, о погоде.")),
    "answer.bare": Signal("answered", answer("FINAL", wrapped=False)),
    "answer.no_alternatives": Signal("unknown", constant({"result": {"alternatives": [], "modelVersion": "mock"}})),
}
"""What a completion may be."""

ERRORS: Final[dict[str, Signal]] = {
    "error.context_length": Signal("context_length", wrapped(3, 400, TOO_LONG), 400),
    "error.model_uri_parse": Signal("not_found", wrapped(3, 400, "Failed to parse model URI"), 400),
    "error.model_uri": Signal("not_found", wrapped(3, 400, "invalid model_uri"), 400),
    "error.folder": Signal(
        "permission",
        wrapped(3, 400, "Specified folder ID 'b1g' does not match with service account folder ID 'b2g'"),
        400,
    ),
    "error.bad_request": Signal("bad_request", wrapped(3, 400, "temperature must be between 0 and 1"), 400),
    "error.unknown_key": Signal("authentication", wrapped(16, 401, UNKNOWN_KEY), 401),
    "error.expired_key": Signal("authentication", wrapped(16, 401, "The apikey has expired"), 401),
    "error.expired_token": Signal("authentication", wrapped(16, 401, "The token has expired"), 401),
    "error.role": Signal("permission", wrapped(7, 403, "Permission denied"), 403),
    "error.billing": Signal("quota", wrapped(7, 403, "The billing account is not active"), 403),
    "error.not_found": Signal("not_found", wrapped(5, 404, "The model is not found"), 404),
    "error.concurrency": Signal("rate_limit", wrapped(8, 429, GAUGE), 429),
    "error.nothing_allowed": Signal("quota", wrapped(8, 429, NO_GAUGE), 429),
    "error.rate": Signal("rate_limit", wrapped(8, 429, RATE), 429),
    "error.hourly_quota": Signal("rate_limit", wrapped(8, 429, HOURLY), 429, final=True),
    "error.exhausted": Signal("rate_limit", wrapped(8, 429), 429),
    "error.cancelled": Signal("connection", wrapped(1, 499), 499),
    "error.internal": Signal("server", wrapped(13, 500), 500),
    "error.unimplemented": Signal("bad_request", wrapped(12, 501), 501),
    "error.unavailable": Signal("server", wrapped(14, 503), 503),
    "error.deadline": Signal("timeout", wrapped(4, 504), 504),
    "error.flat_key": Signal("authentication", flat(16, UNKNOWN_KEY), 401),
    "error.flat_role": Signal("permission", flat(7), 403),
    "error.flat_exhausted": Signal("rate_limit", flat(8), 429),
    "error.flat_unavailable": Signal("server", flat(14), 503),
    "error.in_200": Signal("server", wrapped(13, 500)),
    "error.rate_in_200": Signal("rate_limit", wrapped(8, 429, GAUGE)),
}
"""What the service says where it does not answer. None of it is a block."""

BODIES: Final[dict[str, Signal]] = {
    "body.html": Signal("response_format", constant("<html>Sign in</html>")),
    "body.empty": Signal("response_format", constant(None)),
    "body.other_object": Signal("response_format", constant({"hello": 1})),
    "body.list": Signal("response_format", constant([1, 2])),
    "body.html_502": Signal("server", constant("<html>Bad gateway</html>"), 502),
    "body.empty_503": Signal("server", constant(None), 503),
    "body.empty_object_418": Signal("bad_request", constant({}), 418),
    "body.gateway_499": Signal("connection", constant(None), 499),
}
"""What stands where an answer should, whoever the server is."""

OPERATIONS: Final[dict[str, Signal]] = {
    "operation.slow": Signal("answered", answer("FINAL"), course="slow"),
    "operation.flaky": Signal("answered", answer("FINAL"), course="flaky"),
    "operation.slow_block": Signal("blocked", answer("CONTENT_FILTER", CANNED), course="slow"),
    "operation.never": Signal("timeout", wrapped(4, 504), 504, course="never", late=True),
    "operation.vanished": Signal("server", wrapped(13, 500), 500, course="vanished", late=True),
    "operation.internal": Signal("server", wrapped(13, 500), 500, course="slow", late=True),
    "operation.exhausted": Signal("rate_limit", wrapped(8, 429, GAUGE), 429, late=True),
    "operation.invalid": Signal("bad_request", wrapped(3, 400), 400, late=True),
    "operation.too_long": Signal("context_length", wrapped(3, 400, TOO_LONG), 400, late=True),
    "operation.key": Signal("authentication", wrapped(16, 401, UNKNOWN_KEY), 401, late=True),
    "operation.cancelled": Signal("connection", wrapped(1, 499), 499, late=True),
}
"""How an operation may go; where none is asked for, the same end comes at once."""

SIGNALS: Final[dict[str, Signal]] = {**COMPLETIONS, **ERRORS, **BODIES, **OPERATIONS}
