"""Labelled points to label grids: majority vote per voxel (spec nerf_mae 8.4)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.errors import DataError

VOID = 0


def voxelize_labels(
    points: Float[Tensor, "n 3"],
    ids: Int[Tensor, " n"],
    box: Float[Tensor, "2 3"],
    resolution: tuple[int, int, int],
) -> Int[Tensor, "x y z"]:
    """The most frequent id of every voxel; ties go to the smallest id, empty voxels are 0.

    Args:
        points: in the frame of ``box``; points outside count for the border voxels.
        ids: class of each point.
        box: minimum and maximum corner of the grid.
        resolution: voxels along x, y, z.

    Raises:
        DataError: an empty box, or points that are not finite.
    """
    _check(points, box)
    voxel = voxel_index(points, box, resolution)
    pairs, counts = torch.unique(torch.stack([voxel, ids.long()], dim=1), dim=0, return_counts=True)
    winners = _first_of_each(pairs[:, 0], counts)
    grid = torch.full(resolution, VOID, dtype=torch.long, device=points.device)
    grid.view(-1)[pairs[winners, 0]] = pairs[winners, 1]
    return grid


def voxel_index(
    points: Float[Tensor, "n 3"], box: Float[Tensor, "2 3"], resolution: tuple[int, int, int]
) -> Int[Tensor, " n"]:
    """Flat index (first axis slowest) of the voxel that holds each point, clamped to the grid."""
    size = torch.tensor(resolution, device=points.device)
    scaled = (points - box[0]) / (box[1] - box[0]) * size
    cell = torch.minimum(scaled.clamp_min(0), (size - 1).to(scaled)).long()
    return (cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2]


def _first_of_each(voxel: Int[Tensor, " p"], counts: Int[Tensor, " p"]) -> Int[Tensor, " v"]:
    """Row of the largest count of each voxel; rows come sorted by (voxel, id), so ties keep it."""
    by_count = torch.argsort(counts, descending=True, stable=True)
    order = by_count[torch.argsort(voxel[by_count], stable=True)]
    ordered = voxel[order]
    is_first = torch.ones_like(ordered, dtype=torch.bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return order[is_first]


def _check(points: Tensor, box: Tensor) -> None:
    if not (box[1] > box[0]).all():
        raise DataError(
            "the room box is empty",
            field="box",
            value=box.tolist(),
            remedy="give the minimum corner first and extents above 0",
        )
    if not torch.isfinite(points).all():
        raise DataError(
            "a labelled point is not finite",
            field="points",
            remedy="drop pixels without depth before voxelising",
        )
