"""Paths among a model's params start at the config file; from Python, at the current folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hivetrace_core import Messages, ModelOptions, ProviderModel, load_config
from hivetrace_core.config import ConfiguredModel, configure
from hivetrace_core.registry import Registry


class AtlasOptions(ModelOptions):
    model: str = "a/b"
    bundle: Path | None = None
    folder: Path = Path("maps")
    title: str = "maps"


class AtlasModel(ProviderModel[AtlasOptions]):
    async def complete(self, client: Any, messages: Messages) -> Mapping[str, Any]:
        return {"content": "here"}


def configured(config: Any) -> ConfiguredModel:
    registry = Registry()
    registry.register("atlas", AtlasModel)
    (found,) = configure(load_config(config), registry)
    return found


@pytest.mark.parametrize(
    ("written", "meant"),
    [("ca.pem", "{here}/ca.pem"), ("../ca.pem", "{here}/../ca.pem"), ("/etc/ca.pem", "/etc/ca.pem"), ("~/ca", "~/ca")],
)
def test_a_relative_path_starts_at_the_config(tmp_path: Path, written: str, meant: str) -> None:
    file = tmp_path / "run.yaml"
    params = f"{{bundle: {written}, title: maps/one}}"
    file.write_text(f"models: [{{name: atlas/x/y, params: {params}}}]\nprompts: [a]\n", "utf-8")

    found = configured(file)

    assert found.options is not None
    model = found.build()
    assert isinstance(model, AtlasModel)
    assert str(model.options.bundle) == meant.format(here=tmp_path)
    assert (model.options.model, model.options.title, str(model.options.folder)) == ("x/y", "maps/one", "maps")
    assert found.label == "atlas/x/y"


def test_without_a_file_it_starts_at_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = configured({"models": [{"name": "atlas", "params": {"bundle": "ca.pem"}}], "prompts": ["a"]}).build()

    assert isinstance(model, AtlasModel)
    assert model.options.bundle == tmp_path / "ca.pem"
