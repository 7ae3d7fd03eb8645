"""Held-out grids with what a detector found and what is there."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from maskfield.core.files import StrPath
from maskfield.figures.boxes import box_views
from maskfield.figures.grids import unit_grid
from maskfield.figures.pictures import save_picture, stacked
from maskfield.methods.nerf_rpn.predict import boxes_from_rows
from maskfield.metrics.detection import SceneDetections


def save_detections(
    grids: Sequence[Float[Tensor, "4 _x _y _z"]],
    scenes: Sequence[SceneDetections],
    path: StrPath,
    *,
    rows: int = 3,
) -> None:
    """One row per grid, from above and in perspective; as many boxes are shown as there are."""
    sheet = []
    for grid, scene in list(zip(grids, scenes, strict=True))[:rows]:
        best = scene.best(len(scene.truth))
        found = boxes_from_rows(scene.boxes[best], scene.scores[best])
        sheet.append(box_views(unit_grid(grid), found, boxes_from_rows(scene.truth)))
    save_picture(stacked(sheet), path)
