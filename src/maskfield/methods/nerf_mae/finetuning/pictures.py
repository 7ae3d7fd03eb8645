"""Held-out grids beside what fine-tuned networks answer for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.files import StrPath
from maskfield.data.label_grid import LabelGrid
from maskfield.data.radiance_grid import RadianceGrid
from maskfield.figures.grids import grid_picture, unit_grid
from maskfield.figures.labels import label_picture, legend_entries
from maskfield.figures.legend import legend_strip
from maskfield.figures.pictures import save_picture, stacked, table_of

Batch = Mapping[str, Tensor]


def save_labels_found(
    batch: Batch,
    found: Int[Tensor, "b x y z"],
    class_names: Sequence[str],
    path: StrPath,
    *,
    rows: int = 3,
) -> None:
    """One row per grid: the grid, its true labels, the predicted ones where something is."""
    sheet, true_grids = [], []
    for i in range(min(rows, len(found))):
        x, y, z = batch["sizes"][i].tolist()
        grid = unit_grid(batch["grids"][i, :, :x, :y, :z].cpu())
        truth = batch["target"][i, 0, :x, :y, :z].cpu()
        answer = found[i, :x, :y, :z].cpu().where(truth > 0, torch.zeros_like(truth))
        both = [_labels(ids, class_names, grid) for ids in (truth, answer)]
        sheet.append([grid_picture(grid), *(label_picture(labels) for labels in both)])
        true_grids.append(both[0])
    table = table_of(sheet, titles=("grid", "true classes", "predicted classes"))
    names = {entry: None for labels in true_grids for entry in legend_entries(labels)}
    save_picture(stacked([table, legend_strip(list(names), table.shape[1])]), path)


def save_finer(
    batch: Batch,
    prediction: Float[Tensor, "b 4 x y z"],
    path: StrPath,
    *,
    alpha: bool,
    rows: int = 3,
) -> None:
    """One row per grid: coarse, answer, truth; ``alpha``: opacity was learned too (a logit)."""
    sheet, scale = [], prediction.shape[2] / batch["grids"].shape[2]
    for i in range(min(rows, len(prediction))):
        x, y, z = batch["sizes"][i].tolist()
        fx, fy, fz = (round(n * scale) for n in (x, y, z))
        truth = batch["target"][i, :, :fx, :fy, :fz].cpu()
        answer = prediction[i, :, :fx, :fy, :fz].cpu()
        opacity = answer[3:].sigmoid() if alpha else truth[3:]
        answer = torch.cat([answer[:3].clamp(0, 1), opacity])
        coarse = batch["grids"][i, :, :x, :y, :z].cpu()
        sheet.append([grid_picture(unit_grid(g)) for g in (coarse, answer, truth)])
    save_picture(table_of(sheet, titles=("coarse", "made finer", "true finer grid")), path)


def _labels(ids: Int[Tensor, "x y z"], class_names: Sequence[str], grid: RadianceGrid) -> LabelGrid:
    return LabelGrid(labels=ids.short(), class_names=tuple(class_names), box=grid.box)
