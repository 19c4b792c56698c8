"""What HiveTrace promises its users, held against the model and its plugin."""

from __future__ import annotations

from typing import Any

from hivetrace_yandex import YandexGPTModel

from hivetrace_core.testing import ModelConformance, PluginConformance


class TestPlugin(PluginConformance):
    distribution = "hivetrace-yandex"


class TestYandexGPTModel(ModelConformance):
    model_class = YandexGPTModel

    def params(self, base_url: str) -> dict[str, Any]:
        return {"model": "yandexgpt-lite", "folder_id": "b1g", "base_url": base_url, "api_key": self.secret}
