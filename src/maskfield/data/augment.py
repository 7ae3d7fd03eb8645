"""Augmentation of grids together with their boxes (spec nerf_mae 6).

What is drawn (:class:`Decisions`) is separate from what is done, so a decision can be given, stored
and repeated. Boxes are rows in voxels: axis-aligned [n, 6] (min, max) or oriented [n, 7]
(x, y, z, w, l, h, theta).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Grid = Float[Tensor, "c _x _y _z"]  # a turned grid has other sides
Rows = Float[Tensor, "n columns"]
MAX_ANGLE = math.pi / 18
MAX_STRETCH = 0.1


@dataclass(frozen=True, kw_only=True)
class Probabilities:
    """How often each step happens. Official pre-training: 0.5, 0.5, no boxes."""

    rotate: float = 0.5
    flip: float = 0.5
    rotate_and_scale: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """What to do with one scene.

    Attributes:
        rotate90: a quarter turn. flip_first, flip_second: mirror the first / second ground axis.
        rot_scale: free rotation by ``angle`` (radians) and ``scale``; needs oriented boxes.
    """

    rotate90: bool = False
    flip_first: bool = False
    flip_second: bool = False
    rot_scale: bool = False
    angle: float = 0.0
    scale: float = 1.0


def decide(
    generator: torch.Generator, probabilities: Probabilities, *, oriented_boxes: bool
) -> Decisions:
    """Draw what to do, in the official order of draws.

    Args:
        oriented_boxes: only then may the scene be rotated and scaled freely.
    """
    return decide_from(
        lambda: float(torch.rand((), generator=generator, dtype=torch.float64)),
        probabilities,
        oriented_boxes=oriented_boxes,
    )


def decide_from(
    draw: Callable[[], float], probabilities: Probabilities, *, oriented_boxes: bool
) -> Decisions:
    """:func:`decide` with numbers in [0, 1) from ``draw``: turn, flip, flip, free, angle, scale."""
    rotate90 = draw() < probabilities.rotate
    flip_first = draw() < probabilities.flip
    flip_second = draw() < probabilities.flip
    if not oriented_boxes or draw() >= probabilities.rotate_and_scale:
        return Decisions(rotate90=rotate90, flip_first=flip_first, flip_second=flip_second)
    return Decisions(
        rotate90=rotate90,
        flip_first=flip_first,
        flip_second=flip_second,
        rot_scale=True,
        angle=MAX_ANGLE * (2 * draw() - 1),
        scale=1 + MAX_STRETCH * (2 * draw() - 1),
    )


def augment(
    grid: Grid, boxes: Rows | None, decisions: Decisions, *, z_up: bool = True
) -> tuple[Grid, Rows | None]:
    """Do what was decided: quarter turn, flips, then the free rotation.

    Args:
        z_up: False for the legacy y-up grids (axis-aligned boxes only): x and z are the ground.

    Raises:
        ValueError: oriented boxes on a y-up grid, or a free rotation of axis-aligned boxes.
    """
    _check(boxes, decisions, z_up)
    first, second = (0, 1) if z_up else (0, 2)
    if decisions.rotate90:
        grid, boxes = quarter_turn(grid, boxes, first, second)
    for wanted, axis in ((decisions.flip_first, first), (decisions.flip_second, second)):
        if wanted:
            grid, boxes = flip(grid, boxes, axis)
    if decisions.rot_scale and boxes is not None:
        grid, boxes = rotate_and_scale(grid, boxes, decisions.angle, decisions.scale)
    return grid, boxes


def quarter_turn(
    grid: Grid, boxes: Rows | None, first: int = 0, second: int = 1
) -> tuple[Grid, Rows | None]:
    """Exchange two ground axes and mirror one: x and y, new x mirrored (y-up: x and z, new z)."""
    mirrored = first if second == 1 else second
    turned = grid.transpose(1 + first, 1 + second)
    return _mirror(turned, _exchange(boxes, first, second), mirrored, negate_yaw=False)


def flip(grid: Grid, boxes: Rows | None, axis: int) -> tuple[Grid, Rows | None]:
    """Mirror one ground axis; theta changes its sign."""
    return _mirror(grid, boxes, axis, negate_yaw=True)


def rotate_and_scale(
    grid: Grid, boxes: Float[Tensor, "n 7"], angle: float, scale: float
) -> tuple[Grid, Float[Tensor, "n 7"]]:
    """Turn by ``-angle`` about z and shrink by ``scale`` about the grid's centre.

    An output voxel at g looks up the input at scale * Rot(angle) g, trilinear, 0 outside.
    """
    return _resample(grid, angle, scale), _turn_boxes(boxes, grid.shape[1:], angle, scale)


def _resample(grid: Grid, angle: float, scale: float) -> Grid:
    """Trilinear sampling as bilinear in the ground plane, then linear along z: 10 x less work."""
    c, x, y, z = grid.shape
    gx = torch.linspace(-1, 1, x, device=grid.device, dtype=grid.dtype)
    gy = torch.linspace(-1, 1, y, device=grid.device, dtype=grid.dtype)
    px, py = torch.meshgrid(gx * (x / 2), gy * (y / 2), indexing="ij")
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    sx = (cos * px - sin * py) / (x / 2)
    sy = (sin * px + cos * py) / (y / 2)
    slices = grid.permute(0, 3, 1, 2).reshape(1, c * z, x, y)
    where = torch.stack([sy, sx], dim=-1)[None]
    plane = F.grid_sample(slices, where, mode="bilinear", align_corners=True)
    return torch.einsum("czxy,kz->cxyk", plane.view(c, z, x, y), _linear_weights(z, scale, grid))


def _linear_weights(count: int, scale: float, like: Tensor) -> Float[Tensor, "k z"]:
    """Row k: weights of the input slices at scale * (output slice k), 0 outside."""
    at = torch.linspace(-1, 1, count, device=like.device, dtype=like.dtype) * scale
    index = (at + 1) / 2 * (count - 1)
    slices = torch.arange(count, device=like.device, dtype=like.dtype)
    return (1 - (index[:, None] - slices[None]).abs()).clamp_min(0)


def _turn_boxes(
    boxes: Float[Tensor, "n 7"], resolution: torch.Size, angle: float, scale: float
) -> Float[Tensor, "n 7"]:
    centre = torch.tensor(resolution, dtype=boxes.dtype, device=boxes.device) / 2
    cos, sin = math.cos(angle), math.sin(angle)
    offset = (boxes[:, :3] - centre) / scale
    x = cos * offset[:, 0] + sin * offset[:, 1]
    y = -sin * offset[:, 0] + cos * offset[:, 1]
    moved = torch.stack([x, y, offset[:, 2]], dim=1) + centre
    return torch.cat([moved, boxes[:, 3:6] / scale, boxes[:, 6:] - angle], dim=1)


def _exchange(boxes: Rows | None, first: int, second: int) -> Rows | None:
    """Swap two axes in the columns of boxes: corners, or centre and size."""
    if boxes is None:
        return None
    order = list(range(boxes.shape[1]))
    for group in (0, 3):
        order[group + first], order[group + second] = group + second, group + first
    return boxes[:, order]


def _mirror(
    grid: Grid, boxes: Rows | None, axis: int, *, negate_yaw: bool
) -> tuple[Grid, Rows | None]:
    grid = grid.flip(1 + axis)
    if boxes is None:
        return grid, None
    side, boxes = grid.shape[1 + axis], boxes.clone()
    if boxes.shape[1] == 6:
        boxes[:, [axis, 3 + axis]] = side - boxes[:, [3 + axis, axis]]
        return grid, boxes
    boxes[:, axis] = side - boxes[:, axis]
    if negate_yaw:
        boxes[:, 6] = -boxes[:, 6]
    return grid, boxes


def _check(boxes: Rows | None, decisions: Decisions, z_up: bool) -> None:
    oriented = boxes is not None and boxes.shape[1] == 7
    if not z_up and oriented:
        raise ValueError("y-up grids are supported with axis-aligned boxes [n, 6] only")
    if decisions.rot_scale and boxes is not None and not oriented:
        raise ValueError("a free rotation needs oriented boxes [n, 7]")
