"""LangChain's chat models: `invoke` and `stream`, without their retries."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ._messages import message_shown
from ._showing import KEY, TIMEOUT_S, Question, Seen, raised, serve


def model_of(question: Question) -> Any:
    url, vendor = question["url"], question["vendor"]
    if question["service"] in ("v2", "operation"):
        return None
    if vendor in ("openai", "sbercloud"):
        own: dict[str, Any] = {"api_key": KEY, "max_retries": 0, "timeout": TIMEOUT_S}
        module: Any = import_module("langchain_openai")
        if question["service"] == "azure":
            azure = {"azure_endpoint": url, "azure_deployment": "corpus", "api_version": "2024-10-21"}
            return module.AzureChatOpenAI(**azure, **own)
        return module.ChatOpenAI(model="gpt-4.1", base_url=f"{url}/v1", **own)
    if vendor == "openrouter":
        module = import_module("langchain_openrouter")
        model = module.ChatOpenRouter(
            model="qwen/qwen3-8b", base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=TIMEOUT_S * 1000
        )
        # With max_retries=0 the SDK below still retries every 5xx for up to an hour.
        retries: Any = import_module("openrouter.utils")
        never = retries.RetryConfig("none", retries.BackoffStrategy(1, 1, 1, 1), False)
        model.client.sdk_configuration.retry_config = never
        return model
    if vendor == "gemini":
        module = import_module("langchain_google_genai")
        return module.ChatGoogleGenerativeAI(
            model="gemini-2.5-flash", base_url=url, api_key=KEY, max_retries=1, timeout=TIMEOUT_S
        )
    if vendor == "gigachat":
        module = import_module("langchain_gigachat")
        own = {"model": "GigaChat-2", "base_url": f"{url}/v1", "timeout": TIMEOUT_S, "max_retries": 0}
        own["streaming"] = question["stream"]  # without it `stream` asks for a whole answer
        if question["service"] == "oauth":
            return module.GigaChat(credentials="Y29ycHVzOmNvcnB1cw==", auth_url=f"{url}/token", **own)
        return module.GigaChat(access_token=KEY, **own)
    module = import_module("langchain_ollama")
    return module.ChatOllama(model="llama3.2", base_url=url, client_kwargs={"timeout": TIMEOUT_S})


def ask(question: Question) -> Seen:
    model = model_of(question)
    if model is None:
        return {"unsupported": True}
    if not question["stream"]:
        return message_shown(dict(model.invoke("Hi")))
    whole: Any = None
    try:
        for chunk in model.stream("Hi"):
            whole = chunk if whole is None else whole + chunk
    except Exception as exc:  # noqa: BLE001  # whatever a library raises is what it shows
        return raised(exc, "" if whole is None else message_shown(dict(whole))["content"])
    return message_shown(dict(whole))


DISTRIBUTIONS = ("langchain-core", "langchain-openai", "langchain-openrouter", "langchain-google-genai",
                 "langchain-gigachat", "langchain-ollama", "openai", "google-genai", "gigachat", "ollama")  # fmt: skip

if __name__ == "__main__":
    serve(ask, DISTRIBUTIONS)
