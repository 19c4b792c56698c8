"""What HiveTrace promises its users, held against the three models and their plugin."""

from __future__ import annotations

from typing import Any

from hivetrace_openai import OpenAIModel, OpenRouterModel, SberCloudModel

from hivetrace_core.testing import DialectConformance, ModelConformance, PluginConformance


class TestPlugin(PluginConformance):
    distribution = "hivetrace-openai"


class ChatConformance(ModelConformance, DialectConformance):
    def params(self, base_url: str) -> dict[str, Any]:
        return {"model": "m-1", "base_url": base_url, "api_key": self.secret}


class TestOpenAIModel(ChatConformance):
    model_class = OpenAIModel


class TestOpenRouterModel(ChatConformance):
    model_class = OpenRouterModel


class TestSberCloudModel(ChatConformance):
    model_class = SberCloudModel
