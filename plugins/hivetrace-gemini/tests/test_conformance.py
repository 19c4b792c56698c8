"""What HiveTrace promises its users, held against the model and its plugin."""

from __future__ import annotations

from typing import Any

from hivetrace_gemini import GeminiNativeModel

from hivetrace_core.testing import DialectConformance, ModelConformance, PluginConformance


class TestPlugin(PluginConformance):
    distribution = "hivetrace-gemini"


class TestGeminiNativeModel(ModelConformance, DialectConformance):
    model_class = GeminiNativeModel

    def params(self, base_url: str) -> dict[str, Any]:
        return {"model": "gemini-2.5-flash", "base_url": base_url, "api_key": self.secret}
