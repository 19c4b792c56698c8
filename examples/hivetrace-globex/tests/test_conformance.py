"""What HiveTrace promises its users, held against this plugin."""

from __future__ import annotations

from typing import Any

from hivetrace_globex.model import GlobexModel

from hivetrace_core.testing import DialectConformance, ModelConformance, PluginConformance


class TestGlobexPlugin(PluginConformance):
    distribution = "hivetrace-globex"


class TestGlobexModel(ModelConformance, DialectConformance):
    model_class = GlobexModel

    def params(self, base_url: str) -> dict[str, Any]:
        return {"model": "globex-large", "base_url": base_url, "api_key": self.secret}
