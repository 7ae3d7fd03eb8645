"""Losses from IoU, row by row: -log IoU, 1 - IoU, GIoU (arXiv 1902.09630), DIoU (arXiv 1911.08287).

Boxes are AABBs (6 columns), OBBs (7) or rotated rectangles (5), see :mod:`maskfield.ops.box_iou`;
volumes below are areas for rectangles. Reduction, weights and divisors belong to the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import ConfigError
from maskfield.ops.box_iou import (
    AABB,
    RECTANGLE,
    aabb_overlap,
    as_obb,
    footprint,
    product,
    ratio,
    rotated_overlap,
)
from maskfield.ops.box_iou_enclosing import Enclosing, Extents, enclosing_rectangle
from maskfield.ops.polygon_clip import rectangle_corners

Boxes = Float[Tensor, "*#n k"]
Losses = Float[Tensor, "*#n"]
LossKind = Literal["iou", "linear_iou", "giou", "diou"]


def box_loss(
    kind: LossKind, a: Boxes, b: Boxes, *, enclosing: Enclosing = "smallest", smooth: float = 1.0
) -> Losses:
    """One of the losses by name; ``smooth`` is for "iou" and "linear_iou" only.

    Raises:
        ConfigError: unknown kind. DataError: columns.
    """
    table: dict[str, Callable[[], Losses]] = {
        "iou": lambda: log_iou_loss(a, b, smooth=smooth),
        "linear_iou": lambda: linear_iou_loss(a, b, smooth=smooth),
        "giou": lambda: giou_loss(a, b, enclosing=enclosing),
        "diou": lambda: diou_loss(a, b, enclosing=enclosing),
    }
    if kind not in table:
        remedy = f"choose one of {tuple(table)}"
        raise ConfigError("unknown box loss", field="loss", value=kind, remedy=remedy)
    return table[kind]()


def log_iou_loss(a: Boxes, b: Boxes, *, smooth: float = 1.0) -> Losses:
    """-log((intersection + smooth) / (union + smooth))."""
    return -_smooth_iou(a, b, smooth).log()


def linear_iou_loss(a: Boxes, b: Boxes, *, smooth: float = 1.0) -> Losses:
    """1 - (intersection + smooth) / (union + smooth)."""
    return 1 - _smooth_iou(a, b, smooth)


def giou(a: Boxes, b: Boxes, *, enclosing: Enclosing = "smallest") -> Losses:
    """IoU - (enclosing volume - union) / enclosing volume, in [-1, 1]."""
    shared, union = _volumes(a, b)
    hull = product(torch.stack(_enclosing_box(a, b, enclosing), dim=-1))
    return ratio(shared, union) - ratio(hull - union, hull)


def giou_loss(a: Boxes, b: Boxes, *, enclosing: Enclosing = "smallest") -> Losses:
    """1 - GIoU. ``enclosing`` is how OBBs are boxed in; AABBs are always "aligned"."""
    return 1 - giou(a, b, enclosing=enclosing)


def diou_loss(a: Boxes, b: Boxes, *, enclosing: Enclosing = "smallest") -> Losses:
    """1 - IoU + squared distance of the centres / squared diagonal of the enclosing box."""
    shared, union = _volumes(a, b)
    diagonal = sum(side.square() for side in _extents(a, b, enclosing))
    apart = (_centre(a) - _centre(b)).square().sum(-1)
    return 1 - ratio(shared, union) + ratio(apart, torch.as_tensor(diagonal))


def enclosing_height(a: Float[Tensor, "*#n 7"], b: Float[Tensor, "*#n 7"]) -> Float[Tensor, "*#n"]:
    """From the lowest to the highest z of two OBBs."""
    apart = b[..., 2] - a[..., 2]
    top = torch.maximum(a[..., 5] / 2, apart + b[..., 5] / 2)
    return top - torch.minimum(-a[..., 5] / 2, apart - b[..., 5] / 2)


def _smooth_iou(a: Tensor, b: Tensor, smooth: float) -> Tensor:
    shared, union = _volumes(a, b)
    return (shared + smooth) / (union + smooth)


def _volumes(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.shape[-1] == AABB:
        return aabb_overlap(a, b)
    found = rotated_overlap(as_obb(a), as_obb(b))
    return found.volume, found.union


def _extents(a: Tensor, b: Tensor, enclosing: Enclosing) -> tuple[Tensor, ...]:
    """Sides of the enclosing box: three, or two for rectangles."""
    if a.shape[-1] == AABB:
        size = torch.maximum(a[..., 3:], b[..., 3:]) - torch.minimum(a[..., :3], b[..., :3])
        return size.unbind(-1)
    w, h = _around(as_obb(a), as_obb(b), enclosing)
    return (w, h) if a.shape[-1] == RECTANGLE else (w, h, enclosing_height(a, b))


def _enclosing_box(a: Tensor, b: Tensor, enclosing: Enclosing) -> tuple[Tensor, ...]:
    """As :func:`_extents`, with a third side of 1 for rectangles."""
    sides = _extents(a, b, enclosing)
    return sides if len(sides) == 3 else (*sides, torch.ones_like(sides[0]))


def _around(a: Tensor, b: Tensor, enclosing: Enclosing) -> Extents:
    """Enclosing rectangle of two OBBs; seen from a's centre, so far-off boxes lose no digits."""
    a, b = footprint(a), footprint(b)
    if not enclosing.startswith("pca"):  # which centres the corners itself
        origin = a[..., :2]
        a, b = (torch.cat([r[..., :2] - origin, r[..., 2:]], dim=-1) for r in (a, b))
    return enclosing_rectangle(rectangle_corners(a), rectangle_corners(b), enclosing)


def _centre(boxes: Tensor) -> Tensor:
    if boxes.shape[-1] == AABB:
        return (boxes[..., :3] + boxes[..., 3:]) / 2
    return boxes[..., :2] if boxes.shape[-1] == RECTANGLE else boxes[..., :3]
