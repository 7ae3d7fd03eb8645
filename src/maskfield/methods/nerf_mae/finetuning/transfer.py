"""Weights of the masked autoencoder into the networks that continue it (spec nerf_mae 6).

The encoder goes into all of them, with its positional table where the network has one; decoders 4,
3 and 2 go into semantic labelling and super-resolution with skips. Pyramids, heads and the last
decoder start afresh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from maskfield.core.config import diff, to_dict
from maskfield.core.errors import CheckpointError
from maskfield.methods.nerf_mae.config import NerfMAEConfig

ENCODER = "encoder."
DECODERS = ("decoder.decoder4.", "decoder.decoder3.", "decoder.decoder2.")
MASK_TOKEN = "encoder.mask_token"
SOURCE = "nerf-mae"


def transfer(
    weights: Mapping[str, Tensor],
    header: Mapping[str, Any],
    model: nn.Module,
    base: NerfMAEConfig,
    *,
    prefix: str = "",
) -> list[str]:
    """Copy what both networks share; returns the names copied, in the model's terms.

    Args:
        weights, header: a checkpoint of masked pre-training, ours.
        model: the network to be fine-tuned. base: the autoencoder it continues.
        prefix: before the encoder's names in ``model`` ("backbone." in a detector).

    Raises:
        CheckpointError: not a masked autoencoder, or one of another size.
    """
    _refuse_other_source(header, base)
    own = model.state_dict()
    shared = {prefix + k: v for k, v in weights.items() if k.startswith((ENCODER, *DECODERS))}
    shared = {k: v for k, v in shared.items() if k in own}
    missing = [k for k in own if k.startswith(prefix + ENCODER) and k not in shared]
    wrong = [k for k, v in shared.items() if v.shape != own[k].shape]
    if missing or wrong or not shared:
        raise CheckpointError(
            "the pre-trained encoder does not fit this network",
            field="encoder",
            value=f"{len(missing)} tensors missing, {len(wrong)} of another shape: "
            f"{_some(missing + wrong)}",
            remedy="choose the recipe of the size that was pre-trained, or --init scratch",
        )
    model.load_state_dict(shared, strict=False)
    return list(shared)


def groups_by_origin(
    model: nn.Module, encoder: nn.Module, lr: float, scale: float
) -> list[dict[str, Any]]:
    """Parameter groups: what starts afresh at ``lr``, the encoder at ``lr * scale``.

    Args:
        encoder: the part of ``model`` that was pre-trained.
        scale: 1 gives one group of everything, in the model's order.
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    if scale == 1:
        return [{"params": trainable}]
    inside = {id(p) for p in encoder.parameters()}
    return [
        {"params": [p for p in trainable if id(p) not in inside]},
        {"params": [p for p in trainable if id(p) in inside], "lr": lr * scale},
    ]


def _refuse_other_source(header: Mapping[str, Any], base: NerfMAEConfig) -> None:
    """The checkpoint must be a NeRF-MAE of the same size; what only training knows may differ."""
    stored = header.get("config", {}).get("method") or {}
    if stored.get("type") != SOURCE:
        raise CheckpointError(
            "the weights are not those of a masked autoencoder",
            field="method.type",
            value=stored.get("type"),
            remedy=f"give a run or checkpoint of {SOURCE} pre-training, or --init scratch",
        )
    wanted = {"type": SOURCE, **to_dict(base)}
    free = NerfMAEConfig.training_only | (set() if base.positional_table else {"positional_table"})
    differences = {k: v for k, v in diff(stored, wanted).items() if k not in free}
    if differences:
        raise CheckpointError(
            "the masked autoencoder has another size than this network",
            field=", ".join(differences),
            value="; ".join(f"{a!r} there, {b!r} here" for a, b in differences.values()),
            remedy="choose the recipe of the size that was pre-trained, or --init scratch",
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
