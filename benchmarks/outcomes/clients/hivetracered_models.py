"""HiveTraceRed's models: `ainvoke`, one attempt, and `is_answer_blocked` of what it returned."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from ._messages import message_shown
from ._showing import KEY, TIMEOUT_S, Question, Seen, serve

models: Any = import_module("hivetracered.models")


def model_of(question: Question) -> Any:
    url, vendor = question["url"], question["vendor"]
    # It has no token streams, no Azure, and of GigaChat only the first API.
    if question["stream"] or question["service"] in ("v2", "operation", "azure"):
        return None
    openai: dict[str, Any] = {"api_key": KEY, "base_url": f"{url}/v1", "timeout": TIMEOUT_S, "rpm": 10**9}
    if vendor == "openai":
        return models.OpenAIModel(model="gpt-4.1", max_retries=1, **openai)
    if vendor == "openrouter":
        return models.OpenRouterModel(model="qwen/qwen3-8b", max_retries=1, **openai)
    if vendor == "sbercloud":
        return models.CloudRuModel(model="openai/gpt-oss-120b", max_retries=1, **openai)
    if vendor == "gemini":
        own: dict[str, Any] = {"api_key": KEY, "base_url": url, "timeout": TIMEOUT_S, "retries": 1}
        return models.GeminiModel(model="gemini-2.5-flash", max_retries=1, rpm=10**9, **own)
    if vendor == "gigachat":
        own = {"base_url": f"{url}/v1", "auth_url": f"{url}/token", "timeout": TIMEOUT_S}
        if question["service"] != "oauth":
            own["access_token"] = KEY
        credentials = "Y29ycHVzOmNvcnB1cw=="
        return models.GigaChatModel(model="GigaChat-2", credentials=credentials, max_retries=1, **own)
    return models.OllamaModel(model="llama3.2", base_url=url, max_retries=1, client_kwargs={"timeout": TIMEOUT_S})


def ask(question: Question) -> Seen:
    model = model_of(question)
    if model is None:
        return {"unsupported": True}
    answer: dict[str, Any] = asyncio.run(model.ainvoke("Hi"))
    if answer.get("error_type"):
        # Its documented form of a failure: the text of the exception and the name of its class.
        seen: Seen = {"classes": [answer["error_type"]], "fields": {}, "text": answer.get("error") or "", "partial": ""}
    else:
        seen = message_shown(answer)
    seen["blocked_by_library"] = bool(model.is_answer_blocked(answer))
    return seen


if __name__ == "__main__":
    serve(ask, ("hivetracered", "langchain-core", "langchain-openai", "langchain-google-genai", "langchain-gigachat"))
