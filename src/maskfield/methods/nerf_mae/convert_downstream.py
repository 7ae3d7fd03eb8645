"""Official checkpoints of the fine-tuned networks: ``base.`` before what came from the autoencoder.

Pre-trained variants hold the encoder and decoders 4, 3, 2 under ``base.``; scratch variants hold
them without a prefix. ``criterion.weight`` is the class-weight buffer of the loss (quirk Q8).
What no weight shows is read from ``train_args``: the cube's side of a scratch variant
(``resolution``) and how much finer super-resolution answers (``out_resolution``).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from maskfield.core.errors import CheckpointError
from maskfield.core.files import StrPath
from maskfield.engine.strict import load_strictly
from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.convert import (
    BASE,
    ENCODER_KEYS,
    TABLE,
    OfficialCheckpoint,
    config_from_official,
)
from maskfield.methods.nerf_mae.downstream_config import SemanticConfig, SuperResolutionConfig

StateDict = dict[str, Tensor]
FROM_BASE = ("decoder4.", "decoder3.", "decoder2.")
FRESH = ("decoder1.", "encoder1.")
CLASSES = "sem_out.conv.bias"
PLAIN = "super_resolution_decoder."
PLAIN_PRETRAINED_SCALE = 1.6  # whatever the official flags say (spec nerf_mae 3.10)
RESOLUTION = 160


def downstream_to_official(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Our names to the official ones; a positional table says that the variant is pre-trained."""
    prefix = BASE if TABLE in state_dict else ""
    return {_official_name(key, prefix): value for key, value in state_dict.items()}


def downstream_from_official(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Official names to ours; a ``module.`` prefix left by DDP is dropped."""
    return {_our_name(key.removeprefix("module.")): value for key, value in state_dict.items()}


def load_official_downstream(
    model: nn.Module, state_dict: Mapping[str, Tensor], *, file: StrPath | None = None
) -> None:
    """Load official weights of a fine-tuned network strictly.

    Raises:
        CheckpointError: a key is missing or unexpected, or a shape differs; the message lists them.
    """
    remedy = "choose the variant (pre-trained or scratch) and size it was trained with"
    given = downstream_from_official(state_dict)
    load_strictly(model, given, part="network", remedy=remedy, file=file)


def semantic_from_official(official: OfficialCheckpoint) -> SemanticConfig:
    """The config that fits official weights; the classes are called ``class 1``, ``class 2`` ...

    Raises:
        CheckpointError: keys that every semantic network has are missing.
    """
    weights = downstream_from_official(official.state_dict)
    if CLASSES not in weights:
        raise CheckpointError(
            "not the state dict of a semantic network",
            field="state_dict",
            value=f"{CLASSES} is missing",
            remedy="give a checkpoint of run_semantics",
        )
    names = ("void", *(f"class {i}" for i in range(1, len(weights[CLASSES]))))
    return SemanticConfig(base=_base(official), class_names=names)


def super_resolution_from_official(
    official: OfficialCheckpoint, *, file: StrPath | None = None
) -> SuperResolutionConfig:
    """The config that fits official weights, its scale from ``train_args``; alpha is not learned.

    Raises:
        CheckpointError: the file does not say how much finer its answers are.
    """
    base = _base(official)
    plain = any(PLAIN in key for key in official.state_dict)
    fine = official.train_args.get("out_resolution")
    if plain and base.positional_table:
        scale = PLAIN_PRETRAINED_SCALE
    elif isinstance(fine, int):
        scale = fine / base.resolution
    else:
        raise CheckpointError(
            "neither the weights nor train_args say how much finer the answers are",
            file=file,
            field="train_args.out_resolution",
            value=fine,
            remedy="give --recipe nerf-mae-superres:paper (160 to 256), or a config file with "
            "another method.scale",
        )
    return SuperResolutionConfig(base=base, scale=scale, variant="plain" if plain else "skip")


def _base(official: OfficialCheckpoint) -> NerfMAEConfig:
    side = official.train_args.get("resolution")
    side = side if isinstance(side, int) and side > 0 else RESOLUTION
    return config_from_official(official.state_dict, resolution=side)


def _official_name(key: str, prefix: str) -> str:
    if key == "class_weights":
        return "criterion.weight"
    if key.startswith("encoder."):
        return prefix + key.removeprefix("encoder.")
    key = key.removeprefix("decoder.")
    return prefix + key if key.startswith(FROM_BASE) else key


def _our_name(key: str) -> str:
    if key == "criterion.weight":
        return "class_weights"
    key = key.removeprefix(BASE)
    if key.startswith(ENCODER_KEYS):
        return f"encoder.{key}"
    return f"decoder.{key}" if key.startswith((*FROM_BASE, *FRESH)) else key
