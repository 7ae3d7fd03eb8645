"""Greedy non-maximum suppression of AABBs and OBBs, and the filters that go with it.

Boxes as in :mod:`maskfield.ops.box_iou`: 6 columns are AABBs, 7 are OBBs.
"""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.ops.box_iou import AABB, OBB, aabb_iou, check_columns, rotated_iou, sides
from maskfield.ops.dispatch import Backend, use_numba

_ROWS = 256  # rows of the IoU matrix computed at a time


def nms(
    boxes: Float[Tensor, "n k"],
    scores: Float[Tensor, " n"],
    threshold: float,
    *,
    groups: Int[Tensor, " n"] | None = None,
    backend: Backend = "auto",
) -> Int[Tensor, " kept"]:
    """Rows that survive, by falling score; of equal scores the lower row comes first.

    A box falls to a better one that survived unless their IoU is <= ``threshold``. The IoU of two
    AABBs without volume is NaN, so the second falls; that of OBBs without volume is 0.

    Args:
        groups: boxes of different groups (pyramid levels) do not see each other.

    Raises:
        DataError: columns, lengths that differ, or a value that is not finite.
    """
    check_columns(AABB if boxes.shape[-1] == AABB else OBB, boxes)
    groups = torch.zeros_like(scores, dtype=torch.long) if groups is None else groups
    _check(boxes, scores, groups)
    order = scores.detach().argsort(descending=True, stable=True)
    ranked, ranked_groups = boxes.detach()[order], groups[order]
    if use_numba(backend, boxes):
        from maskfield.ops.nms_numba import greedy

        keep = greedy(ranked, ranked_groups, threshold)
    else:
        keep = _survivors(_conflicts(ranked, ranked_groups, threshold))
    return order[keep]


def remove_small(boxes: Float[Tensor, "n k"], smallest: float) -> Int[Tensor, " kept"]:
    """Rows of the boxes whose every side is >= ``smallest``."""
    return (sides(boxes) >= smallest).all(-1).nonzero().flatten()


def clip_aabb(
    boxes: Float[Tensor, "*n 6"], size: tuple[float, float, float]
) -> Float[Tensor, "*n 6"]:
    """AABBs cut to the grid [0, size]."""
    check_columns(AABB, boxes)
    limit = boxes.new_tensor((*size, *size))
    return torch.minimum(boxes.clamp_min(0), limit)


def centre_inside(
    boxes: Float[Tensor, "*n 7"], size: tuple[float, float, float]
) -> Bool[Tensor, "*n"]:
    """Whether the centre of each OBB lies in the grid [0, size], bounds included."""
    check_columns(OBB, boxes)
    centre = boxes[..., :3]
    return ((centre >= 0) & (centre <= boxes.new_tensor(size))).all(-1)


def _conflicts(boxes: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """[n, n]: row i suppresses column j (i before j) if it survives itself."""
    iou = aabb_iou if boxes.shape[-1] == AABB else partial(rotated_iou, backend="torch")
    blocks = [~(iou(part, boxes) <= threshold) for part in boxes.split(_ROWS)]
    matrix = torch.cat([*blocks, boxes.new_zeros(0, len(boxes), dtype=torch.bool)])
    return (matrix & (groups[:, None] == groups)).triu(1)


def _survivors(conflicts: Tensor) -> Tensor:
    """The greedy answer as the fixed point of: I stay unless someone before me stays and objects.

    After k rounds the first k rows are final; usually a few rounds settle all.
    """
    keep = torch.ones(len(conflicts), dtype=torch.bool, device=conflicts.device)
    while True:
        after = ~(conflicts & keep[:, None]).any(0)
        if torch.equal(after, keep):
            return keep
        keep = after


def _check(boxes: Tensor, scores: Tensor, groups: Tensor) -> None:
    if boxes.ndim != 2 or not scores.shape == groups.shape == boxes.shape[:1]:
        raise DataError(
            "one score and one group per box are needed",
            field="boxes, scores, groups",
            value=(tuple(boxes.shape), tuple(scores.shape), tuple(groups.shape)),
            remedy="pass boxes [n, 6 or 7], scores [n] and groups [n]",
        )
    wrong = ~(torch.isfinite(boxes).all(-1) & ~scores.isnan())
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise DataError(
            "a box or its score is not finite",
            field=f"row {row}",
            value=(boxes[row].tolist(), float(scores[row])),
            remedy="look for diverged weights or a damaged proposal file",
        )
