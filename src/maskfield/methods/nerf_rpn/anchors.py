"""Anchors of the anchor-based head (spec nerf_rpn 6.1).

Legend: a anchor, n all anchors of a scene; boxes (x1, y1, z1, x2, y2, z2) in voxels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Size = tuple[int, int, int]
SIZES = (8.0, 16.0, 32.0, 64.0)
# The order of the official checkpoints: distinct permutations as a CPython set iterated them (Q2).
RATIOS = (
    (1, 1, 1),
    *((1, 2, 1), (2, 1, 1), (1, 1, 2)),
    *((1, 2, 2), (2, 1, 2), (2, 2, 1)),
    *((1, 1, 3), (1, 3, 1), (3, 1, 1)),
    *((3, 1, 3), (3, 3, 1), (1, 3, 3)),
)
ANCHORS_PER_CELL = len(RATIOS)


def cell_anchors(size: int | float, *, equal_volume: bool = False) -> Float[Tensor, "a 6"]:
    """The 13 anchors around the origin; half sides rounded to whole voxels, half to even.

    Args:
        size: the shortest side; with ``equal_volume`` the side of the cube of the same volume.
    """
    ratios = torch.tensor(RATIOS, dtype=torch.float32)
    if equal_volume:
        ratios = ratios / ratios.prod(dim=1, keepdim=True) ** (1 / 3)
    half = ratios * size / 2
    return torch.cat([-half, half], dim=1).round()


def level_strides(grid: Size, cells: Sequence[Size]) -> list[Size]:
    """Voxels per cell along each axis: the whole part of grid / cells (quirk Q3)."""
    return [(grid[0] // x, grid[1] // y, grid[2] // z) for x, y, z in cells]


def all_anchors(
    grid: Size,
    cells: Sequence[Size],
    device: torch.device | None = None,
    sizes: Sequence[float] = SIZES,
) -> list[Float[Tensor, "_n 6"]]:
    """Anchors of every level: index * stride + cell anchor, x outermost, the 13 innermost.

    Args:
        grid: padded grid in voxels.
        cells: cells of each level. sizes: shortest side of each level's anchors.
    """
    strides = level_strides(grid, cells)
    levels = []
    for size, stride, count in zip(sizes, strides, cells, strict=True):
        axes = [torch.arange(n) * s for n, s in zip(count, stride, strict=True)]
        centres = torch.cartesian_prod(*axes).reshape(-1, 3).float()
        anchors = centres.repeat(1, 2)[:, None] + cell_anchors(size)
        levels.append(anchors.reshape(-1, 6).to(device))
    return levels


def anchor_validity(
    grid: Size, cells: Sequence[Size], sizes: Int[Tensor, "b 3"]
) -> list[Bool[Tensor, "b _n"]]:
    """Per level, which anchors' cells begin inside the scene: index < ceil(size / stride)."""
    levels = []
    for stride, count in zip(level_strides(grid, cells), cells, strict=True):
        axes = [
            torch.arange(n, device=sizes.device) * s < sizes[:, i, None]
            for i, (n, s) in enumerate(zip(count, stride, strict=True))
        ]
        x, y, z = axes
        inside = x[:, :, None, None] & y[:, None, :, None] & z[:, None, None, :]
        levels.append(inside.flatten(1).repeat_interleave(ANCHORS_PER_CELL, dim=1))
    return levels
