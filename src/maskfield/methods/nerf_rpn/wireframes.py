"""Points and corners for pictures of grids and boxes (spec nerf_rpn 15)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# (x, y, z) side of each corner: once around the bottom, once around the top
AROUND = ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1))
# of a posed box, as the official drawing program orders them
POSED = ((1, 1, 1), (1, 1, 0), (1, 0, 0), (1, 0, 1), (0, 1, 1), (0, 1, 0), (0, 0, 0), (0, 0, 1))


def voxel_points(resolution: tuple[int, int, int]) -> Float[Tensor, "n 3"]:
    """Where the official point cloud puts the voxels, x fastest; the longest side is about 1.

    Points run from 0 to the far side along each axis, and are then moved by half a voxel.
    """
    longest = max(resolution)
    x, y, z = (torch.linspace(0, n, n) / longest + 0.5 / longest for n in resolution)
    return torch.cartesian_prod(z, y, x).flip(1)


def aligned_corners(boxes: Float[Tensor, "n 6"]) -> Float[Tensor, "n 8 3"]:
    """Corners of axis-aligned boxes, around the bottom, then around the top."""
    sides = torch.tensor(AROUND, dtype=torch.bool, device=boxes.device)
    return torch.where(sides, boxes[:, None, 3:], boxes[:, None, :3])


def posed_corners(pose: Float[Tensor, "3 4"], extents: Float[Tensor, " 3"]) -> Float[Tensor, "8 3"]:
    """Corners of a box of given side lengths under [rotation | centre]."""
    local = (torch.tensor(POSED).to(pose) - 0.5) * extents.to(pose)
    return local @ pose[:, :3].T + pose[:, 3]
