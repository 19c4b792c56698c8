"""HiveTrace's own models in the same words as the corpus: what they show, and how they are set up for a case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hivetrace_core import ModelError

from .corpus import Case

_KEY: Final = "key-of-the-corpus"
_MODELS: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "openai": ("openai/gpt-4.1", "/v1", {"api_key": _KEY}),
    "openrouter": ("openrouter/qwen/qwen3-8b", "/v1", {"api_key": _KEY}),
    "sbercloud": ("sbercloud/openai/gpt-oss-120b", "/v1", {"api_key": _KEY}),
    "gigachat": ("gigachat/GigaChat-2", "/v1", {"access_token": _KEY}),
    "yandex": ("yandex/yandexgpt-lite", "/foundationModels/v1", {"api_key": _KEY, "folder_id": "b1g"}),
    "gemini": ("gemini/gemini-2.5-flash", "/v1beta", {"api_key": _KEY}),
    "ollama": ("ollama/llama3.2", "", {}),
}
"""Per vendor: the name, what its address has after the host, and the options that it must have."""


def settings(case: Case, url: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of the model that asks for this case; one attempt.

    Args:
        case: The case.
        url: Where the case is served.
    """
    name, path, params = _MODELS[case.vendor]
    own: dict[str, Any] = {**params, "base_url": url + path, "max_attempts": 1, "timeout": 10}
    if case.service == "oauth":
        del own["access_token"]
        own |= {"credentials": "Y29ycHVzOmNvcnB1cw==", "auth_url": f"{url}/token"}
    if case.service == "azure":
        del own["base_url"]
        own |= {"azure_endpoint": url, "azure_deployment": "corpus", "api_version": "2024-10-21"}
    return name, own


def observed(found: Mapping[str, Any] | ModelError) -> dict[str, Any]:
    """A response or an error in the corpus's words."""
    if isinstance(found, ModelError):
        return {"outcome": "failed", "kind": found.kind, "retryable": found.retryable, "wait": found.retry_after}
    metadata = found["response_metadata"]
    block = metadata.get("block", {})
    return {
        "outcome": metadata["outcome"],
        "stage": block.get("stage"),
        "categories": tuple(category["name"] for category in block.get("categories", ())),
        "content": found["content"],
    }
