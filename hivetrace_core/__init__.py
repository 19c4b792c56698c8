"""HiveTrace: a plugin-based model layer for people who red-team language models.

Names are loaded when they are first used: importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._version import __version__
    from .config.loader import load_config
    from .config.schema import RunConfig
    from .contract import Model, as_model
    from .errors import (
        ConfigError,
        ErrorKind,
        HiveTraceError,
        IncompatiblePluginError,
        MissingDependencyError,
        ModelError,
        NameConflictError,
        PluginError,
        PluginLoadError,
        RunError,
        UnknownModelError,
    )
    from .messages import Message, Messages, Prompt, normalize, text_of
    from .options import ModelOptions, SecretStr, from_env
    from .params import ModelParams
    from .provider import ProviderModel
    from .registry import create_model, register_model
    from .registry.hookspecs import hookimpl
    from .registry.spec import ModelSpec
    from .responses import (
        Block,
        BlockCategory,
        ErrorInfo,
        Evidence,
        FinishReason,
        ModelResponse,
        Outcome,
        Reply,
        ResponseChunk,
        ResponseMetadata,
        Usage,
    )
    from .runs.export import export
    from .runs.runner import resume, run

__all__ = [
    "Block",
    "BlockCategory",
    "ConfigError",
    "ErrorInfo",
    "ErrorKind",
    "Evidence",
    "FinishReason",
    "HiveTraceError",
    "IncompatiblePluginError",
    "Message",
    "Messages",
    "MissingDependencyError",
    "Model",
    "ModelError",
    "ModelOptions",
    "ModelParams",
    "ModelResponse",
    "ModelSpec",
    "NameConflictError",
    "Outcome",
    "PluginError",
    "PluginLoadError",
    "Prompt",
    "ProviderModel",
    "Reply",
    "ResponseChunk",
    "ResponseMetadata",
    "RunConfig",
    "RunError",
    "SecretStr",
    "UnknownModelError",
    "Usage",
    "__version__",
    "as_model",
    "create_model",
    "export",
    "from_env",
    "hookimpl",
    "load_config",
    "normalize",
    "register_model",
    "resume",
    "run",
    "text_of",
]

_HOMES: dict[str, str] = {
    "__version__": "_version",
    "as_model": "contract",
    "create_model": "registry",
    "export": "runs.export",
    "from_env": "options",
    "hookimpl": "registry.hookspecs",
    "load_config": "config.loader",
    "normalize": "messages",
    "register_model": "registry",
    "resume": "runs.runner",
    "run": "runs.runner",
    "text_of": "messages",
    "Message": "messages",
    "Messages": "messages",
    "Model": "contract",
    "ModelOptions": "options",
    "ModelParams": "params",
    "ModelSpec": "registry.spec",
    "Prompt": "messages",
    "ProviderModel": "provider",
    "RunConfig": "config.schema",
    "SecretStr": "options",
    **dict.fromkeys(
        [
            "ConfigError",
            "ErrorKind",
            "HiveTraceError",
            "IncompatiblePluginError",
            "MissingDependencyError",
            "ModelError",
            "NameConflictError",
            "PluginError",
            "PluginLoadError",
            "RunError",
            "UnknownModelError",
        ],
        "errors",
    ),
    **dict.fromkeys(
        [
            "Block",
            "BlockCategory",
            "ErrorInfo",
            "Evidence",
            "FinishReason",
            "ModelResponse",
            "Outcome",
            "Reply",
            "ResponseChunk",
            "ResponseMetadata",
            "Usage",
        ],
        "responses",
    ),
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
