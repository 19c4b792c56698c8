"""What HiveTrace promises its users, held against the embedded target."""

from __future__ import annotations

from typing import Any

from hivetrace_core.simulated.model import SimulatedModel
from hivetrace_core.testing import ModelConformance, PluginConformance


class TestSimulatedPlugin(PluginConformance):
    distribution = "hivetrace-core"


class TestSimulatedModel(ModelConformance):
    model_class = SimulatedModel
    dialect = None

    def params(self, base_url: str) -> dict[str, Any]:
        return {"model": "simulated", "latency": 0.001}
