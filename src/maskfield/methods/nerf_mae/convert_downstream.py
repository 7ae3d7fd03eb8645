"""Official names of the fine-tuned networks: ``base.`` before what came from the autoencoder.

Pre-trained variants hold the encoder and decoders 4, 3, 2 under ``base.``; scratch variants hold
them without a prefix. ``criterion.weight`` is the class-weight buffer of the loss (quirk Q8).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from maskfield.core.errors import CheckpointError
from maskfield.methods.nerf_mae.convert import ENCODER_KEYS, difference

StateDict = dict[str, Tensor]
FROM_BASE = ("decoder4.", "decoder3.", "decoder2.")
FRESH = ("decoder1.", "encoder1.")
BASE = "base."
TABLE = "encoder.pos_embed"
LINES = 12


def downstream_to_official(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Our names to the official ones; a positional table says that the variant is pre-trained."""
    prefix = BASE if TABLE in state_dict else ""
    return {_official_name(key, prefix): value for key, value in state_dict.items()}


def downstream_from_official(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Official names to ours; a ``module.`` prefix left by DDP is dropped."""
    return {_our_name(key.removeprefix("module.")): value for key, value in state_dict.items()}


def load_official_downstream(model: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Load official weights of a fine-tuned network strictly.

    Raises:
        CheckpointError: a key is missing or unexpected, or a shape differs; the message lists them.
    """
    given = downstream_from_official(state_dict)
    lines = difference(given, model.state_dict())
    if lines:
        raise CheckpointError(
            "the checkpoint does not fit this network:\n    " + "\n    ".join(lines[:LINES]),
            remedy="choose the variant (pre-trained or scratch) and size it was trained with",
        )
    model.load_state_dict(given)


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
