"""Fast path of :func:`maskfield.ops.nms.nms`: one greedy pass, pairs tested only when needed."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor

from maskfield.ops.box_iou import AABB
from maskfield.ops.box_iou_numba import prepared, prepared_iou


def greedy(boxes: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """Mask [n] of the survivors of boxes [n, 6 or 7] given by falling score."""
    keep = np.ones(len(boxes), dtype=np.bool_)
    sets = groups.numpy()
    if boxes.shape[-1] == AABB:
        table = boxes.contiguous().numpy()
        _greedy_aabb(table, sets, table.dtype.type(threshold), keep)
    else:
        _greedy_obb(prepared(boxes), sets, threshold, keep)
    return torch.from_numpy(keep)


@njit(cache=True)
def _greedy_obb(rows: np.ndarray, groups: np.ndarray, threshold: float, keep: np.ndarray) -> None:
    for i in range(len(rows)):
        if keep[i]:
            for j in range(i + 1, len(rows)):
                if keep[j] and groups[i] == groups[j]:
                    keep[j] = prepared_iou(rows[i], rows[j], threshold) <= threshold


@njit(cache=True)
def _greedy_aabb(rows: np.ndarray, groups: np.ndarray, threshold: float, keep: np.ndarray) -> None:
    for i in range(len(rows)):
        if keep[i]:
            for j in range(i + 1, len(rows)):
                if keep[j] and groups[i] == groups[j]:
                    keep[j] = _aabb_iou(rows[i], rows[j]) <= threshold


@njit(cache=True, error_model="numpy")
def _aabb_iou(a: np.ndarray, b: np.ndarray) -> float:
    """In the dtype of the boxes and the order of the torch reference: the same bits."""
    nothing = a[0] * np.float32(0)
    x = max(min(a[3], b[3]) - max(a[0], b[0]), nothing)
    y = max(min(a[4], b[4]) - max(a[1], b[1]), nothing)
    z = max(min(a[5], b[5]) - max(a[2], b[2]), nothing)
    shared = x * y * z
    one = (a[3] - a[0]) * (a[4] - a[1]) * (a[5] - a[2])
    two = (b[3] - b[0]) * (b[4] - b[1]) * (b[5] - b[2])
    return shared / (one + two - shared)
