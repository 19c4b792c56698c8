"""The whole provider: its options, one request, and what a reply means.

Globex does not exist. Its API is what many are like: `POST /chat` with `{"model", "messages"}`, answered by
`{"id", "model", "text", "stop"}`. Its filter answers with status 422 and `{"error": {"type": "policy", "labels": []}}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hivetrace_core import FinishReason, Messages, ModelError, ModelResponse, ProviderModel, Reply, SecretStr, from_env
from hivetrace_core.http import HttpOptions, JsonHttp, error_kind_for_status, wait_seconds

_FINISH_REASONS: Final[dict[str, FinishReason]] = {"end": "stop", "max_tokens": "length"}


class GlobexOptions(HttpOptions):
    """Options of Globex, beside those of every provider over HTTP."""

    base_url: str = "https://api.globex.example/v1"
    api_key: SecretStr = from_env("GLOBEX_API_KEY")
    temperature: float | None = None


class GlobexModel(ProviderModel[GlobexOptions]):
    """Globex's chat models."""

    def make_client(self) -> JsonHttp:
        """Connections for one event loop; core closes them."""
        key = self.options.api_key.get_secret_value()
        return JsonHttp(self.options, headers={"Authorization": f"Bearer {key}"})

    async def complete(self, client: JsonHttp, messages: Messages) -> Reply:
        """One request; retries, limits and order are core's."""
        body: dict[str, Any] = {"model": self.options.model, "messages": messages}
        if self.options.temperature is not None:
            body["temperature"] = self.options.temperature
        return await client.post("chat", body)

    def classify(self, reply: Reply) -> ModelResponse:
        """See `classify`."""
        return classify(reply)


def classify(reply: Reply) -> ModelResponse:
    """What a reply means, by its status and payload alone.

    Raises:
        ModelError: it is an error. A block is not.
    """
    payload = _mapping(reply.payload)
    error = _mapping(payload.get("error"))
    if reply.status == 422 and error.get("type") == "policy":
        return {
            "content": "",
            "response_metadata": {
                "finish_reason": "content_filter",
                "native_finish_reason": "policy",
                "outcome": "blocked",
                "block": {
                    "stage": "prompt",
                    "categories": [{"name": str(label)} for label in error.get("labels") or []],
                    "rule": "globex.policy",
                    "evidence": {"path": "error", "value": error},
                },
            },
        }
    if reply.status != 200 or not isinstance(payload.get("text"), str):
        raise ModelError(
            str(error.get("message") or f"Globex answered with status {reply.status}"),
            kind=error_kind_for_status(reply.status),
            status=reply.status,
            code=error.get("type"),
            retry_after=wait_seconds(reply.headers),
        )
    return {
        "content": payload["text"],
        "response_metadata": {
            "model_name": str(payload.get("model")),
            "finish_reason": _FINISH_REASONS.get(str(payload.get("stop")), "unknown"),
            "native_finish_reason": payload.get("stop"),
            "request_id": payload.get("id"),
        },
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
