"""What HiveTrace promises its users, held against the model and its plugin."""

from __future__ import annotations

from typing import Any

from hivetrace_ollama import OllamaModel
from hivetrace_ollama.dialect import OllamaDialect

from hivetrace_core.testing import DialectConformance, ModelConformance, PluginConformance


class TestPlugin(PluginConformance):
    distribution = "hivetrace-ollama"


class TestOllamaModel(ModelConformance, DialectConformance):
    model_class = OllamaModel
    cannot_say = OllamaDialect.cannot_say

    def params(self, base_url: str) -> dict[str, Any]:
        return {"model": "m-1", "base_url": base_url, "api_key": self.secret}
