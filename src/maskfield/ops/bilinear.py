"""Bilinear look-up in channels-last maps; differentiable in the maps and in the points.

Map coordinates: pixel (0, 0) covers [0, 1) x [0, 1) and its value is met at its centre (0.5, 0.5).
Outside the outermost centres a map goes on with its border value ("border") or fades to nothing
over one pixel ("zeros"). Maps are read as rows of a table, which is 5 to 20 times faster on the
CPU than ``F.grid_sample`` with many channels.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

BilinearPadding = Literal["border", "zeros"]


def bilinear(
    maps: Float[Tensor, "view h w channel"],
    points: Float[Tensor, "view point 2"],
    *,
    padding: BilinearPadding = "border",
) -> Float[Tensor, "view point channel"]:
    """Interpolate each view's map at its points (x, y)."""
    views, height, width, channels = maps.shape
    index, weight = bilinear_corners(points, (width, height), padding)
    return look_up(maps.reshape(views * height * width, channels), index, weight)


def look_up(
    table: Float[Tensor, "row channel"],
    index: Int[Tensor, "view point 4"],
    weight: Float[Tensor, "view point 4"],
) -> Float[Tensor, "view point channel"]:
    """Weighted sums of four rows of a table, as :func:`bilinear_corners` names them."""
    weight = weight.to(table.dtype).reshape(-1, 4)
    found = F.embedding_bag(index.reshape(-1, 4), table, per_sample_weights=weight, mode="sum")
    return found.reshape(*index.shape[:2], -1)


def bilinear_corners(
    points: Float[Tensor, "view point 2"],
    size: tuple[int, int],
    padding: BilinearPadding = "border",
) -> tuple[Int[Tensor, "view point 4"], Float[Tensor, "view point 4"]]:
    """Rows and weights of the four pixels around each point; weights carry the gradient.

    Args:
        size: width and height of every map; rows are numbered view by view, then row by row.
    """
    x0, x_share = _cell(points[..., 0], size[0], padding)
    y0, y_share = _cell(points[..., 1], size[1], padding)
    x = torch.stack([x0, x0 + 1], dim=-1)
    y = torch.stack([y0, y0 + 1], dim=-1)
    wx = torch.stack([1 - x_share, x_share], dim=-1) * ((x >= 0) & (x < size[0]))
    wy = torch.stack([1 - y_share, y_share], dim=-1) * ((y >= 0) & (y < size[1]))
    first = torch.arange(points.shape[0], device=points.device)[:, None, None] * size[1]
    rows = (first + y.clamp(0, size[1] - 1)) * size[0]
    index = rows[..., :, None] + x.clamp(0, size[0] - 1)[..., None, :]
    weight = wy[..., :, None] * wx[..., None, :]
    return index.flatten(-2), weight.flatten(-2)


def _cell(p: Tensor, size: int, padding: str) -> tuple[Tensor, Tensor]:
    """The pixel whose centre lies at or before p, and the share of the way to the next one."""
    p = p - 0.5
    p = p.clamp(0, size - 1) if padding == "border" else p.clamp(-2, size + 1)
    low = p.detach().floor()
    return low.long(), p - low
