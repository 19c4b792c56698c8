"""Names: of models as the service writes them, of options as the SDK and other services call them, of variables."""

from __future__ import annotations

import os
from collections.abc import Container
from typing import Any, Final

_KNOWN_MODELS: Final = {
    name.lower(): name
    for family in (
        "GigaChat",
        "GigaChat-Plus",
        "GigaChat-Pro",
        "GigaChat-Max",
        "GigaChat-2",
        "GigaChat-2-Pro",
        "GigaChat-2-Max",
    )
    for name in (family, f"{family}-preview")
}

_LACKING: Final = {
    "stop": "the service has no stop sequences",
    "seed": "the service has no seed; top_p=0 makes answers all but repeatable",
    "presence_penalty": "the service has repetition_penalty instead",
    "frequency_penalty": "the service has repetition_penalty instead",
    "logit_bias": "the service has no biases",
    "logprobs": "the service tells no probabilities",
    "top_logprobs": "the service tells no probabilities",
    "top_k": "the service has top_p only",
    "min_p": "the service has top_p only",
    "n": "one request is one answer",
    "tools": "the service takes `functions`",
    "tool_choice": "the service takes `function_call`",
    "parallel_tool_calls": "one answer has at most one call",
    "max_completion_tokens": "the service takes `max_tokens`",
    "api_key": "pass `credentials` (the authorization key), `access_token`, or `user` and `password`",
    "stream": "for pieces, call model.stream(prompt)",
    "disable_filter": "it belongs to the service's v2; here it is profanity_check=False",
    "filter_config": "it belongs to the service's v2",
    "additional_fields": "pass `extra_body`",
    "max_retries": "retries are counted by `max_attempts`",
    "retry_backoff_factor": "waits between attempts are HiveTrace's",
    "retry_on_status_codes": "what is sent again is decided by the kind of the error",
    "max_connections": "requests in flight are limited by `max_concurrency`",
    "ssl_context": "pass `ca_bundle`",
    "cert_file": "client certificates are not supported; a proxy in front of the service can present one",
    "key_file": "client certificates are not supported; a proxy in front of the service can present one",
    "key_file_password": "client certificates are not supported; a proxy in front of the service can present one",
}
"""Options of other services and of the SDK that have no meaning here, and what to do about each."""


def model_id(given: str) -> str:
    """The id as the service spells it: known ones whatever their case (`gigachat-2-max`), others unchanged."""
    given = given.strip()
    name, colon, version = given.partition(":")
    return _KNOWN_MODELS.get(name.lower(), name) + colon + version


def refuse_what_the_service_lacks(values: dict[str, Any], known: Container[str]) -> None:
    """Name every option that is not one of this service's although others have it.

    Raises:
        ValueError: with the reason for each.
    """
    named = [f"GigaChat has no option {name!r}: {_LACKING[name]}" for name in values if name in _LACKING]
    if named:
        unknown = [name for name in values if name not in known and name not in _LACKING]
        others = f"; unknown options: {', '.join(map(repr, unknown))}" if unknown else ""
        raise ValueError("; ".join(named) + others)


def read_tls(values: dict[str, Any]) -> None:
    """Put the SDK's spellings of the TLS options, and their variables, under core's names.

    The environment's bundle counts where none is passed and certificates are to be verified, its `verify` where neither
    is passed.

    Raises:
        ValueError: both spellings are given and differ.
    """
    for theirs, ours in (("verify_ssl_certs", "verify_tls"), ("ca_bundle_file", "ca_bundle")):
        value = values.pop(theirs, None)
        if value is None:
            continue
        if values.get(ours) not in (None, value):
            raise ValueError(f"{theirs} and {ours} mean the same and differ: pass one of them")
        values[ours] = value
    if values.get("ca_bundle") is not None or values.get("verify_tls") not in (None, True):
        return
    if bundle := os.environ.get("GIGACHAT_CA_BUNDLE_FILE"):
        values["ca_bundle"] = bundle
    elif values.get("verify_tls") is None and (verify := os.environ.get("GIGACHAT_VERIFY_SSL_CERTS")):
        values["verify_tls"] = verify


def read_credential(values: dict[str, Any]) -> None:
    """See to it that there is exactly one credential: the one passed, else the environment's.

    In the environment an access token comes before credentials, and these before user and password, as in the SDK.

    Raises:
        ValueError: there is none, or several are passed, or half of one.
    """
    given = [name for name in ("access_token", "credentials") if _there(values.get(name))]
    if _there(values.get("user")) or _there(values.get("password")):
        given.append("user and password")
    if len(given) > 1:
        raise ValueError(f"pass only one of {' and '.join(given)}")
    if not given:
        _credential_from_environment(values)
    if given == ["user and password"] or _there(values.get("user")):
        for name in ("user", "password"):
            if not _there(values.get(name)) and not _fill(values, name):
                raise ValueError(f"{name} is missing: pass {name}=... or set GIGACHAT_{name.upper()}")


def _credential_from_environment(values: dict[str, Any]) -> None:
    if _fill(values, "access_token") or _fill(values, "credentials") or _fill(values, "user"):
        return
    raise ValueError(
        "credentials is missing: pass credentials=... or set GIGACHAT_CREDENTIALS "
        "(or user and password, or access_token: GIGACHAT_USER and GIGACHAT_PASSWORD, GIGACHAT_ACCESS_TOKEN)"
    )


def _fill(values: dict[str, Any], name: str) -> bool:
    value = os.environ.get(f"GIGACHAT_{name.upper()}")
    if value:
        values[name] = value
    return bool(value)


def _there(value: Any) -> bool:
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    return value is not None and value != ""
