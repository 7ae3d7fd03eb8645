"""Official feature files to network input: RGB and alpha, [4, x, y, z]."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.files import StrPath
from maskfield.data.config import DensityRule
from maskfield.data.radiance_grid import NERF_MAE_STEP, RadianceGrid
from maskfield.data.readers.nerf_rpn import read_grid


def load_network_grid(
    path: StrPath,
    density: DensityRule = "auto",
    *,
    compat: Literal["maskfield", "official"] = "maskfield",
) -> Float[Tensor, "4 x y z"]:
    """Read one ``features/SCENE.npz`` as the network takes it, float32.

    Args:
        density: what the fourth channel holds: "exp" (raw instant-ngp density), "relu" (raw
            ScanNet density), "alpha", or "auto" (see :func:`read_grid`).
        compat: "official" reproduces quirk Q6 on 8-bit grids with a density rule, and takes what
            is called alpha as it is.

    Raises:
        GridError: a damaged file; 8-bit raw density, whose alpha would be 0 or 1 / 255; values
            called alpha that are not.
    """
    if compat == "official" and density != "auto":
        stored = read_grid(path)
        if density == "alpha" and stored.density_kind == "raw":
            return torch.cat([stored.colour(), stored.density.float()])
        if density != "alpha" and stored.density.dtype == torch.uint8:
            return _truncated(stored, density)
    return read_grid(path, density=density).rgba()


def _truncated(grid: RadianceGrid, rule: DensityRule) -> Float[Tensor, "4 x y z"]:
    """Quirk Q6: alpha of the byte value in half precision, truncated to 0 or 1, then / 255."""
    density = grid.density.half()
    sigma = torch.exp(density) if rule == "exp" else torch.relu(density)
    alpha = (1 - torch.exp(-sigma * NERF_MAE_STEP)).clamp(0, 1).float().trunc()
    return torch.cat([grid.rgb.float(), alpha]) / 255
