"""Fixed-step marching through a grid of occupied cells: only steps in occupied cells are kept."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.geometry.grids import grid_from_world
from maskfield.geometry.rays import Rays
from maskfield.ops.dispatch import Backend, use_numba

Marched = tuple[
    Float[Tensor, "ray sample"], Float[Tensor, "ray sample"], Bool[Tensor, "ray sample"]
]


def march(
    rays: Rays,
    occupied: Bool[Tensor, "x y z"],
    box: Float[Tensor, "2 3"],
    step: float,
    *,
    max_samples: int | None = None,
    offset: Float[Tensor, " ray"] | None = None,
    backend: Backend = "auto",
) -> Marched:
    """Distances, interval lengths and mask of the kept steps, packed to the front of each row.

    Step k covers [near + k step, min(near + (k + 1) step, far)]; its sample lies at the share
    ``offset`` (0.5) of it. Padding has mask False, delta 0 and t = near. At least one column.

    Args:
        rays: clipped to the box, so that far is finite. Not differentiable.
        max_samples: keep at most so many steps per ray, the nearest.

    Raises:
        DataError: a ray that is not a miss has an infinite far.
    """
    near, far = rays.near.detach().contiguous(), rays.far.detach().contiguous()
    if not bool(torch.isfinite(far[far > near]).all()):
        raise DataError(
            "a march needs a finite far",
            field="far",
            value=float("inf"),
            remedy="clip the rays to the grid's box first (Rays.clipped)",
        )
    origins, directions = rays.origins.detach().contiguous(), rays.directions.detach().contiguous()
    offset = torch.full_like(near, 0.5) if offset is None else offset.to(near)
    box = box.to(near)
    if use_numba(backend, origins, directions, near, far, offset):
        from maskfield.ops.march_numba import march_cells

        lines = (origins, directions, near, far, offset)
        return march_cells(lines, occupied.cpu().contiguous(), box, step, max_samples)
    return _march(origins, directions, near, far, offset, occupied, box, step, max_samples)


def _march(
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    offset: Tensor,
    occupied: Tensor,
    box: Tensor,
    step: float,
    max_samples: int | None,
) -> Marched:
    """All steps of all rays, tested, then packed by a stable sort."""
    span = torch.where(far > near, far - near, torch.zeros_like(near))
    steps = max(1, int(torch.ceil(span.amax() / step))) if len(near) else 1
    start = near[:, None] + torch.arange(steps, dtype=near.dtype, device=near.device) * step
    delta = torch.minimum(start + step, far[:, None]) - start
    t = start + offset[:, None] * delta
    points = origins[:, None] + t[..., None] * directions[:, None]
    mask = (delta > 0) & _inside(points, occupied.to(near.device), box)
    order = torch.argsort((~mask).to(torch.uint8), dim=-1, stable=True)
    longest = int(mask.sum(-1).amax()) if len(near) else 0
    order = order[:, : max(1, min(longest, max_samples or longest))]
    mask = mask.gather(1, order)
    delta = torch.where(mask, delta.gather(1, order), torch.zeros_like(near[:, None]))
    return torch.where(mask, t.gather(1, order), near[:, None]), delta, mask


def _inside(points: Tensor, occupied: Tensor, box: Tensor) -> Tensor:
    return occupied[cell_index(points, box, tuple(occupied.shape))]


def cell_index(
    points: Float[Tensor, "*n 3"], box: Float[Tensor, "2 3"], shape: tuple[int, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Cell of each point, clamped to the grid."""
    x, y, z = shape
    cell = grid_from_world(points, box, (x, y, z)).floor().long()
    i, j, k = (cell[..., a].clamp(0, n - 1) for a, n in enumerate(shape))
    return i, j, k
