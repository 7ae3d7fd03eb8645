"""Boxes of one scene on its grid: which are kept, why others are not, and the official tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.data.preparation.frames import resolution_z_up
from maskfield.data.preparation.ngp_boxes import (
    Z_UP,
    NerfBoxes,
    NgpFrame,
    grid_aabb_from_nerf,
    grid_obb_from_nerf,
)

LABEL, HAND = "box: label excluded", "box: filtered by hand"
OUTSIDE, SMALL = "box: centre outside the grid", "box: a side below {:g} voxels"


@dataclass(frozen=True, kw_only=True)
class BoxTables:
    """Boxes in the world and in voxels.

    Attributes:
        boxes, labels: kept, in the world of transforms.json.
        obb: [n, 7] x, y, z, w, l, h, theta. aabb: [m, 6] min, max; fewer where a box is cut away.
        dropped: reason -> how many.
    """

    boxes: NerfBoxes
    labels: tuple[str, ...]
    obb: Float[Tensor, "n 7"]
    aabb: Float[Tensor, "m 6"]
    dropped: Counter[str]


class Sieve:
    """Drops rows for named reasons; a row that fails twice counts for the first reason."""

    def __init__(self, count: int) -> None:
        self.kept = torch.ones(count, dtype=torch.bool)
        self.dropped: Counter[str] = Counter()

    def drop(self, wrong: Bool[Tensor, " n"], reason: str) -> None:
        """Leave out the rows that are wrong."""
        count = int((wrong & self.kept).sum())
        if count:
            self.dropped[reason] += count
        self.kept &= ~wrong


def box_tables(
    boxes: NerfBoxes,
    labels: Sequence[str],
    frame: NgpFrame,
    sieve: Sieve,
    *,
    min_size: float,
    drop_outside: bool = True,
    aabb_y_up: bool = False,
) -> BoxTables:
    """Boxes that pass ``sieve`` and fit the grid, in both official forms.

    Args:
        sieve: holds what labels have dropped already; takes what the grid drops.
        min_size: shortest side kept, in voxels.
        drop_outside: drop boxes whose centre lies outside the grid (HM3D keeps them).
        aabb_y_up: leave axis-aligned boxes in instant-ngp's axes (Hypersim's published bug).
    """
    rows = grid_obb_from_nerf(boxes, frame, drop_outside=False)
    size = torch.tensor(resolution_z_up(frame), dtype=rows.dtype)
    if drop_outside:
        sieve.drop(((rows[:, :3] < 0) | (rows[:, :3] > size)).any(1), OUTSIDE)
    sieve.drop((rows[:, 3:6] < min_size).any(1), SMALL.format(min_size))
    kept = boxes[sieve.kept]
    aabb = grid_aabb_from_nerf(kept, frame, min_size=min_size)
    return BoxTables(
        boxes=kept,
        labels=tuple(label for label, k in zip(labels, sieve.kept.tolist(), strict=True) if k),
        obb=rows[sieve.kept],
        aabb=aabb if aabb_y_up else aabb[:, [*Z_UP, *(3 + i for i in Z_UP)]],
        dropped=sieve.dropped,
    )
