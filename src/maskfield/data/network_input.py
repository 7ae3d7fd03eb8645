"""Any radiance grid as the networks take it: colour and official alpha, at the trained resolution.

Networks are trained on grids of one resolution (voxels along the longest side); a grid of another
one shows things larger or smaller than any that were seen in training, so it is resampled.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.core.errors import GridError
from maskfield.data.radiance_grid import NERF_MAE_STEP, RadianceGrid

INPUT = "rgb in [0, 1], alpha by the nerf_mae rule (step 0.01); axes x, y, z; z up"
OCCUPIED_ALPHA = 0.01  # a voxel with more holds matter (spec nerf_mae 5.1)
_LEAST_SPREAD = 0.02  # an activation applied to what is alpha already leaves less
_TINY = 1e-6

Volume = Float[Tensor, "c x y z"]


def alpha_grid(grid: RadianceGrid, file: str | None = None) -> RadianceGrid:
    """The grid with float32 colour, and density as alpha of the step the networks know.

    Raises:
        GridError: density that cannot become such alpha: a sigma grid without ``ngp_scale``, alpha
            of another step, or raw density that looks like alpha already.
    """
    if grid.density_kind == "alpha" and not math.isclose(grid.delta, NERF_MAE_STEP, rel_tol=1e-3):
        raise GridError(
            "the networks were trained on alpha of another step length",
            file=file,
            field="delta",
            value=grid.delta,
            remedy=f"extract the grid again as sigma, or as alpha with delta {NERF_MAE_STEP}",
        )
    try:
        alpha = grid.to_alpha()
    except GridError as error:
        raise GridError(
            error.problem, file=file, field=error.field, value=error.value, remedy=error.remedy
        ) from error
    _refuse_twice_activated(grid, alpha, file)
    return replace(
        grid,
        rgb=grid.colour(),
        density=alpha,
        density_kind="alpha",
        activation="none",
        delta=NERF_MAE_STEP,
    )


def _refuse_twice_activated(grid: RadianceGrid, alpha: Tensor, file: str | None) -> None:
    density = grid.density
    if grid.density_kind != "raw" or float(density.min()) < 0 or float(density.max()) > 1:
        return
    if float(alpha.max() - alpha.min()) < _LEAST_SPREAD:
        raise GridError(
            "the density looks like alpha but is called raw: an activation would be applied twice",
            file=file,
            field=f"density_kind ({grid.density_kind}, activation {grid.activation})",
            value=f"density {float(density.min()):.3g} to {float(density.max()):.3g}",
            remedy="say that it is alpha: `maskfield convert GRID.npz OUT.safetensors "
            "--density alpha`",
        )


def occupied(grid: RadianceGrid) -> Bool[Tensor, "x y z"]:
    """Which voxels of an alpha grid hold matter."""
    return grid.to_alpha()[0] > OCCUPIED_ALPHA


def resampled(grid: RadianceGrid, longest: int | None) -> RadianceGrid:
    """An alpha grid with ``longest`` voxels along its longest side, the same box.

    Upwards trilinear, downwards the mean of what a voxel covers (thin walls do not fall through).
    Colours are weighted by alpha where there is any. None, or the size it has, changes nothing.
    """
    most = max(grid.resolution)
    if longest is None or longest == most:
        return grid
    x, y, z = (max(1, round(n * longest / most)) for n in grid.resolution)
    return replace(grid, **_scaled(grid, (x, y, z)))


def resized(grid: RadianceGrid, shape: tuple[int, int, int]) -> RadianceGrid:
    """An alpha grid on other voxels of the same box; see :func:`resampled`."""
    return grid if grid.resolution == shape else replace(grid, **_scaled(grid, shape))


def _scaled(grid: RadianceGrid, shape: tuple[int, int, int]) -> dict[str, Tensor]:
    colour, alpha = grid.colour(), grid.to_alpha()
    plain = interpolated(torch.cat([colour, alpha, colour * alpha]), shape)
    rgb, opacity, weighted = plain[:3], plain[3:4], plain[4:]
    matter = opacity > _TINY
    rgb = torch.where(matter, weighted / opacity.clamp_min(_TINY), rgb)
    return {"rgb": rgb.clamp(0, 1), "density": opacity.clamp(0, 1)}


def interpolated(volume: Volume, shape: tuple[int, int, int]) -> Float[Tensor, "c _x _y _z"]:
    """Values on other voxels of the same box."""
    if tuple(volume.shape[1:]) == shape:
        return volume
    if max(shape) < max(volume.shape[1:]):
        return F.interpolate(volume[None], size=shape, mode="area")[0]
    return F.interpolate(volume[None], size=shape, mode="trilinear", align_corners=False)[0]
