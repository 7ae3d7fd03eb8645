"""Reconstruction metrics of the masked autoencoder, and the baselines it has to beat.

:func:`official_metrics` is the published protocol (per batch, visible voxels included). The others
look only at what was hidden; they return :class:`ErrorSum`, which adds up over a validation set.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log10

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from maskfield.methods.nerf_mae.losses import occupied_voxels

Cube = Float[Tensor, "b 4 r r r"]
Voxels = Bool[Tensor, "b r r r"]


@dataclass(frozen=True, kw_only=True)
class ErrorSum:
    """A sum of squared errors over ``count`` numbers; sums of two batches add up."""

    total: float = 0.0
    count: int = 0

    def __add__(self, other: ErrorSum) -> ErrorSum:
        return ErrorSum(total=self.total + other.total, count=self.count + other.count)

    @property
    def mse(self) -> float:
        """Mean squared error; NaN when nothing was counted."""
        return self.total / self.count if self.count else float("nan")

    @property
    def psnr(self) -> float:
        """-10 log10(MSE) in dB for values in [0, 1]."""
        return -10 * log10(self.mse) if self.mse else inf


def official_metrics(prediction: Cube, target: Cube) -> dict[str, Tensor]:
    """MSE and PSNR over the RGB of all occupied voxels of the batch, prediction not clamped.

    Returns:
        mse, psnr, n_occupied (scalar tensors); mse and psnr are NaN without an occupied voxel.
    """
    occupied = occupied_voxels(target)
    count = occupied.sum()
    difference = torch.where(occupied[:, None], prediction[:, :3].float() - target[:, :3], 0)
    mse = difference.square().sum() / (3 * count)
    return {"mse": mse, "psnr": -10 * torch.log10(mse), "n_occupied": count}


def colour_error(colour: Float[Tensor, "b 3 r r r"], target: Cube, where: Voxels) -> ErrorSum:
    """Squared error of RGB on ``where``."""
    difference = torch.where(where[:, None], colour.float() - target[:, :3], 0)
    return ErrorSum(total=float(difference.double().square().sum()), count=3 * int(where.sum()))


def alpha_error(alpha: Float[Tensor, "b r r r"], target: Cube, where: Voxels) -> ErrorSum:
    """Squared error of alpha on ``where``."""
    difference = torch.where(where, alpha.float() - target[:, 3], 0)
    return ErrorSum(total=float(difference.double().square().sum()), count=int(where.sum()))


def hidden_errors(prediction: Cube, target: Cube, masked: Voxels) -> dict[str, ErrorSum]:
    """How well the hidden part was brought back, beside two baselines.

    Args:
        prediction: linear RGB and alpha logits.
        target: RGB and alpha.
        masked: hidden voxels that are not padding (``losses.masked_voxels``).

    Returns:
        "colour", "colour_mean_baseline", "colour_nearest_baseline": RGB on masked and occupied
        voxels; "alpha", "alpha_nearest_baseline": alpha on masked voxels.
    """
    occupied = occupied_voxels(target)
    hidden = masked & occupied
    colour = prediction[:, :3].float().clamp(0, 1)
    nearest_colour, nearest_alpha = nearest_visible(target, masked)
    return {
        "colour": colour_error(colour, target, hidden),
        "colour_mean_baseline": colour_error(mean_visible_colour(target, masked), target, hidden),
        "colour_nearest_baseline": colour_error(nearest_colour, target, hidden),
        "alpha": alpha_error(prediction[:, 3].float().sigmoid(), target, masked),
        "alpha_nearest_baseline": alpha_error(nearest_alpha, target, masked),
    }


def summarise(errors: dict[str, ErrorSum]) -> dict[str, float]:
    """Report names: PSNR of the colour entries (dB), MSE of the alpha entries."""
    return {
        f"hidden_{name}_{'psnr' if name.startswith('colour') else 'mse'}": (
            error.psnr if name.startswith("colour") else error.mse
        )
        for name, error in errors.items()
    }


def mean_visible_colour(target: Cube, masked: Voxels) -> Float[Tensor, "b 3 r r r"]:
    """Mean colour of a sample's visible occupied voxels, everywhere (0.5 if it has none)."""
    visible = (occupied_voxels(target) & ~masked)[:, None]
    count = visible.sum(dim=(2, 3, 4))
    total = torch.where(visible, target[:, :3], 0).sum(dim=(2, 3, 4))
    mean = torch.where(count > 0, total / count.clamp_min(1), 0.5)
    return mean[:, :, None, None, None].expand(-1, -1, *target.shape[2:])


def nearest_visible(
    target: Cube, masked: Voxels
) -> tuple[Float[Tensor, "b 3 r r r"], Float[Tensor, "b r r r"]]:
    """Copy from the nearest visible voxel: colour from occupied ones, alpha from any.

    Where a sample has nothing visible, colour is 0.5 and alpha 0.
    """
    colours, alphas = [], []
    for grid, hidden, occupied in zip(target, masked, occupied_voxels(target), strict=True):
        colours.append(_fill(grid[:3], occupied & ~hidden, empty=0.5))
        alphas.append(_fill(grid[3:], ~hidden, empty=0.0)[0])
    return torch.stack(colours), torch.stack(alphas)


def _fill(
    values: Float[Tensor, "c x y z"], source: Bool[Tensor, "x y z"], empty: float
) -> Float[Tensor, "c x y z"]:
    if not bool(source.any()):
        return torch.full_like(values, empty)
    hidden = ~source.cpu().numpy()
    index = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    i, j, k = torch.from_numpy(np.asarray(index, np.int64)).to(values.device)
    return values[:, i, j, k]
