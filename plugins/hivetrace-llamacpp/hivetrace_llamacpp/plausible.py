"""What a whole GGUF file may still claim that llama.cpp answers by ending the process, or that is no model to talk to.

The limits are those of llama.cpp's loader (llama-model.cpp, llama-hparams.h) in llama-cpp-python 0.3.36.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MOST_LAYERS: Final = 512
MOST_EXPERTS: Final = 1024

_ROPE_SCALINGS: Final = ("none", "linear", "yarn", "longrope")

_OTHER_KINDS: Final = {
    "adapter": "is an adapter (LoRA), not a model; merge it into its model first",
    "mmproj": "is the projector of a model that sees images (mmproj), not the model itself",
    "clip": "is the projector of a model that sees images (mmproj), not the model itself",
    "imatrix": "is an importance matrix, not a model",
}
"""By `general.type` or `general.architecture`."""


def problem(values: Mapping[str, Any], tensors: int) -> str | None:
    """What is wrong with a file, as words that follow its name; None where nothing is.

    Args:
        values: Its metadata.
        tensors: How many it has.
    """
    architecture = values["general.architecture"]
    for kind in (values.get("general.type"), architecture):
        if isinstance(kind, str) and kind in _OTHER_KINDS:
            return _OTHER_KINDS[kind]
    if not tensors:
        return "has a vocabulary and no weights"
    own = {name.removeprefix(f"{architecture}."): value for name, value in values.items()}
    if own.get("attention.causal") is False:
        return "is an embedding model: it reads text and writes none"
    wrong = _wrong_number(own) or _wrong_experts(own)
    return f"claims {architecture}.{wrong}" if wrong else None


def _wrong_number(own: Mapping[str, Any]) -> str | None:
    for name in ("block_count", "embedding_length", "attention.head_count"):
        # Models with a recurrent state have no heads.
        if own.get(name) == 0 and not (name == "attention.head_count" and _is_recurrent(own)):
            return f"{name} = 0"
    for name in ("attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon"):
        if isinstance(own.get(name), float) and not own[name] >= 0:
            return f"{name} = {own[name]}"
    layers = own.get("block_count")
    if isinstance(layers, int) and layers > MOST_LAYERS:
        return f"block_count = {layers}; llama.cpp takes at most {MOST_LAYERS} layers"
    if isinstance(layers, int) and _number(own, "nextn_predict_layers") > layers:
        return f"nextn_predict_layers = {own['nextn_predict_layers']}, and has {layers} layers"
    scaling = own.get("rope.scaling.type")
    if isinstance(scaling, str) and scaling not in _ROPE_SCALINGS:
        return f"rope.scaling.type = {scaling[:40]!r}, which llama.cpp does not know"
    return None


def _wrong_experts(own: Mapping[str, Any]) -> str | None:
    count, groups, used_groups = (
        _number(own, f"expert_{name}") for name in ("count", "group_count", "group_used_count")
    )
    used = own.get("expert_used_count")
    per_layer = used if isinstance(used, list) else [used]
    most_used = max((one & 0xFFFFFFFF for one in per_layer if isinstance(one, int)), default=0)  # read as unsigned
    if (
        not most_used <= count <= MOST_EXPERTS
        or (count and not (most_used and groups < count))
        or (groups and not count)
        or (groups > 1 and (count % groups or not 0 < used_groups < groups))
    ):
        return f"expert_count = {count}, which does not fit its other numbers of experts"
    return None


def _is_recurrent(own: Mapping[str, Any]) -> bool:
    return any(name.startswith(("ssm.", "wkv.")) for name in own)


def _number(own: Mapping[str, Any], name: str) -> int:
    value = own.get(name, 0)
    return value if isinstance(value, int) else 0
