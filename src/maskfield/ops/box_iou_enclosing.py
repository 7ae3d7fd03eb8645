"""Rectangle around two rotated rectangles: the smallest, the aligned one, or along principal axes.

Legend: points are the 8 corners, first those of one rectangle, then those of the other; (i, j) is a
pair of points whose line is a candidate side; w lies along a side (or axis), h across it.
"""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import ConfigError

Enclosing = Literal["smallest", "aligned", "pca", "pca_official"]
Extents = tuple[Float[Tensor, "*#n"], Float[Tensor, "*#n"]]

_DIAGONALS = ((0, 2), (1, 3), (4, 6), (5, 7))
_SIDES = tuple(pair for pair in combinations(range(8), 2) if pair not in _DIAGONALS)
_OTHERS = tuple(tuple(k for k in range(8) if k not in pair) for pair in _SIDES)


def enclosing_rectangle(
    corners1: Float[Tensor, "*#n 4 2"], corners2: Float[Tensor, "*#n 4 2"], kind: Enclosing
) -> Extents:
    """Width and height of a rectangle around both.

    Args:
        kind: "smallest" by area; "aligned" with x and y; "pca" along the principal axes of the
            corners, the minor one first (x and y if these are principal). "pca_official" is NaN
            in that last case, as the original is.

    Raises:
        ConfigError: unknown kind.
    """
    points = torch.cat([corners1, corners2], dim=-2)
    if kind == "aligned":
        size = points.amax(-2) - points.amin(-2)
        return size[..., 0], size[..., 1]
    if kind == "smallest":
        return _smallest(points)
    if kind in ("pca", "pca_official"):
        return _principal(points, kind == "pca_official")
    raise ConfigError(
        "unknown enclosing rectangle",
        field="enclosing",
        value=kind,
        remedy="choose 'smallest', 'aligned' or 'pca'",
    )


def _smallest(points: Tensor) -> Extents:
    """The side is chosen without gradient; the extents along it are then differentiable."""
    with torch.no_grad():
        area = _candidate_areas(points)
        best = torch.where(area > 0, area, torch.inf).argmin(-1)
    side = torch.tensor(_SIDES, device=points.device)[best]
    ends = points.gather(-2, side[..., None].expand(*side.shape, 2))
    step = ends[..., 1, :] - ends[..., 0, :]
    square = step.square().sum(-1, keepdim=True)
    along = step / torch.where(square == 0, 1, square).sqrt()
    along = torch.where(square == 0, torch.eye(2).to(step)[0], along)
    across = torch.stack([-along[..., 1], along[..., 0]], dim=-1)
    return _range(points, along), _range(points, across)


def _candidate_areas(points: Tensor) -> Tensor:
    """[..., 24] areas of the rectangles on each candidate side.

    The order of operations decides between candidates that are equal but for rounding (the four
    sides of one box, which differ by swapping w and h); it is that of the specification.
    """
    sides, others = (torch.tensor(t, device=points.device) for t in (_SIDES, _OTHERS))
    x, y = points.unbind(-1)
    (x1, x2), (y1, y2) = x[..., sides].unbind(-1), y[..., sides].unbind(-1)
    dx, dy = x2 - x1, y2 - y1
    slope = dy / (dx + 1e-8)
    norm = torch.stack([torch.ones_like(slope), slope], dim=-1).norm(dim=-1, keepdim=True)
    along = (x[..., None, :] + slope[..., None] * y[..., None, :]) / norm
    width = along.amax(-1) - along.amin(-1)
    px, py = x[..., others], y[..., others]
    distance = dy[..., None] * px - dx[..., None] * py + (x2 * y1)[..., None] - (y2 * x1)[..., None]
    distance = distance / (dy.square() + dx.square() + 1e-14).sqrt()[..., None]
    spread = distance.amax(-1) - distance.amin(-1)
    return width * torch.maximum(spread, distance.abs().amax(-1))


def _principal(points: Tensor, official: bool) -> Extents:
    """Closed-form eigenvectors of the 2 x 2 scatter matrix [[a, b], [b, d]], in float64."""
    centred = points - points.mean(-2, keepdim=True)
    x, y = centred.unbind(-1)
    a, b, d = ((u * v).sum(-1).double() for u, v in ((x, x), (x, y), (y, y)))
    root = _safe_sqrt((a - d).square() + 4 * b.square())
    minor, major = ((a + d + sign * root) / 2 for sign in (-1, 1))
    axes = [torch.stack([b, value - a], dim=-1) for value in (minor, major)]
    axes = [_where_straight(b, torch.full_like(v, torch.nan), v) for v in axes]
    if not official:
        first, second = torch.eye(2).to(b)
        x_minor = (a <= d)[..., None]
        axes[0] = _where_straight(b, torch.where(x_minor, first, second), axes[0])
        axes[1] = _where_straight(b, torch.where(x_minor, second, first), axes[1])
    extents = (_range(centred.double(), v / v.norm(dim=-1, keepdim=True)) for v in axes)
    w, h = (e.to(points.dtype) for e in extents)
    return w, h


def _where_straight(b: Tensor, straight: Tensor, slanted: Tensor) -> Tensor:
    """``straight`` where the principal axes are x and y, so that the closed form is 0 / 0."""
    return torch.where((b == 0)[..., None], straight, slanted)


def _range(points: Tensor, direction: Tensor) -> Tensor:
    along = (points * direction[..., None, :]).sum(-1)
    return along.amax(-1) - along.amin(-1)


def _safe_sqrt(value: Tensor) -> Tensor:
    """sqrt whose slope at 0 is 0 instead of infinite."""
    return torch.where(value > 0, torch.where(value > 0, value, 1).sqrt(), 0)
