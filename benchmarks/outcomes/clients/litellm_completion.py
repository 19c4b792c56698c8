"""LiteLLM: `completion`, whole and streamed, without its retries."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from ._showing import KEY, TIMEOUT_S, Question, Seen, plain, raised, serve

os.environ.update({"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "CRITICAL"})
litellm: Any = import_module("litellm")
litellm.suppress_debug_info = True


def settings(question: Question) -> dict[str, Any] | None:
    url, vendor = question["url"], question["vendor"]
    if question["service"] in ("v2", "operation"):
        return None
    if question["service"] == "azure":
        return {"model": "azure/corpus", "api_base": url, "api_version": "2024-10-21"}
    if vendor == "gigachat":
        own: dict[str, Any] = {"model": "gigachat/GigaChat-2", "api_base": f"{url}/v1"}
        if question["service"] == "oauth":
            return {**own, "api_key": "Y29ycHVzOmNvcnB1cw==", "gigachat_auth_url": f"{url}/token"}
        return {**own, "gigachat_access_token": KEY}
    models = {
        "openai": ("openai/gpt-4.1", "/v1"),
        "openrouter": ("openrouter/qwen/qwen3-8b", "/v1"),
        "sbercloud": ("openai/openai/gpt-oss-120b", "/v1"),
        "gemini": ("gemini/gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash"),
        "ollama": ("ollama_chat/llama3.2", ""),
    }
    model, path = models[vendor]
    return {"model": model, "api_base": url + path}


def ask(question: Question) -> Seen:
    chosen = settings(question)
    if chosen is None:
        return {"unsupported": True}
    own = {"api_key": KEY, "num_retries": 0, "max_retries": 0, "timeout": TIMEOUT_S, **chosen}
    messages = [{"role": "user", "content": "Hi"}]
    if not question["stream"]:
        return shown(litellm.completion(messages=messages, **own))
    seen: Seen = {"content": "", "signals": {"finish_reason": None}, "tool_calls": False, "refusal": ""}
    try:
        for chunk in litellm.completion(messages=messages, stream=True, **own):
            add(seen, chunk)
    except Exception as exc:  # noqa: BLE001  # whatever a library raises is what it shows
        return raised(exc, seen["content"])
    return seen


def add(seen: Seen, chunk: Any) -> None:
    """One piece of a stream: its text, and whatever it says about the end."""
    for choice in chunk.choices[:1]:
        delta = choice.delta
        seen["content"] += delta.content or ""
        seen["tool_calls"] = seen["tool_calls"] or bool(delta.tool_calls)
        more = getattr(delta, "provider_specific_fields", None) or {}
        seen["refusal"] += more.get("refusal") or getattr(delta, "refusal", None) or ""
        if choice.finish_reason:
            seen["signals"]["finish_reason"] = plain(choice.finish_reason)
        native = getattr(choice, "provider_specific_fields", None) or {}
        seen["signals"].update((name, plain(value)) for name, value in native.items())


def shown(answer: Any) -> Seen:
    signals: dict[str, Any] = {}
    seen: Seen = {"content": "", "signals": signals, "tool_calls": False}
    for choice in answer.choices[:1]:
        message = choice.message
        signals["finish_reason"] = plain(choice.finish_reason)
        more = getattr(choice, "provider_specific_fields", None) or {}
        signals |= {name: plain(value) for name, value in more.items()}
        hidden = getattr(message, "provider_specific_fields", None) or {}
        seen["content"] = message.content or ""
        seen["tool_calls"] = bool(message.tool_calls or getattr(message, "function_call", None))
        seen["refusal"] = hidden.get("refusal") or getattr(message, "refusal", None) or ""
    for name in ("error", "promptFeedback", "prompt_feedback"):
        if getattr(answer, name, None):
            signals[name] = plain(getattr(answer, name))
    return seen


if __name__ == "__main__":
    serve(ask, ("litellm", "openai"))
