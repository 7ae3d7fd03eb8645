"""Fast path of :func:`maskfield.ops.trilinear.trilinear`.

The volume's gradient is scattered slab by slab: each slab of x-planes belongs to one thread, which
goes through all points in order and keeps what falls into its slab. Every voxel is thus summed by
one thread in the order of the points: no atomics, no copies of the volume, and the same bits for
any number of threads.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from numba import njit, prange
from torch import Tensor
from torch.autograd.function import once_differentiable


class Trilinear(torch.autograd.Function):
    """Interpolation of volume [x, y, z, c] at points [n, 3]; first derivatives only."""

    @staticmethod
    def forward(ctx: Any, volume: Tensor, points: Tensor, zeros: bool) -> Tensor:
        volume, points = volume.detach().contiguous(), points.detach().contiguous()
        out = volume.new_empty(points.shape[0], volume.shape[3])
        _forward(volume.numpy(), points.numpy(), zeros, out.numpy())
        ctx.save_for_backward(volume, points)
        ctx.zeros = zeros
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        volume, points = ctx.saved_tensors
        grad = grads[0].contiguous()
        to_volume = to_points = None
        if ctx.needs_input_grad[0]:
            to_volume = torch.zeros_like(volume)
            slabs = slab_edges(points[:, 0].numpy(), volume.shape[0], numba.get_num_threads())
            _scatter(points.numpy(), grad.numpy(), ctx.zeros, slabs, to_volume.numpy())
        if ctx.needs_input_grad[1]:
            to_points = torch.empty_like(points)
            args = (volume.numpy(), points.numpy(), grad.numpy())
            _slope(*args, ctx.zeros, to_points.numpy())
        return to_volume, to_points, None


def slab_edges(x: np.ndarray, planes: int, threads: int) -> np.ndarray:
    """Plane numbers at which slabs begin and end, so that each has about as many points."""
    counts = np.bincount(
        np.clip(np.nan_to_num(x), 0, planes - 1).astype(np.int64), minlength=planes
    )
    share = np.cumsum(counts) / max(len(x), 1)
    inner = np.searchsorted(share, np.arange(1, threads) / threads) + 1
    return np.concatenate([[0], np.minimum(inner, planes), [planes]]).astype(np.int64)


@njit(inline="always")
def _axis(p: float, n: int, zeros: bool) -> tuple[int, float, float]:
    """Lower voxel, share of the upper one, and d(position) / dp: 0 where the border clamps."""
    p = p - 0.5
    slope = 1.0
    if not zeros:
        if not p > 0:
            p, slope = p * 0, 0.0
        elif p > n - 1:
            p, slope = p * 0 + (n - 1), 0.0
    p = min(max(p, p * 0 - 2), p * 0 + n + 1)
    low = int(np.floor(p))
    return low, p - low, slope


@njit(parallel=True, cache=True, fastmath={"contract"})
def _forward(volume: np.ndarray, points: np.ndarray, zeros: bool, out: np.ndarray) -> None:
    nx, ny, nz, channels = volume.shape
    for r in prange(points.shape[0]):
        x, fx, _ = _axis(points[r, 0], nx, zeros)
        y, fy, _ = _axis(points[r, 1], ny, zeros)
        z, fz, _ = _axis(points[r, 2], nz, zeros)
        for c in range(channels):
            out[r, c] = 0
        for i in range(max(x, 0), min(x + 2, nx)):
            wx = fx if i > x else 1 - fx
            for j in range(max(y, 0), min(y + 2, ny)):
                wxy = wx * (fy if j > y else 1 - fy)
                for k in range(max(z, 0), min(z + 2, nz)):
                    w = wxy * (fz if k > z else 1 - fz)
                    for c in range(channels):
                        out[r, c] += w * volume[i, j, k, c]


@njit(parallel=True, cache=True, fastmath={"contract"})
def _scatter(
    points: np.ndarray, grad: np.ndarray, zeros: bool, slabs: np.ndarray, out: np.ndarray
) -> None:
    nx, ny, nz, channels = out.shape
    for slab in prange(len(slabs) - 1):
        first, end = slabs[slab], slabs[slab + 1]
        for r in range(points.shape[0]):
            x, fx, _ = _axis(points[r, 0], nx, zeros)
            if x + 1 < first or x >= end:
                continue
            y, fy, _ = _axis(points[r, 1], ny, zeros)
            z, fz, _ = _axis(points[r, 2], nz, zeros)
            for i in range(max(x, first), min(x + 2, end)):
                wx = fx if i > x else 1 - fx
                for j in range(max(y, 0), min(y + 2, ny)):
                    wxy = wx * (fy if j > y else 1 - fy)
                    for k in range(max(z, 0), min(z + 2, nz)):
                        w = wxy * (fz if k > z else 1 - fz)
                        for c in range(channels):
                            out[i, j, k, c] += w * grad[r, c]


@njit(parallel=True, cache=True, fastmath={"contract"})
def _slope(
    volume: np.ndarray, points: np.ndarray, grad: np.ndarray, zeros: bool, out: np.ndarray
) -> None:
    nx, ny, nz, channels = volume.shape
    for r in prange(points.shape[0]):
        x, fx, sx = _axis(points[r, 0], nx, zeros)
        y, fy, sy = _axis(points[r, 1], ny, zeros)
        z, fz, sz = _axis(points[r, 2], nz, zeros)
        gx, gy, gz = 0.0, 0.0, 0.0
        for i in range(max(x, 0), min(x + 2, nx)):
            wx, dx = (fx, 1.0) if i > x else (1 - fx, -1.0)
            for j in range(max(y, 0), min(y + 2, ny)):
                wy, dy = (fy, 1.0) if j > y else (1 - fy, -1.0)
                for k in range(max(z, 0), min(z + 2, nz)):
                    wz, dz = (fz, 1.0) if k > z else (1 - fz, -1.0)
                    value = 0.0
                    for c in range(channels):
                        value += grad[r, c] * volume[i, j, k, c]
                    gx += dx * wy * wz * value
                    gy += wx * dy * wz * value
                    gz += wx * wy * dz * value
        out[r, 0], out[r, 1], out[r, 2] = gx * sx, gy * sy, gz * sz
