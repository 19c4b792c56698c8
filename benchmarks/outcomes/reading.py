"""How a careful user of a library would read what it shows: one written rule for all of them.

Generous on purpose. Whatever the library lets through counts, be it a class, a field, an error body or the wording of
an error. Two readings are made: `closely`, with all of that, and plainly, with the words that the library itself stands
for: exception classes, status and code attributes, the finish reason.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from hivetrace_core import ErrorKind, Outcome


class Verdict(NamedTuple):
    """What was read: the outcome and, where it failed, the kind of error."""

    outcome: Outcome
    kind: ErrorKind | None = None


_FINISH: Final[dict[str, Outcome]] = {
    **dict.fromkeys(("stop", "end_turn", "eos", "eos_token"), "answered"),
    **dict.fromkeys(("length", "max_tokens", "continuation"), "truncated"),
    **dict.fromkeys(("tool_calls", "function_call", "tool_call"), "tool_calls"),
    **dict.fromkeys(
        ("content_filter", "blacklist", "safety", "blocklist", "prohibited_content", "spii", "image_safety",
         "recitation", "image_recitation", "image_prohibited_content", "escalation", "model_armor", "content_filtered"),
        "blocked",
    ),
    "refusal": "refused",
    **dict.fromkeys(
        ("error", "malformed_function_call", "unexpected_tool_call", "too_many_tool_calls", "missing_thought_signature",
         "malformed_response", "pup_limited_disabled", "load", "unload"),
        "failed",
    ),
}  # fmt: skip
_REASONS: Final = ("finish_reason", "done_reason", "native_finish_reason")

_CODES: Final[tuple[tuple[str, Verdict], ...]] = (
    (r"content_filter|content_policy_violation|moderation_blocked|responsibleaipolicyviolation", Verdict("blocked")),
    (r"flagged_input|patterns|reasons", Verdict("blocked")),
    (r"refusal", Verdict("refused")),
    (r"context_length_exceeded|token_limit_exceeded|string_too_long", Verdict("failed", "context_length")),
    (r"openrouter_in_flight_budget|capacity_exhausted", Verdict("failed", "rate_limit")),
    (
        r"insufficient_quota|credit_balance_exhausted|\w+_(spend|usage)_limit_exceeded|openrouter_\w+|\w*perday\w*(-.*)?",
        Verdict("failed", "quota"),
    ),
    (r"model_not_found|deploymentnotfound", Verdict("failed", "not_found")),
    (r"api_key_invalid|invalid_api_key|unauthenticated", Verdict("failed", "authentication")),
    (r"failed_precondition", Verdict("failed", "permission")),
    (r"timeout", Verdict("failed", "timeout")),
    (r"provider_unavailable|provider_overloaded|server_error|unavailable", Verdict("failed", "server")),
    (r"rate_limit_exceeded|slow_down", Verdict("failed", "rate_limit")),
)
"""Codes in attributes and bodies, and what they mean by their vendors' documentation; whole words, in lower case."""

_PROSE: Final[tuple[tuple[str, Verdict], ...]] = (
    (
        r"usage policy|safety (reasons|system)|content (management policy|filter|moderation)|flagged|prompt injection",
        Verdict("blocked"),
    ),
    (
        r"maximum context length|exceeds the maximum number of tokens|longer than the context length",
        Verdict("failed", "context_length"),
    ),
    (r"limit: 0\b|current quota(?!.*perminute)|billing account", Verdict("failed", "quota")),
    (r"credit balance|insufficient credits|(spend|usage|key) limit|budget exceeded", Verdict("failed", "quota")),
    (r"api key (not valid|was reported)|authorization\W+header|\bscope\b", Verdict("failed", "authentication")),
    (r"maximum pending requests", Verdict("failed", "rate_limit")),
    (r"not a valid model id", Verdict("failed", "not_found")),
)
"""Wordings of errors that mean more than their status does."""

_CLASSES: Final[tuple[tuple[str, Verdict], ...]] = (
    (r"contentpolicy|contentfilter", Verdict("blocked")),
    (r"contextwindow|contextoverflow|requestentitytoolarge", Verdict("failed", "context_length")),
    (r"authentication|unauthorized|autherror", Verdict("failed", "authentication")),
    (r"permissiondenied|forbidden", Verdict("failed", "permission")),
    (r"paymentrequired|insufficientquota", Verdict("failed", "quota")),
    (r"ratelimit|toomanyrequests", Verdict("failed", "rate_limit")),
    (r"notfound", Verdict("failed", "not_found")),
    (r"timeout", Verdict("failed", "timeout")),
    (r"servererror|internalserver|serviceunavailable|badgateway|provideroverloaded", Verdict("failed", "server")),
    (r"connect|remoteprotocol", Verdict("failed", "connection")),
    (
        r"jsondecode|validationerror|^typeerror|^attributeerror|^keyerror|^indexerror|^valueerror|unmarshal",
        Verdict("failed", "response_format"),
    ),
)
"""Classes of exceptions; the first that matches, from the raised one upwards."""

_STATUSES: Final[dict[int, ErrorKind]] = {
    401: "authentication", 402: "quota", 403: "permission", 404: "not_found", 408: "timeout", 409: "server",
    429: "rate_limit", 499: "connection", 501: "bad_request",
}  # fmt: skip


def read(seen: Mapping[str, Any], *, closely: bool, stream: bool, timeout_504: bool) -> Verdict | None:
    """What a user learns from what a client saw; None where nothing came back (it hung or crashed).

    Args:
        seen: As `clients` put it.
        closely: With error bodies and wordings, native finish reasons and errors beside an answer.
        stream: Whether it came in pieces: then an end without a finish reason is a cut connection.
        timeout_504: Whether this vendor means a timeout by a 504; for the others it is one of the server's errors.
    """
    if seen.get("blocked_by_library"):
        return Verdict("blocked")
    if "classes" in seen:
        return _raised(seen, closely=closely, timeout_504=timeout_504)
    if "signals" not in seen:
        return None
    error = seen["signals"].get("error")
    if closely and error:
        body = error if isinstance(error, Mapping) else {"message": str(error)}
        beside = {"classes": [], "fields": {"body": body, **body}, "text": ""}
        return _raised(beside, closely=True, timeout_504=timeout_504)
    return _answer(seen, closely=closely, stream=stream)


def _answer(seen: Mapping[str, Any], *, closely: bool, stream: bool) -> Verdict:
    signals: Mapping[str, Any] = seen["signals"]
    names = _REASONS if closely else _REASONS[:2]
    words = [str(signals[name]).lower().removeprefix("finishreason.") for name in names if signals.get(name)]
    outcomes: set[Outcome | None] = {_FINISH.get(word) for word in words}
    if closely and None in outcomes:
        return Verdict("unknown")  # also where the library's own word hides a vendor's new one
    feedback = signals.get("prompt_feedback") or {}
    beside: dict[Outcome, Any] = {
        "blocked": feedback.get("block_reason"),
        "refused": seen.get("refusal"),
        "tool_calls": seen.get("tool_calls"),
    }
    outcomes |= {outcome for outcome, there in beside.items() if there}
    for outcome in ("blocked", "refused", "failed", "tool_calls", "truncated"):
        if outcome in outcomes:
            banned = outcome == "failed" and "pup_limited_disabled" in words
            return Verdict(outcome, ("permission" if banned else "server") if outcome == "failed" else None)
    if signals.get("done") is False or (stream and not words):
        return Verdict("failed", "connection")
    if None in outcomes:
        return Verdict("unknown")
    if not seen["content"]:
        return Verdict("empty")
    return Verdict("answered" if words else "unknown")


def _raised(seen: Mapping[str, Any], *, closely: bool, timeout_504: bool) -> Verdict:
    fields: Mapping[str, Any] = seen["fields"]
    plain = {name: fields.get(name) for name in ("code", "type", "status")}
    bodies = [fields, *_embedded(seen["text"])] if closely else [plain]
    words = {word.lower() for body in bodies for word in _words(body)}
    for pattern, verdict in _CODES:
        if any(re.fullmatch(pattern, word) for word in words):
            return verdict
    if closely:
        said = f"{seen['text']}\n{json.dumps(fields, ensure_ascii=False)}".lower()
        for pattern, verdict in _PROSE:
            if re.search(pattern, said, re.DOTALL):
                return verdict
    for name in seen["classes"]:
        for pattern, verdict in _CLASSES:
            if re.search(pattern, name.lower()):
                # The class may be broader than the status: a 504 that is raised as a server's error.
                return _by_status(fields, "", timeout_504) or verdict if verdict.kind == "server" else verdict
    return _by_status(fields, seen["text"] if closely else "", timeout_504) or Verdict("failed", "unexpected")


def _by_status(fields: Mapping[str, Any], text: str, timeout_504: bool) -> Verdict | None:
    shown: list[Any] = [fields.get(name) for name in ("status_code", "code", "status")]
    shown += re.findall(r"(?:^|code: |\()([45]\d\d|-1)\b|\b([45]\d\d) [A-Z_]{6,}", text)[:1]
    for value in ("".join(value) if isinstance(value, tuple) else str(value) for value in shown):
        if value == "-1":  # how the client of a local server writes an error in the middle of a stream
            return Verdict("failed", "server")
        status = int(value) if value.isdigit() else 0
        if status == 504 and timeout_504:
            return Verdict("failed", "timeout")
        if 400 <= status < 600:
            return Verdict("failed", _STATUSES.get(status, "bad_request" if status < 500 else "server"))
    return None


def _embedded(text: str) -> Iterator[Any]:
    """Error bodies that are written into the text of an exception, as JSON or as Python prints a dict."""
    for line in text.splitlines():
        start, end = line.find("{"), line.rfind("}")
        if 0 <= start < end:
            for decode in (json.loads, ast.literal_eval):
                try:
                    yield decode(line[start : end + 1])
                except (ValueError, SyntaxError, MemoryError, RecursionError):
                    continue
                break


def _words(value: Any) -> Iterator[str]:
    """Keys, and the strings that are single words: codes, not sentences."""
    if isinstance(value, str):
        if value.startswith(("{", "[")):
            try:
                yield from _words(json.loads(value))
            except ValueError:
                return
        elif " " not in value:
            yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _words(item)
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)
