"""Four fixed pinhole cameras around the grid, for the 2-D projection losses (spec nerf_rpn 6.5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskfield.methods.nerf_rpn.geometry import diagonal_points

INTRINSICS = ((600.0, 0.0, 320.0), (0.0, 600.0, 240.0), (0.0, 0.0, 1.0))
VIEWS = ((1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0))


def camera_from_grid(side: int | float) -> Float[Tensor, "4 4 4"]:
    """Grid to camera, for cameras at centre + (+-side, +-side, side) whose z axis points away.

    Args:
        side: longest side of the padded grid in voxels; the centre is (side / 2) in every axis.
    """
    up = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    offset = torch.tensor([(*v, 1.0) for v in VIEWS], dtype=torch.float64) * side
    z = F.normalize(offset, dim=1)
    x = F.normalize(torch.linalg.cross(up.expand(4, 3), z), dim=1)
    axes = torch.stack([x, torch.linalg.cross(z, x), z], dim=1)  # rows
    matrix = torch.eye(4).repeat(4, 1, 1)
    matrix[:, :3, :3] = axes
    matrix[:, :3, 3:] = -axes @ (offset + side / 2)[:, :, None]
    return matrix


def project(
    points: Float[Tensor, "n 3"], cameras: Float[Tensor, "v 4 4"]
) -> Float[Tensor, "v n 2"]:
    """Pixels of grid points. The order of the operations keeps the official rounding."""
    homogeneous = torch.cat([points, points.new_ones(len(points), 1)], dim=1)
    local = (cameras.to(points) @ homogeneous.T)[:, :3]
    pixels = points.new_tensor(INTRINSICS) @ local
    return (pixels[:, :2] / pixels[:, 2:]).mT


def projected_diagonals(boxes: Float[Tensor, "n d"], side: int | float) -> Float[Tensor, "v 2 n 2"]:
    """Pixels of two opposite corners of every box in the four views."""
    ends = diagonal_points(boxes)
    return project(ends.flatten(0, 1), camera_from_grid(side)).unflatten(1, (2, len(boxes)))
