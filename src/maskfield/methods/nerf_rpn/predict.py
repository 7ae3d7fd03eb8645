"""A detector's answer for one radiance grid: boxes in the world."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.data.network_input import alpha_grid, occupied, resampled
from maskfield.data.preparation.ngp_boxes import boxes3d_from_grid
from maskfield.data.radiance_grid import RadianceGrid
from maskfield.data.readers.nerf_rpn import boxes_to_world
from maskfield.geometry.boxes import Boxes3D
from maskfield.methods.nerf_rpn.model.detector import Detector
from maskfield.methods.nerf_rpn.model.outputs import Proposals


@torch.no_grad()
def detect(
    model: Detector,
    grid: RadianceGrid,
    *,
    resolution: int | None = None,
    top: int = 30,
    threshold: float = 0.3,
    file: str | None = None,
) -> Boxes3D:
    """Objects in a grid, best first.

    Args:
        model: in eval mode.
        resolution: voxels along the longest side at which the model was trained; the grid is
            resampled to it. None: the side of the model's cube; if it has none, the grid as it is.
        top: at most this many boxes. threshold: scores above.
        file: where the grid came from, for messages.

    Returns:
        world-frame boxes with scores; none for a grid without matter.

    Raises:
        GridError: density that cannot become alpha (see ``data.network_input``).
    """
    shown = resampled(alpha_grid(grid, file), resolution or model.config.resolution)
    if not occupied(shown).any():
        return boxes_from_rows(torch.zeros(0, 7), torch.zeros(0))
    device = next(model.parameters()).device
    found = _kept(model([shown.rgba().to(device)])[0], top, threshold)
    boxes = boxes_from_rows(found.boxes.float().cpu(), found.scores.float().cpu())
    return boxes_to_world(boxes, shown)


def boxes_from_rows(
    rows: Float[Tensor, "n k"], scores: Float[Tensor, " n"] | None = None
) -> Boxes3D:
    """A detector's rows, 7 columns (oriented) or 6 (min, max), still in voxels."""
    if rows.shape[1] == 6:
        low, high = rows[:, :3], rows[:, 3:]
        rows = torch.cat([(low + high) / 2, high - low, torch.zeros_like(low[:, :1])], dim=1)
    plain = boxes3d_from_grid(rows)
    return Boxes3D(
        centre=plain.centre, size=plain.size, yaw=plain.yaw, label=plain.label, score=scores
    )


def _kept(found: Proposals, top: int, threshold: float) -> Proposals:
    """The best rows that are boxes at all: finite, with volume."""
    sides = found.boxes[:, 3:6]
    if found.boxes.shape[1] == 6:
        sides = sides - found.boxes[:, :3]
    whole = torch.isfinite(found.boxes).all(1) & (sides > 0).all(1)
    kept = found[whole & (found.scores > threshold)]
    return kept[kept.scores.argsort(descending=True, stable=True)[:top]]
