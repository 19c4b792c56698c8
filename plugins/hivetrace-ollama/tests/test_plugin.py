"""The light module: what importing it costs, and what it offers."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points

import hivetrace_ollama
import pytest
from hivetrace_ollama.options import OllamaOptions
from hivetrace_ollama.params import OllamaParams

SCRIPT = """
import json, os, sys
os.environ["OLLAMA_HOST"] = "ftp://wrong"
import hivetrace_ollama, hivetrace_ollama.options, hivetrace_ollama.outcomes, hivetrace_ollama.dialect
import hivetrace_ollama.params, hivetrace_ollama.truncation
[spec] = hivetrace_ollama.hivetrace_models()
print(json.dumps([sorted(sys.modules), spec.name, spec.claims]))
"""


def test_the_light_modules_import_no_client_and_read_no_environment() -> None:
    modules, name, claims = json.loads(subprocess.check_output([sys.executable, "-c", SCRIPT]))

    assert not {"ollama", "aiohttp", "httpx", "hivetrace_ollama.model"} & set(modules)
    assert (name, claims) == ("ollama", [])


def test_the_entry_point_names_the_module() -> None:
    (point,) = entry_points(group="hivetrace.models", name="ollama")

    assert point.load() is hivetrace_ollama


def test_the_public_names_are_there_and_others_are_not() -> None:
    assert [getattr(hivetrace_ollama, name).__name__ for name in hivetrace_ollama.__all__] == hivetrace_ollama.__all__
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = hivetrace_ollama.Nonsense


def test_every_option_is_described_and_typed_for_the_constructor() -> None:
    fields = OllamaOptions.model_fields

    assert set(OllamaParams.__annotations__) == set(fields) - {"model"}
    assert [name for name, field in fields.items() if not field.description] == []
