"""Configs: YAML or a mapping in, a checked `RunConfig` and models ready to be built out."""

from .comparing import comparable, differences
from .env_file import load_env_file
from .expand import Expanded, expand
from .loader import load_config
from .masking import masked, masked_yaml
from .models import ConfiguredModel, UncheckedModel, configure
from .schema import (
    LIMIT_OPTIONS,
    ModelEntry,
    OutputOptions,
    PluginOptions,
    PromptSource,
    RunConfig,
    RunLimits,
    StoredPrompts,
)

__all__ = [
    "LIMIT_OPTIONS",
    "ConfiguredModel",
    "Expanded",
    "ModelEntry",
    "OutputOptions",
    "PluginOptions",
    "PromptSource",
    "RunConfig",
    "RunLimits",
    "StoredPrompts",
    "UncheckedModel",
    "comparable",
    "configure",
    "differences",
    "expand",
    "load_config",
    "load_env_file",
    "masked",
    "masked_yaml",
]
