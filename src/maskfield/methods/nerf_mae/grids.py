"""Official feature files to network input: [x, y, z, 4] radiance and density to [4, x, y, z]."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Num
from torch import Tensor

from maskfield.core.errors import GridError
from maskfield.data.radiance_grid import NERF_MAE_STEP, Activation, RadianceGrid

DensityRule = Literal["exp", "relu", "none"]


def network_grid(
    rgbsigma: Num[Tensor, "x y z 4"],
    rule: DensityRule,
    *,
    compat: Literal["maskfield", "official"] = "maskfield",
) -> Float[Tensor, "4 x y z"]:
    """RGB and alpha, float32, from the ``rgbsigma`` array of a features file.

    Args:
        rgbsigma: colour in [0, 1] and density (float), or 0..255 (uint8).
        rule: what the fourth channel holds: raw density before "exp" (instant-ngp) or "relu"
            (ScanNet), or "none": alpha already.
        compat: "official" reproduces quirk Q6 on 8-bit grids with a density rule.

    Raises:
        GridError: an unknown rule, or 8-bit raw density: its alpha would be 0 or 1 / 255.
    """
    activation = _activation(rule)
    eight_bit = rgbsigma.dtype == torch.uint8
    if eight_bit and rule != "none":
        return _refuse_or_truncate(rgbsigma, rule, compat)
    channels = rgbsigma.permute(3, 0, 1, 2)
    return RadianceGrid(
        rgb=channels[:3],
        density=channels[3:],
        box=torch.tensor([[0.0, 0, 0], [1, 1, 1]]),
        density_kind="alpha" if rule == "none" else "raw",
        activation=activation,
    ).rgba()


def _activation(rule: DensityRule) -> Activation:
    if rule not in ("exp", "relu", "none"):
        raise GridError(
            "unknown density rule",
            field="rule",
            value=rule,
            remedy="use 'exp' (instant-ngp), 'relu' (ScanNet) or 'none' (alpha already)",
        )
    return rule


def _refuse_or_truncate(rgbsigma: Tensor, rule: DensityRule, compat: str) -> Tensor:
    """Quirk Q6: alpha of the byte value in half precision, truncated to 0 or 1, then / 255."""
    if compat != "official":
        raise GridError(
            "an 8-bit grid cannot hold raw density",
            field="rgbsigma",
            value=str(rgbsigma.dtype),
            remedy="read it with rule='none' if it holds alpha, else extract a float grid",
        )
    channels = rgbsigma.permute(3, 0, 1, 2).float()
    density = rgbsigma[..., 3].half()
    sigma = torch.exp(density) if rule == "exp" else torch.relu(density)
    alpha = (1 - torch.exp(-sigma * NERF_MAE_STEP)).clamp(0, 1)
    return torch.cat([channels[:3], alpha.float().trunc()[None]]) / 255
