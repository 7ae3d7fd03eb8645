"""Original, masked and reconstructed grids as one sheet of pictures."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskfield.core.files import StrPath
from maskfield.data.radiance_grid import RadianceGrid
from maskfield.figures.grids import grid_picture, hidden_removed, unit_grid
from maskfield.figures.pictures import Picture, save_picture, table_of
from maskfield.methods.nerf_mae.config import RgbRegion
from maskfield.methods.nerf_mae.losses import masked_voxels

TITLES = ("original", "what is shown", "hidden part brought back", "all from the network")


def save_reconstructions(
    target: Float[Tensor, "b 4 r r r"],
    prediction: Float[Tensor, "b 4 r r r"],
    token_mask: Bool[Tensor, "b g g g"],
    sizes: Int[Tensor, "b 3"],
    path: StrPath,
    rgb_region: RgbRegion,
    *,
    rows: int = 4,
) -> None:
    """One row of :func:`reconstruction_row` per grid, of at most ``rows`` grids."""
    masked = masked_voxels(token_mask, sizes, target.shape[2]).cpu()
    answer = torch.cat([prediction[:, :3].clamp(0, 1), prediction[:, 3:].sigmoid()], dim=1)
    sheet = [
        reconstruction_row(
            target[i].cpu(), answer[i].cpu(), masked[i], sizes[i].tolist(), rgb_region
        )
        for i in range(min(rows, len(target)))
    ]
    save_picture(table_of(sheet, titles=TITLES), path)


def reconstruction_row(
    target: Float[Tensor, "4 r r r"],
    answer: Float[Tensor, "4 r r r"],
    masked: Bool[Tensor, "r r r"],
    size: list[int],
    rgb_region: RgbRegion,
    draw: Callable[[RadianceGrid], Picture] = grid_picture,
) -> list[Picture]:
    """Original, visible part, the hidden part brought back, and the whole answer.

    Args:
        answer: colour and alpha in [0, 1].
        rgb_region: where the network learned colour. One that learned it on hidden voxels only has
            no answer elsewhere: the last picture, which would show noise, is left out.
        draw: draws a grid in a box of unit voxels.
    """
    x, y, z = size
    target, answer, masked = target[:, :x, :y, :z], answer[:, :x, :y, :z], masked[:x, :y, :z]
    original = unit_grid(target)
    blend = torch.where(masked[None], answer, target)
    grids = [original, hidden_removed(original, masked), unit_grid(blend)]
    if rgb_region == "occupied":
        grids.append(unit_grid(answer))
    return [draw(grid) for grid in grids]
