"""Proposals as a heat map on the grid, to be rendered over the scene (spec nerf_mae 7)."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter
from torch import Tensor

from maskfield.geometry.boxes import Boxes3D

SIGMA = 5.0  # voxels, of the final smoothing
OFFICIAL_CORNERS = [6, 4, 0, 2, 7, 5, 1, 3]  # ++-, +--, ---, -+-, then the same with z +


def official_corners(boxes: Boxes3D) -> Float[Tensor, "box 8 3"]:
    """Corners in the official order: counter to the yaw from (+, +), bottom first."""
    return boxes.corners()[:, OFFICIAL_CORNERS]


def enclosing_aabb(boxes: Boxes3D) -> Float[Tensor, "box 6"]:
    """Smallest axis-aligned box (min, max) around each oriented box."""
    corners = boxes.corners()
    return torch.cat([corners.amin(1), corners.amax(1)], dim=1)


def integer_boxes(
    aabb: Float[Tensor, "box 6"], resolution: tuple[int, int, int]
) -> Int[Tensor, "box 6"]:
    """Boxes truncated to voxels and clipped to the grid."""
    limit = torch.tensor([*resolution, *resolution], device=aabb.device)
    return torch.minimum(aabb.long().clamp_min(0), limit)


def gaussian_stamp(shape: tuple[int, int, int]) -> Float[Tensor, "x y z"]:
    """A separable Gaussian that fills a box, sigma = side / 5 along each axis, float64."""
    profiles = []
    for side in shape:
        offset = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
        profiles.append(torch.exp(-0.5 * (offset / (side / 5)) ** 2))
    return torch.einsum("x,y,z->xyz", *profiles)


def proposal_heatmap(
    boxes: Int[Tensor, "box 6"],
    resolution: tuple[int, int, int],
    *,
    stamp: Literal["gaussian", "box"] = "gaussian",
    sigma: float = SIGMA,
) -> Float[Tensor, "x y z"]:
    """Sum of the stamps of all boxes, smoothed, then shifted and scaled to mean 0, deviation 1.

    Args:
        boxes: integer (min, max) rows inside the grid.
        stamp: what each proposal adds: a Gaussian of its size, or 1 everywhere in the box.
        sigma: of the Gaussian filter, in voxels.
    """
    heat = torch.zeros(resolution, dtype=torch.float64)
    for x0, y0, z0, x1, y1, z1 in boxes.tolist():
        inside = heat[x0:x1, y0:y1, z0:z1]
        inside += gaussian_stamp((x1 - x0, y1 - y0, z1 - z0)) if stamp == "gaussian" else 1.0
    smooth = torch.from_numpy(gaussian_filter(heat.numpy(), sigma))
    spread = smooth.std(unbiased=False)
    return (smooth - smooth.mean()) / torch.where(spread > 0, spread, torch.ones_like(spread))


def grid_from_world_isotropic(
    points: Float[Tensor, "n 3"],
    room: Float[Tensor, "2 3"],
    resolution: tuple[int, int, int],
    *,
    downsample: float = 1.0,
) -> Float[Tensor, "n 3"]:
    """World to voxels with one factor for all axes: longest resolution over longest side."""
    return (points - room[0]) * _voxels_per_unit(room, resolution) / downsample


def world_from_grid_isotropic(
    points: Float[Tensor, "n 3"], room: Float[Tensor, "2 3"], resolution: tuple[int, int, int]
) -> Float[Tensor, "n 3"]:
    """Inverse of :func:`grid_from_world_isotropic` at full resolution."""
    return points / _voxels_per_unit(room, resolution) + room[0]


def _voxels_per_unit(room: Float[Tensor, "2 3"], resolution: tuple[int, int, int]) -> Tensor:
    return max(resolution) / (room[1] - room[0]).max()
