"""Fast path of :func:`maskfield.ops.box_iou.rotated_iou`; the pair function is shared with NMS.

The formula is that of :mod:`maskfield.ops.polygon_clip`, in float64 whatever the boxes are in.
A prepared box is a row (cx, cy, cz, w, l, h, cos, sin, volume).
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

_FLAT = 1e-12


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU [..., n, m] of OBBs [..., n, 7] and [..., m, 7]; batch axes broadcast."""
    batch = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    n, m = a.shape[-2], b.shape[-2]
    out = np.empty((batch.numel(), n, m), dtype=a.detach().numpy().dtype)
    one = a.expand(*batch, n, 7).reshape(batch.numel(), n, 7)
    two = b.expand(*batch, m, 7).reshape(batch.numel(), m, 7)
    _pairwise(prepared(one), prepared(two), out)
    return torch.from_numpy(out).reshape(*batch, n, m)


def prepared(boxes: Tensor) -> np.ndarray:
    """float64 rows (cx, cy, cz, w, l, h, cos, sin, volume) of OBBs [..., 7]."""
    table = boxes.detach().double().numpy()
    theta, size = table[..., 6:], table[..., 3:6]
    parts = [table[..., :6], np.cos(theta), np.sin(theta), size.prod(-1, keepdims=True)]
    return np.ascontiguousarray(np.concatenate(parts, axis=-1))


@njit(parallel=True, cache=True)
def _pairwise(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    count, n, m = out.shape
    for row in prange(count * n):
        k, i = row // n, row % n
        for j in range(m):
            out[k, i, j] = prepared_iou(a[k, i], b[k, j], 0.0)


@njit(cache=True)
def prepared_iou(a: np.ndarray, b: np.ndarray, enough: float) -> float:
    """IoU of two prepared boxes; 0 as soon as it is known not to exceed ``enough``."""
    height = min((a[5] + b[5]) / 2 - abs(a[2] - b[2]), min(a[5], b[5]))
    if not height > 0.0:
        return height if np.isnan(height) else 0.0
    most = height * min(a[3] * a[4], b[3] * b[4])
    if most <= enough * (a[8] + b[8] - most):
        return 0.0
    x, y = a[0] - b[0], a[1] - b[1]
    reach = sqrt(a[3] * a[3] + a[4] * a[4]) + sqrt(b[3] * b[3] + b[4] * b[4])
    if 4.0 * (x * x + y * y) >= reach * reach:
        return 0.0
    volume = height * _area(a, b, x, y)
    union = a[8] + b[8] - volume
    return volume / union if union > 0.0 else 0.0


@njit(cache=True)
def _area(a: np.ndarray, b: np.ndarray, x: float, y: float) -> float:
    """Area of the intersection seen from above; (x, y) is the centre of a minus that of b."""
    c, s = a[6] * b[6] + a[7] * b[7], a[7] * b[6] - a[6] * b[7]
    bx, by = b[6] * x + b[7] * y, b[6] * y - b[7] * x
    ax, ay = a[6] * x + a[7] * y, a[6] * y - a[7] * x
    if _separated(bx, by, b[3], b[4], a[3], a[4], abs(c), abs(s)):
        return 0.0
    if _separated(ax, ay, a[3], a[4], b[3], b[4], abs(c), abs(s)):
        return 0.0
    ux, uy, vx, vy = c * a[3], s * a[3], -s * a[4], c * a[4]
    hx, hy = b[3] / 2, b[4] / 2
    px, py = bx + (ux + vx) / 2, by + (uy + vy) / 2
    area = _edge(px, py, -ux, -uy, hx, hy)
    area += _edge(px - ux, py - uy, -vx, -vy, hx, hy)
    area += _edge(px - ux - vx, py - uy - vy, ux, uy, hx, hy)
    area += _edge(px - vx, py - vy, vx, vy, hx, hy)
    return min(max(area, 0.0), min(a[3] * a[4], b[3] * b[4]))


@njit(cache=True)
def _separated(
    x: float, y: float, w: float, d: float, w2: float, d2: float, c: float, s: float
) -> bool:
    return 2 * abs(x) >= w + c * w2 + s * d2 or 2 * abs(y) >= d + s * w2 + c * d2


@njit(cache=True)
def _edge(x: float, y: float, dx: float, dy: float, hx: float, hy: float) -> float:
    """-∫ cut(y, -hy, hy) dx over the part of the edge with |x| <= hx."""
    if abs(dx) <= _FLAT * (hx + abs(x)):
        return 0.0
    one, two = (-hx - x) / dx, (hx - x) / dx
    first, last = _cut(min(one, two), 0.0, 1.0), _cut(max(one, two), 0.0, 1.0)
    low, high = first, last
    if abs(dy) > _FLAT * (hy + abs(y)):
        one, two = (-hy - y) / dy, (hy - y) / dy
        low, high = _cut(min(one, two), first, last), _cut(max(one, two), first, last)
    at_first, at_last = _cut(y + first * dy, -hy, hy), _cut(y + last * dy, -hy, hy)
    at_low, at_high = _cut(y + low * dy, -hy, hy), _cut(y + high * dy, -hy, hy)
    twice = (low - first) * (at_first + at_low) + (high - low) * (at_low + at_high)
    return -dx * (twice + (last - high) * (at_high + at_last)) / 2


@njit(cache=True)
def _cut(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
