"""Losses of the masked autoencoder (spec nerf_mae 5.1), in voxel layout: nothing is patchified.

Legend: O occupied voxels (target alpha > 0.01), M masked voxels that are not padding.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskfield.core.errors import ConfigError
from maskfield.data.network_input import OCCUPIED_ALPHA
from maskfield.masking import repeat_cells
from maskfield.methods.nerf_mae.layout import valid_voxels


def mae_loss(
    prediction: Float[Tensor, "b 4 r r r"],
    target: Float[Tensor, "b 4 r r r"],
    token_mask: Bool[Tensor, "b g g g"],
    sizes: Int[Tensor, "b 3"],
    rgb_region: Literal["occupied", "masked_occupied"] = "occupied",
    *,
    rgb_weight: float = 1.0,
    alpha_weight: float = 1.0,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Reconstruction loss of a batch; sums run over the whole batch.

    L_rgb = sum over the region of |rgb^ - rgb|^2 / voxels: three times the MSE (quirk Q2).
    L_alpha = mean over M of (sigmoid(alpha logit) - alpha)^2.
    A part whose region is empty is 0, not NaN (quirk B15), so one empty batch cannot end a run.

    Args:
        prediction: linear RGB, alpha logit.
        target: RGB and alpha, zero in the padding.
        token_mask: True where the encoder saw the mask token.
        sizes: real voxels per axis.
        rgb_region: "occupied" (released code): O; "masked_occupied" (the paper): O and M.
        rgb_weight, alpha_weight: weights of the parts; the parts are returned unweighted.

    Returns:
        The loss, and detached parts: loss_rgb, loss_alpha, occupied, masked (voxel counts).
    """
    target = target.to(prediction.dtype) if prediction.dtype == torch.float64 else target.float()
    prediction = prediction.to(target.dtype)
    masked = masked_voxels(token_mask, sizes, target.shape[2])
    occupied = occupied_voxels(target)
    region = _region(occupied, masked, rgb_region)
    loss_rgb = _mean_square(prediction[:, :3] - target[:, :3], region)
    loss_alpha = _mean_square(prediction[:, 3:].sigmoid() - target[:, 3:], masked)
    parts = {
        "loss_rgb": loss_rgb.detach(),
        "loss_alpha": loss_alpha.detach(),
        "occupied": occupied.sum(),
        "masked": masked.sum(),
    }
    return rgb_weight * loss_rgb + alpha_weight * loss_alpha, parts


def occupied_voxels(target: Float[Tensor, "b 4 x y z"]) -> Bool[Tensor, "b x y z"]:
    """Voxels with alpha above 0.01."""
    return target[:, 3] > OCCUPIED_ALPHA


def masked_voxels(
    token_mask: Bool[Tensor, "b g g g"], sizes: Int[Tensor, "b 3"], resolution: int
) -> Bool[Tensor, "b r r r"]:
    """Masked voxels that are not padding."""
    patch = resolution // token_mask.shape[1]
    voxels = repeat_cells(token_mask.bool(), patch)
    return voxels & valid_voxels(sizes, (resolution, resolution, resolution))


def _region(
    occupied: Bool[Tensor, "b r r r"], masked: Bool[Tensor, "b r r r"], name: str
) -> Bool[Tensor, "b r r r"]:
    if name == "occupied":
        return occupied
    if name == "masked_occupied":
        return occupied & masked
    raise ConfigError(
        "unknown colour region",
        field="rgb_region",
        value=name,
        remedy="use 'occupied' or 'masked_occupied'",
    )


def _mean_square(
    difference: Float[Tensor, "b c r r r"], region: Bool[Tensor, "b r r r"]
) -> Float[Tensor, ""]:
    """Sum of squares in the region over its voxel count; 0 for an empty region."""
    inside = torch.where(region[:, None], difference, 0)
    return inside.square().sum() / region.sum().clamp_min(1)
