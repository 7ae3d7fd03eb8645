"""Labelled points onto the voxels of a radiance grid: the LabelGrid that belongs to it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.errors import GridError
from maskfield.data.label_grid import LabelGrid
from maskfield.data.preparation.depth_points import POINTS_PER_LABEL
from maskfield.data.preparation.labelled_views import Compat, LabelledView
from maskfield.data.preparation.voxel_labels import voxelize_labels
from maskfield.data.radiance_grid import RadianceGrid

_SLACK = 1.0  # voxels a surface may lie outside the box: walls often are its faces


class PointSample:
    """A uniform subset of at most ``limit`` points of every label, however many are offered.

    Every point draws a key; the smallest keys of a label stay. So memory is bounded and the order
    of the views does not matter.
    """

    def __init__(self, limit: int, generator: torch.Generator) -> None:
        self._limit, self._generator = limit, generator
        self._held: dict[int, tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]] = {}

    def add(self, view: LabelledView) -> None:
        """Offer the points of one view."""
        keys = torch.rand(len(view.ids), generator=self._generator)
        for label in view.ids.unique().tolist():
            chosen = view.ids == label
            self._offer(label, keys[chosen], view.points[chosen])

    def points(self) -> tuple[Float[Tensor, "n 3"], Int[Tensor, " n"]]:
        """The points kept, and their labels."""
        ids = [torch.full((len(p),), label) for label, (_, p) in self._held.items()]
        points = [p for _, p in self._held.values()]
        if not points:
            return torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)
        return torch.cat(points), torch.cat(ids)

    def _offer(self, label: int, keys: Float[Tensor, " n"], points: Float[Tensor, "n 3"]) -> None:
        if label in self._held:
            held_keys, held = self._held[label]
            keys, points = torch.cat([held_keys, keys]), torch.cat([held, points])
        if len(keys) > self._limit:
            keys, rows = keys.topk(self._limit, largest=False)
            points = points[rows]
        self._held[label] = keys, points


def label_voxels(
    views: Iterable[LabelledView],
    grid: RadianceGrid,
    class_names: tuple[str, ...],
    *,
    generator: torch.Generator,
    limit: int = POINTS_PER_LABEL,
    compat: Compat = "maskfield",
) -> LabelGrid:
    """The most frequent label of every voxel of ``grid``; 0 where no point lies.

    Args:
        limit: points per label that vote.
        compat: "official" lets points outside the box vote in its border voxels; otherwise points
            more than a voxel outside are left out.

    Raises:
        GridError: no labelled point lies in the grid.
    """
    sample = PointSample(limit, generator)
    for view in views:
        sample.add(view if compat == "official" else _inside(view, grid))
    points, ids = sample.points()
    if len(ids) == 0:
        raise GridError(
            "no labelled point lies in the grid",
            field="box",
            value=grid.box.tolist(),
            remedy="the grid and the scene must share one world and one unit",
        )
    labels = voxelize_labels(points, ids, grid.box, grid.resolution)
    return LabelGrid(
        labels=labels.to(torch.int16),
        class_names=class_names,
        box=grid.box,
        unit_length_m=grid.unit_length_m,
        ngp_scale=grid.ngp_scale,
        ngp_offset=grid.ngp_offset,
        from_mitsuba=grid.from_mitsuba,
    ).validated()


def _inside(view: LabelledView, grid: RadianceGrid) -> LabelledView:
    voxel = (grid.box[1] - grid.box[0]) / torch.tensor(grid.resolution)
    low, high = grid.box[0] - _SLACK * voxel, grid.box[1] + _SLACK * voxel
    kept = ((view.points >= low) & (view.points <= high)).all(1)
    return LabelledView(view.points[kept], view.ids[kept])
