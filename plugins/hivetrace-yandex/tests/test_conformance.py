"""What HiveTrace promises its users, held against the model and its plugin."""

from __future__ import annotations

from typing import Any

from hivetrace_yandex import YandexGPTModel

from hivetrace_core.testing import DialectConformance, ModelConformance, PluginConformance


class TestPlugin(PluginConformance):
    distribution = "hivetrace-yandex"


class TestYandexGPTModel(ModelConformance, DialectConformance):
    model_class = YandexGPTModel

    def params(self, base_url: str) -> dict[str, Any]:
        return {"model": "yandexgpt-lite", "folder_id": "b1g", "base_url": base_url, "api_key": self.secret}


class TestOperations(DialectConformance):
    """The same answers, by way of operations that are asked for until they are done."""

    model_class = YandexGPTModel

    def params(self, base_url: str) -> dict[str, Any]:
        given = {"model": "yandexgpt-lite", "folder_id": "b1g", "base_url": base_url, "api_key": self.secret}
        return {
            **given,
            "mode": "async",
            "poll_interval": 0.02,
            "max_poll_interval": 0.05,
            "operation_reads_per_second": 1000.0,
        }

    def params_for(self, variant: str) -> dict[str, Any]:
        return {"timeout": 2.0} if variant == "operation.never" else {}
