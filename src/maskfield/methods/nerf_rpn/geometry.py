"""Geometry of detection boxes in continuous voxel coordinates (spec nerf_rpn 1).

Axis-aligned boxes have 6 columns (x1, y1, z1, x2, y2, z2), oriented ones 7
(cx, cy, cz, w, l, h, theta): w along the box's own x axis, theta counter-clockwise.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

AlignedBoxes = Float[Tensor, "n 6"]
OrientedBoxes = Float[Tensor, "n 7"]
SIGNS = ((1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0))


def corners_2d(boxes: OrientedBoxes) -> Float[Tensor, "n 4 2"]:
    """Corners in the x-y plane, counter-clockwise from (+w, +l)."""
    half = boxes.new_tensor(SIGNS) * boxes[:, None, 3:5] / 2
    cos, sin = boxes[:, 6, None].cos(), boxes[:, 6, None].sin()
    x = half[..., 0] * cos - half[..., 1] * sin
    y = half[..., 0] * sin + half[..., 1] * cos
    return torch.stack([x, y], dim=-1) + boxes[:, None, :2]


def outer_aligned(boxes: OrientedBoxes) -> AlignedBoxes:
    """The axis-aligned boxes around oriented ones."""
    corners = corners_2d(boxes)
    half_height = boxes[:, 5:6] / 2
    low = [corners.amin(1), boxes[:, 2:3] - half_height]
    return torch.cat([*low, corners.amax(1), boxes[:, 2:3] + half_height], dim=1)


def aligned(boxes: Float[Tensor, "n d"]) -> AlignedBoxes:
    """Axis-aligned boxes as they are, oriented ones by their outer box."""
    return boxes if boxes.shape[1] == 6 else outer_aligned(boxes)


def centre_inside(boxes: OrientedBoxes, size: Num[Tensor, " 3"]) -> Bool[Tensor, " n"]:
    """Oriented boxes whose centre lies in [0, size]."""
    return ((boxes[:, :3] >= 0) & (boxes[:, :3] <= size.to(boxes))).all(dim=1)


def diagonal_points(boxes: Float[Tensor, "n d"]) -> Float[Tensor, "2 n 3"]:
    """Two opposite corners: all low ones (-w, -l, -h in the box's frame), then all high ones."""
    if boxes.shape[1] == 6:
        return torch.stack([boxes[:, :3], boxes[:, 3:]])
    (w, d, h), cos, sin = (boxes[:, 3:6] / 2).unbind(1), boxes[:, 6].cos(), boxes[:, 6].sin()
    half = torch.stack([w * cos - d * sin, w * sin + d * cos, h], dim=1)
    return torch.stack([boxes[:, :3] - half, boxes[:, :3] + half])
