"""What HiveTrace promises its users, held against the model and its plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from hivetrace_llamacpp import LlamaCppModel

from hivetrace_core.testing import ModelConformance, PluginConformance


class TestPlugin(PluginConformance):
    distribution = "hivetrace-llamacpp"


class TestLlamaCppModel(ModelConformance):
    model_class = LlamaCppModel
    dialect = None
    exceptions: ClassVar = {
        "test_a_forked_child_can_use_the_model_of_its_parent": "the threads that compute stay in the parent; the error "
        "that says so has a test of its own",
    }
    path = Path()

    @pytest.fixture(autouse=True)
    def _file(self, tiny: Path) -> None:
        type(self).path = tiny

    def params(self, base_url: str) -> dict[str, Any]:
        # The grammar lets the random model end its answers by itself.
        return {
            "model_path": str(self.path),
            "n_ctx": 128,
            "n_threads": 1,
            "batch_size": 4,
            "temperature": 0,
            "grammar": 'root ::= "yes" [a-z] [a-z]',
        }
