"""Intersection over union of 3-D boxes, axis-aligned or turned about z; and what its callers share.

An axis-aligned box (AABB) has 6 numbers (x1, y1, z1, x2, y2, z2); an oriented box (OBB) has 7,
(cx, cy, cz, w, l, h, theta): w along its own x, l along its own y, theta counter-clockwise radians
in the x-y plane. Rotated rectangles have 5: (cx, cy, w, l, theta).

Pairwise functions take [..., n, k] and [..., m, k] and give [..., n, m]; matched ones go row by
row. All are differentiable; the pairwise IoU of OBBs takes a numba path when no gradient is asked.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import ConfigError, DataError
from maskfield.ops.dispatch import Backend, use_numba
from maskfield.ops.polygon_clip import rectangle_overlap

AABB, OBB, RECTANGLE = 6, 7, 5
_LAYOUT = {AABB: "(x1, y1, z1, x2, y2, z2)", OBB: "(cx, cy, cz, w, l, h, theta)"}
_LAYOUT[RECTANGLE] = "(cx, cy, w, l, theta)"
_PAIRS = 1 << 17  # pairs per block of the torch path without gradient: bounds its memory


class Overlap(NamedTuple):
    """What two OBBs share; ``_2d`` is seen from above. IoU of two empty boxes is 0."""

    area_2d: Float[Tensor, "*#n"]
    union_2d: Float[Tensor, "*#n"]
    iou_2d: Float[Tensor, "*#n"]
    volume: Float[Tensor, "*#n"]
    union: Float[Tensor, "*#n"]
    iou: Float[Tensor, "*#n"]


def aabb_iou(
    a: Float[Tensor, "*#batch n 6"], b: Float[Tensor, "*#batch m 6"]
) -> Float[Tensor, "*#batch n m"]:
    """Pairwise IoU of AABBs; 0/0, two boxes without volume, is NaN."""
    return aabb_iou_matched(a[..., :, None, :], b[..., None, :, :])


def aabb_iou_matched(a: Float[Tensor, "*#n 6"], b: Float[Tensor, "*#n 6"]) -> Float[Tensor, "*#n"]:
    """IoU of AABBs row by row; leading axes broadcast."""
    shared, union = aabb_overlap(a, b)
    return shared / union


def aabb_overlap(a: Float[Tensor, "*#n 6"], b: Float[Tensor, "*#n 6"]) -> tuple[Tensor, Tensor]:
    """Volumes of intersection and union of AABBs row by row.

    Raises:
        DataError: not 6 columns.
    """
    check_columns(AABB, a, b)
    low, high = torch.maximum(a[..., :3], b[..., :3]), torch.minimum(a[..., 3:], b[..., 3:])
    shared = product((high - low).clamp_min(0))
    return shared, product(a[..., 3:] - a[..., :3]) + product(b[..., 3:] - b[..., :3]) - shared


def rotated_iou(
    a: Float[Tensor, "*#batch n k"], b: Float[Tensor, "*#batch m k"], *, backend: Backend = "auto"
) -> Float[Tensor, "*#batch n m"]:
    """Pairwise IoU of OBBs (or of rectangles, 5 columns), exact for degenerate pairs too.

    Raises:
        DataError: not 7 (or 5) columns, or batch axes that differ. ConfigError: numba with grad.
    """
    a, b = as_obb(a), as_obb(b)
    if _fast(backend, a, b):
        from maskfield.ops.box_iou_numba import pairwise_iou

        return pairwise_iou(a, b)
    if torch.is_grad_enabled() and (a.requires_grad or b.requires_grad):
        return _rotated_block(a, b)
    rows = max(1, _PAIRS // max(1, b.shape[:-1].numel()))
    return torch.cat([_rotated_block(part, b) for part in a.split(rows, dim=-2)], dim=-2)


def rotated_iou_matched(
    a: Float[Tensor, "*#n k"], b: Float[Tensor, "*#n k"]
) -> Float[Tensor, "*#n"]:
    """IoU of OBBs (or of rectangles, 5 columns) row by row; leading axes broadcast."""
    return rotated_overlap(as_obb(a), as_obb(b)).iou


def rotated_overlap(a: Float[Tensor, "*#n 7"], b: Float[Tensor, "*#n 7"]) -> Overlap:
    """Areas, volumes and IoUs of OBBs row by row; leading axes broadcast.

    Raises:
        DataError: not 7 columns.
    """
    check_columns(OBB, a, b)
    area = rectangle_overlap(footprint(a), footprint(b))
    union_2d = a[..., 3] * a[..., 4] + b[..., 3] * b[..., 4] - area
    volume = area * height_overlap(a, b)
    union = product(a[..., 3:6]) + product(b[..., 3:6]) - volume
    return Overlap(area, union_2d, ratio(area, union_2d), volume, union, ratio(volume, union))


def height_overlap(a: Float[Tensor, "*#n 7"], b: Float[Tensor, "*#n 7"]) -> Float[Tensor, "*#n"]:
    """Length that two OBBs share along z; computed from the distance of their centres."""
    apart, ha, hb = (a[..., 2] - b[..., 2]).abs(), a[..., 5], b[..., 5]
    return torch.minimum((ha + hb) / 2 - apart, torch.minimum(ha, hb)).clamp_min(0)


def footprint(boxes: Float[Tensor, "*#n 7"]) -> Float[Tensor, "*#n 5"]:
    """OBBs from above: rectangles (cx, cy, w, l, theta)."""
    return torch.cat([boxes[..., :2], boxes[..., 3:5], boxes[..., 6:]], dim=-1)


def as_obb(boxes: Float[Tensor, "*#n k"]) -> Float[Tensor, "*#n 7"]:
    """OBBs as they are; rectangles (5 columns) with height 1 around z = 0, which keeps the IoU."""
    if boxes.shape[-1] != RECTANGLE:
        check_columns(OBB, boxes)
        return boxes
    x, y, w, length, theta = boxes.unbind(-1)
    return torch.stack([x, y, torch.zeros_like(x), w, length, torch.ones_like(x), theta], dim=-1)


def check_columns(columns: int, *tables: Tensor) -> None:
    """Refuse boxes of another layout.

    Raises:
        DataError: names the layout that is wanted.
    """
    for boxes in tables:
        if boxes.ndim == 0 or boxes.shape[-1] != columns:
            raise DataError(
                f"boxes need {columns} columns",
                field="boxes",
                value=tuple(boxes.shape),
                remedy=f"pass rows {_LAYOUT[columns]}",
            )


def check_boxes(boxes: Float[Tensor, "n k"], *, file: str | None = None) -> None:
    """Refuse boxes that no file or user should bring: for the edges, where data come in.

    Raises:
        DataError: neither 6 nor 7 (nor 5) columns, a value that is not finite, or a side <= 0;
            names the first wrong row.
    """
    columns = boxes.shape[-1] if boxes.ndim == 2 else 0
    check_columns(columns if columns in _LAYOUT else OBB, boxes)
    wrong = ~torch.isfinite(boxes).all(-1) | (sides(boxes) <= 0).any(-1)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise DataError(
            "a box has a side of zero or less, or a value that is not finite",
            file=file,
            field=f"row {row} {_LAYOUT[boxes.shape[-1]]}",
            value=boxes[row].tolist(),
            remedy="remove or repair the row",
        )


def sides(boxes: Float[Tensor, "*#n k"]) -> Float[Tensor, "*#n sides"]:
    """Lengths of the sides of AABBs, OBBs or rectangles."""
    if boxes.shape[-1] == AABB:
        return boxes[..., 3:] - boxes[..., :3]
    return boxes[..., 3:6] if boxes.shape[-1] == OBB else boxes[..., 2:4]


def product(lengths: Float[Tensor, "*#n 3"]) -> Float[Tensor, "*#n"]:
    """Product over the last axis (its derivative is finite at 0, and twice differentiable)."""
    return lengths[..., 0] * lengths[..., 1] * lengths[..., 2]


def ratio(part: Float[Tensor, "*#n"], whole: Float[Tensor, "*#n"]) -> Float[Tensor, "*#n"]:
    """part / whole; 0 where the whole is 0."""
    empty = whole <= 0
    return torch.where(empty, torch.zeros_like(part), part / torch.where(empty, 1, whole))


def _rotated_block(a: Tensor, b: Tensor) -> Tensor:
    return rotated_overlap(a[..., :, None, :], b[..., None, :, :]).iou


def _fast(backend: Backend, a: Tensor, b: Tensor) -> bool:
    wants_gradient = torch.is_grad_enabled() and (a.requires_grad or b.requires_grad)
    if wants_gradient and backend == "numba":
        raise ConfigError(
            "the numba path of rotated_iou has no gradient",
            field="backend",
            value=backend,
            remedy="use backend='auto' or 'torch', or call it under torch.no_grad()",
        )
    return use_numba(backend, a, b) and not wants_gradient
