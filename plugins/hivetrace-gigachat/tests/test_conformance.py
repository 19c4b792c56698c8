"""What HiveTrace promises its users, held against the model and its plugin."""

from __future__ import annotations

from typing import Any

from hivetrace_gigachat import GigaChatModel
from hivetrace_gigachat.dialect import AUTH_PATH

from hivetrace_core.testing import DialectConformance, ModelConformance, PluginConformance


class TestPlugin(PluginConformance):
    distribution = "hivetrace-gigachat"


class TestGigaChatModel(ModelConformance, DialectConformance):
    model_class = GigaChatModel

    def params(self, base_url: str) -> dict[str, Any]:
        auth_url = base_url.removesuffix("/v1") + AUTH_PATH
        return {"model": "m-1", "base_url": base_url, "auth_url": auth_url, "credentials": self.secret}
